"""Memory that two processes see: what is laid in is what is taken, slots are freed in time, and lies are found out."""

from __future__ import annotations

import gc
import mmap
import os
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.runtime.ring import FEWEST_SLOTS, LAID, MOST_REGIONS, MOST_SLOTS, Filler, Region, RingError, Taker

PAGE = mmap.PAGESIZE


class Pair:
    """Both sides in one process."""

    def __init__(self, ring_bytes: int = 16 * PAGE) -> None:
        self.freed: deque[int] = deque()
        self.taker = Taker()
        self.taker.begin()
        self.filler = Filler(self.taker.handle, ring_bytes, lambda room: self.taker.lay(room, ring_bytes), self.numbers)

    def numbers(self, wait: bool) -> Iterable[int]:
        assert self.freed or not wait, "the filler would wait for ever"
        found = list(self.freed)
        self.freed.clear()
        return found

    def passed(self, **arrays: Any) -> dict[str, Any]:
        slot, parts = self.filler.fill(arrays)
        return self.taker.take(slot, [list(part) for part in parts], self.freed.append)


shapes = st.lists(st.integers(0, 40), min_size=1, max_size=3)


@given(st.lists(st.lists(st.tuples(shapes, st.sampled_from(["u1", "<u2"])), max_size=3), max_size=12), st.booleans())
def test_what_is_laid_in_is_what_is_taken(frames: list[list[tuple[list[int], str]]], keep: bool) -> None:
    """Whatever its sizes, made in place or not, kept or not."""
    pair, random, held = Pair(), np.random.default_rng(1), []
    for number, frame in enumerate(frames):
        arrays: dict[str, Any] = {}
        made: Any = None
        for at, (shape, kind) in enumerate(frame):
            made = pair.filler.empty(tuple(shape), kind) if at % 2 else np.empty(shape, kind)
            made[...] = random.integers(0, 255, shape)
            arrays[f"{at}"] = made
        copies = {name: array.copy() for name, array in arrays.items()}
        taken = pair.passed(**arrays)
        assert taken.keys() == copies.keys()
        if keep or number % 3 == 0:
            held.append((taken, copies))
        for name in taken:
            assert taken[name].dtype == copies[name].dtype
            assert np.array_equal(taken[name], copies[name])
        made = None
        del taken, arrays
    for taken, copies in held:
        assert all(np.array_equal(taken[name], copies[name]) for name in copies)
    pair.taker.close()


def test_an_array_that_was_made_in_a_slot_is_not_copied() -> None:
    pair = Pair()
    pair.passed(picture=np.zeros(PAGE, np.uint8))
    made = pair.filler.empty((PAGE,), np.uint8)
    made[...] = 7
    taken = pair.passed(picture=made)
    made[0] = 9
    assert taken["picture"][0] == 9


def test_a_slot_is_free_when_the_last_view_of_it_is_gone() -> None:
    pair = Pair()
    taken = pair.passed(a=np.zeros((4, 4), np.uint8), b=np.zeros(8, np.uint8))
    row = taken["a"][1:3].reshape(-1)
    assert pair.taker.in_use
    del taken
    gc.collect()
    assert not pair.freed
    del row
    assert list(pair.freed) == [0]
    assert not pair.taker.in_use


def test_where_few_are_free_a_copy_is_taken_and_nobody_waits() -> None:
    pair = Pair(ring_bytes=0)
    kept = [pair.passed(a=np.full(10, number, np.uint8)) for number in range(20)]
    assert [one["a"][0] for one in kept] == list(range(20))


def test_the_memory_cannot_be_made_smaller_and_is_given_back() -> None:
    pair = Pair(ring_bytes=64 * 1024**2)
    kept = [pair.passed(a=np.ones(1024**2, np.uint8)) for _ in range(50)]
    with pytest.raises(PermissionError):
        os.ftruncate(pair.taker.handle, 0)
    before = os.fstat(pair.taker.handle).st_blocks
    pair.taker.end()
    assert os.fstat(pair.taker.handle).st_blocks == before
    assert kept[3]["a"].all()
    kept.clear()
    assert os.fstat(pair.taker.handle).st_blocks < before


def test_pictures_that_grow_again_and_again_do_not_take_memory_for_each_size() -> None:
    pair, ring_bytes = Pair(ring_bytes=16 * 1024**2), 16 * 1024**2
    kept = pair.passed(a=np.full(1024, 5, np.uint8))
    for size in range(1, 9):
        held = [pair.passed(a=np.ones(size * 512 * 1024, np.uint8)) for _ in range(3)]
        held.clear()
    assert kept["a"].all()
    assert os.fstat(pair.taker.handle).st_blocks * 512 <= ring_bytes
    before = os.fstat(pair.taker.handle).st_blocks
    kept.clear()
    assert os.fstat(pair.taker.handle).st_blocks == before - PAGE // 512


