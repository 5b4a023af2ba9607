"""Nothing is looked through while libraries are loaded; afterwards what is new is."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from daemon.runtime import garbage


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_what_was_loaded_is_never_looked_through_again() -> None:
    garbage.loading()
    assert not gc.isenabled()
    garbage.loaded()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_where_nothing_was_switched_off_nothing_is_kept_for_good() -> None:
    garbage.loaded()
    assert gc.get_freeze_count() == 0
