"""Opening a file to read it, whatever somebody put in its place: without waiting, and once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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


def path_of(handle: int) -> Path:
    """A path that leads to the very file that is open, whatever has its name by now; good in this process only."""
    return Path(f"/proc/self/fd/{handle}")
