"""Opening a file to read it, whatever somebody put in its place: without waiting, and once."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Flags of open(2) with which neither a pipe's missing writer nor a terminal is waited for."""


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A handle on what the path leads to, of whatever kind it is; closed afterwards. Raises OSError."""
    handle = os.open(path, READ)
    try:
        yield handle
    finally:
        os.close(handle)


def regular_handle(path: Path, within: int | None = None) -> int:
    """A regular file, opened for reading; to be closed.

    ``within`` is the handle of its folder: a link in it is not followed then. Raises OSError, also for what is no file.
    """
    handle = os.open(path, READ) if within is None else os.open(path.name, READ | os.O_NOFOLLOW, dir_fd=within)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return handle


def open_regular(path: Path, most_bytes: int, within: int | None = None) -> BufferedReader:
    """The same as a file object. Raises OSError(EFBIG) for a file that is larger."""
    file = os.fdopen(regular_handle(path, within), "rb")
    if (size := os.fstat(file.fileno()).st_size) > most_bytes:
        file.close()
        raise OSError(errno.EFBIG, f"has {size} bytes, more than {most_bytes}", str(path))
    return file


def read_regular(path: Path, most_bytes: int, within: int | None = None) -> bytes:
    """The content of a regular file. Raises OSError as ``open_regular`` does."""
    with open_regular(path, most_bytes, within) as file:
        return file.read(most_bytes)


def path_of(handle: int) -> Path:
    """A path that leads to the very file that is open, whatever has its name by now; good in this process only."""
    return Path(f"/proc/self/fd/{handle}")
