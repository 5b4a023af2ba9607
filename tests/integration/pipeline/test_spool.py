"""What is needed for a while is in memory, or in a file that nobody sees; a full disk is said as that."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from daemon.errors import Kind, StoreError
from daemon.pipeline.spool import spool


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_what_is_written_is_read_and_leaves_nothing(size: int, tmp_path: Path) -> None:
    with spool(tmp_path, memory_bytes=1000) as file:
        file.write(b"x" * size)
        assert list(tmp_path.iterdir()) == []
        file.seek(size - 10)
        assert file.read(100) == b"x" * 10
    assert list(tmp_path.iterdir()) == []


def test_a_little_needs_no_folder_that_can_be_written(tmp_path: Path) -> None:
    with spool(tmp_path / "none", memory_bytes=1000) as file:
        file.write(b"x" * 1000)


def test_a_full_disk_is_said() -> None:
    with pytest.raises(StoreError, match="no room") as caught, spool():
        Path("/dev/full").write_bytes(b"x")
    assert caught.value.kind is Kind.DISK_FULL


def test_any_other_error_is_told_as_it_is() -> None:
    with pytest.raises(OSError, match="I/O error"), spool():
        raise OSError(errno.EIO, "I/O error")
