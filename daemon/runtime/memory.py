"""How much memory processes have held, and memory that is not needed any more."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

import psutil

_PEAK = re.compile(rb"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def most_bytes() -> int:
    """The most bytes of memory that this process has held, and each that it has started and that runs now, together.

    What two of them see counts for both, and each may have held its most at another time: it was no more than this.
    """
    return sum(map(peak_bytes, [os.getpid(), *(child.pid for child in psutil.Process().children())]))


def release_freed() -> None:
    """Give the system what was freed but is kept for later, where the C library can (malloc_trim(3): glibc).

    After what takes much for a short time: else a daemon that waits would hold the most that any film ever took.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def peak_bytes(pid: int) -> int:
    """The peak of a process's resident set (proc(5)), since its program began; 0 for one that has ended.

    Not `getrusage` nor `wait4`: their figure begins with that of the process it was started from (exec(2) keeps it).
    """
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_bytes())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
