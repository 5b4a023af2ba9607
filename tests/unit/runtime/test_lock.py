"""One process works with a database, and others see that one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.errors import Kind, StoreError
from daemon.runtime.lock import is_locked, only_one


def test_the_lock_is_seen_while_it_is_held_and_not_afterwards(tmp_path: Path) -> None:
    database = tmp_path / "new" / "stillwatch.db"
    assert not is_locked(database)
    with only_one(database):
        assert is_locked(database)
        assert (tmp_path / "new" / "stillwatch.db.lock").exists()
    assert not is_locked(database)


def test_a_second_holder_is_refused_with_the_way_out(tmp_path: Path) -> None:
    database = tmp_path / "stillwatch.db"
    with only_one(database), pytest.raises(StoreError, match="stop it first") as caught, only_one(database):
        pass
    assert caught.value.kind is Kind.BUSY
