"""Items made ahead of who asks for them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.runtime.ahead import read_ahead

PATIENCE_SECONDS = 30.0


def given_by(items: Iterable[int]) -> Generator[int, None, None]:
    yield from items


@given(st.lists(st.integers(), max_size=50), st.integers(1, 5))
def test_the_items_are_the_same_and_in_order(items: list[int], count: int) -> None:
    assert list(read_ahead(given_by(items), count, "ahead")) == items


def test_as_many_as_allowed_are_made_before_they_are_asked_for_and_no_more() -> None:
    made: list[int] = []
    three = threading.Event()

    def counting() -> Generator[int, None, None]:
        for number in range(10):
            made.append(number)
            if len(made) == 4:
                three.set()
            yield number

    items = read_ahead(counting(), 3, "ahead")
    assert not made, "nothing begins before the first is asked for"
    assert next(items) == 0
    assert three.wait(PATIENCE_SECONDS)
    items.close()
    assert made == [0, 1, 2, 3]


def test_an_error_comes_after_the_items_before_it() -> None:
    def failing() -> Generator[int, None, None]:
        yield 1
        yield 2
        raise ValueError("no third")

    items = read_ahead(failing(), 5, "ahead")
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="no third"):
        next(items)


def test_what_fails_is_not_kept_by_its_error() -> None:
    class Heavy:
        pass

    alive: list[object] = []

    def failing() -> Generator[int, None, None]:
        heavy = Heavy()
        alive.append(weakref.ref(heavy))
        yield 1
        raise ValueError("no second")

    with pytest.raises(ValueError, match="no second") as caught:
        list(read_ahead(failing(), 2, "ahead"))
    assert caught.value is not None
    (reference,) = alive
    assert callable(reference)
    assert reference() is None


def test_closing_it_closes_the_items_on_their_own_thread() -> None:
    ran_on: list[int] = []

    def watching() -> Generator[int, None, None]:
        ran_on.append(threading.get_ident())
        try:
            while True:
                yield 0
        finally:
            ran_on.append(threading.get_ident())

    items = read_ahead(watching(), 2, "ahead")
    next(items)
    items.close()
    assert len(ran_on) == 2
    assert ran_on[0] == ran_on[1] != threading.get_ident()
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]
