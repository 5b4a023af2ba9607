"""One process works with a database, and others see that one does."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
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


# What others plant, and other spellings


def linked(tmp_path: Path) -> Path:
    (tmp_path / "link.db").symlink_to(tmp_path / "stillwatch.db")
    return tmp_path / "link.db"


def through_a_folder(tmp_path: Path) -> Path:
    (tmp_path / "here").symlink_to(tmp_path)
    return tmp_path / "here" / "stillwatch.db"


def with_a_detour(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    return tmp_path / "sub" / ".." / "stillwatch.db"


def by_two_links(tmp_path: Path) -> Path:
    (tmp_path / "second.db").symlink_to(linked(tmp_path))
    return tmp_path / "second.db"


@pytest.mark.parametrize("spelling", [linked, through_a_folder, with_a_detour, by_two_links])
@pytest.mark.parametrize("exists", [True, False])
def test_one_database_has_one_lock_however_it_is_spelled(
    tmp_path: Path, spelling: Callable[[Path], Path], exists: bool
) -> None:
    database = tmp_path / "stillwatch.db"
    if exists:
        database.touch()
    other = spelling(tmp_path)
    with only_one(database):
        assert is_locked(other)
        with pytest.raises(StoreError, match="another stillwatch works"), only_one(other):
            pass
    with only_one(other):
        assert is_locked(database)


@pytest.mark.parametrize("leads_to", ["canary", "not there"])
def test_a_link_in_the_locks_place_empties_and_makes_nothing(tmp_path: Path, leads_to: str) -> None:
    (tmp_path / "canary").write_text("theirs")
    (tmp_path / "stillwatch.db.lock").symlink_to(tmp_path / leads_to)
    with pytest.raises(StoreError, match=r"is no plain file.*remove it"), only_one(tmp_path / "stillwatch.db"):
        pass
    assert (tmp_path / "canary").read_text() == "theirs"
    assert not (tmp_path / "not there").exists()


def test_a_second_name_of_another_file_in_the_locks_place_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "canary").write_text("theirs")
    os.link(tmp_path / "canary", tmp_path / "stillwatch.db.lock")
    with only_one(tmp_path / "stillwatch.db"):
        pass
    assert (tmp_path / "canary").read_text() == "theirs"


def test_a_pipe_in_the_locks_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "stillwatch.db.lock")
    with pytest.raises(StoreError, match="is no plain file"), only_one(tmp_path / "stillwatch.db"):
        pass


def test_a_file_in_a_folders_place_is_an_answer_for_both(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    database = tmp_path / "file" / "stillwatch.db"
    assert not is_locked(database)
    with pytest.raises(StoreError, match="cannot be opened") as caught, only_one(database):
        pass
    assert caught.value.kind is Kind.DATABASE


def test_a_lock_of_another_user_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("daemon.runtime.lock.os.open", refused)
    for look in (lambda: is_locked(tmp_path / "s.db"), lambda: only_one(tmp_path / "s.db").__enter__()):
        with pytest.raises(StoreError, match=r"s\.db\.lock cannot be opened \(Permission denied\): run as the user"):
            look()