def test_what_was_made_in_a_slot_that_has_become_too_small_is_there_in_the_larger_one() -> None:
    pair = Pair()
    pair.passed(a=np.zeros(PAGE, np.uint8))
    made = pair.filler.empty((PAGE,), np.uint8)
    made[...] = 7
    taken = pair.passed(a=made, b=np.full(8 * PAGE, 9, np.uint8))
    assert (taken["a"] == 7).all()
    assert (taken["b"] == 9).all()


GOOD = ["a", "|u1", [4, 4], 0]


@pytest.mark.parametrize(
    ("slot", "parts"),
    [
        (99, [GOOD]),
        (-1, [GOOD]),
        (True, [GOOD]),
        ("0", [GOOD]),
        (None, [GOOD]),
        (1, None),
        (1, {"a": 1}),
        (1, ["a"]),
        (1, [["a", "|u1", [PAGE + 1], 0]]),
        (1, [["a", "|u1", [1], PAGE]]),
        (1, [["a", "|u1", [-1, -1], 0]]),
        (1, [["a", "|u1", [1 << 40, 0], 0]]),
        (1, [["a", "|u1", [1, 1, 1, 1], 0]]),
        (1, [["a", "|O", [4], 0]]),
        (1, [["a", "<u2", [4], 1]]),
        (1, [["a", "|u1", [4.0], 0]]),
        (1, [[1, "|u1", [4], 0]]),
        (1, [["a", "|u1", [4], -64]]),
        (1, [["a", "|u1", [4], 1 << 64]]),
        (1, [["a", "|u1", [4], True]]),
        (1, [["a", "|u1", [1 << 31], 0]]),
        (1, [GOOD, ["b", "|u1", [4, 4], 14]]),
        (1, [GOOD, ["a", "|u1", [4, 4], 64]]),
        (1, [["abcdefghi"[at], "|u1", [4], 8 * at] for at in range(9)]),
        (1 << 64, [GOOD]),
    ],
)
def test_what_cannot_lie_in_a_slot_is_refused(slot: Any, parts: Any) -> None:
    pair = Pair()
    pair.passed(a=np.zeros(PAGE, np.uint8))
    with pytest.raises(RingError):
        pair.taker.take(slot, parts, pair.freed.append)


def test_a_slot_that_is_in_use_is_not_taken_again() -> None:
    pair = Pair()
    kept = pair.passed(a=np.zeros(PAGE, np.uint8))
    with pytest.raises(RingError, match="in use"):
        pair.taker.take(0, [GOOD], pair.freed.append)
    assert kept["a"].size == PAGE


def test_a_slot_of_a_region_that_was_left_is_not_taken_again() -> None:
    pair = Pair()
    kept = pair.passed(a=np.zeros(PAGE, np.uint8))
    pair.passed(a=np.zeros(2 * PAGE, np.uint8))
    for slot in (0, 1):
        with pytest.raises(RingError, match="no such slot"):
            pair.taker.take(slot, [GOOD], pair.freed.append)
    assert kept["a"].size == PAGE


def test_memory_that_is_not_used_is_not_laid_again() -> None:
    pair = Pair()
    pair.taker.lay(PAGE, 0)
    size = os.fstat(pair.taker.handle).st_size
    with pytest.raises(RingError):
        pair.taker.lay(2 * PAGE, 0)
    assert os.fstat(pair.taker.handle).st_size == size


def test_nobody_has_memory_without_end_and_no_film_needs_it() -> None:
    pair = Pair(ring_bytes=0)
    last = None
    for _ in range(MOST_REGIONS):
        last = Region.after(last, 1, 0)
        pair.taker.lay(1, 0)
        pair.taker.take(last.first, [GOOD], pair.freed.append)
    with pytest.raises(RingError):
        pair.taker.lay(1, 0)
    assert last is not None
    assert last.slot_bytes > 4 * 1024**3


@given(st.integers(1, 1 << 34), st.integers(0, 1 << 34))
def test_regions_follow_each_other(slot_bytes: int, ring_bytes: int) -> None:
    first = Region.after(None, slot_bytes, ring_bytes)
    second = Region.after(first, 2 * slot_bytes, ring_bytes)
    assert first.slot_bytes >= slot_bytes
    assert FEWEST_SLOTS <= first.slots <= MOST_SLOTS
    assert (second.begin, second.first) == (first.end, first.first + first.slots)
    assert LAID not in range(first.first, second.first + second.slots)
