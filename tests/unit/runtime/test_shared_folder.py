"""A folder that others may write to, held by a handle."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path, PurePath

import pytest

from daemon.runtime.shared_folder import SharedFolder


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "canary").write_text("theirs")
    return tmp_path / "foreign" / "canary"


def test_a_file_is_written_whole_and_a_link_of_its_name_is_replaced(tmp_path: Path, canary: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").symlink_to(canary)
    with SharedFolder.open(tmp_path / "out") as folder:
        folder.write("file", b"ours")
    assert ((tmp_path / "out" / "file").read_text(), canary.read_text()) == ("ours", "theirs")
    assert not (tmp_path / "out" / "file").is_symlink()
    assert os.listdir(tmp_path / "out") == ["file"]  # noqa: PTH208


@pytest.mark.parametrize("name", ["x" * 255, "\u00e9" * 127, "\U0001f3ac" * 63])
def test_the_longest_names_have_drafts_too(tmp_path: Path, name: str) -> None:
    with SharedFolder.open(tmp_path) as folder:
        folder.write(name, b"ours")
    assert (tmp_path / name).read_bytes() == b"ours"


def test_a_new_file_takes_no_name_that_is_there(tmp_path: Path, canary: Path) -> None:
    (tmp_path / "to nothing").symlink_to(tmp_path / "nothing")
    (tmp_path / "to a file").symlink_to(canary)
    with SharedFolder.open(tmp_path) as folder:
        for name in ("to nothing", "to a file", "foreign"):
            with pytest.raises(FileExistsError):
                folder.new_handle(name)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("part", ["..", "/"])
def test_what_is_below_stays_below(tmp_path: Path, part: str) -> None:
    (tmp_path / "foreign").mkdir()
    with (
        SharedFolder.open(tmp_path) as folder,
        pytest.raises(OSError, match="no path below"),
        folder.below(PurePath("foreign", part)),
    ):
        pass


def test_a_link_on_the_way_is_not_followed(tmp_path: Path, canary: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").symlink_to(canary.parent)
    with SharedFolder.open(tmp_path) as folder:
        for path in (PurePath("a/b"), PurePath("a/b/c")):
            with pytest.raises(OSError, match="a link or a file stands"), folder.below(path, make=True):
                pass
    assert os.listdir(canary.parent) == ["canary"]  # noqa: PTH208


def test_only_regular_files_are_read_and_no_more_than_is_asked(tmp_path: Path, canary: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    (tmp_path / "large").write_bytes(bytes(11))
    with SharedFolder.open(tmp_path) as folder:
        for name in ("pipe", "zeros", "foreign", "large"):
            with pytest.raises(OSError, match=r"regular|symbolic links|more than 10 bytes"):
                folder.read(name, 10)
        (tmp_path / "large").write_bytes(bytes(10))
        assert folder.read("large", 10) == bytes(10)


def test_removing_a_tree_removes_no_link_and_nothing_behind_it(tmp_path: Path, canary: Path) -> None:
    (tmp_path / "link").symlink_to(canary.parent)
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "link").symlink_to(canary.parent)
    with SharedFolder.open(tmp_path) as folder:
        folder.remove_tree("link")
        folder.remove_tree("tree")
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "tree").exists()
    assert canary.read_text() == "theirs"


@pytest.mark.parametrize("mode", [0o2700, 0o2775, 0o755, 0o700, 0o070], ids=oct)
def test_a_folder_is_kept_to_its_owner_and_keeps_its_group(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with SharedFolder.open(tmp_path) as folder:
        folder.keep_to_owner()
        assert stat.S_IMODE(folder.status().st_mode) == 0o700 | mode & stat.S_ISGID


@pytest.mark.parametrize("mode", [0o2700, 0o2775, 0o755], ids=oct)
def test_a_folder_is_kept_to_its_owner_where_the_group_bit_may_not_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    tmp_path.chmod(mode)
    fchmod = os.fchmod

    def restricted(handle: int, asked: int) -> None:
        """As under systemd's RestrictSUIDSGID."""
        if asked & stat.S_ISGID:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        fchmod(handle, asked)

    monkeypatch.setattr(os, "fchmod", restricted)
    with SharedFolder.open(tmp_path) as folder:
        folder.keep_to_owner()
        left = stat.S_IMODE(folder.status().st_mode)
    assert left & 0o777 == 0o700
    assert left & stat.S_ISGID or mode != 0o2700, "what is right already stays, with its group"
