"""The memory of a process counts with that of those which it has started."""

from __future__ import annotations

import os
import subprocess
import sys

from daemon.runtime.memory import most_bytes, peak_bytes

RELEASED = """
import os
from pathlib import Path
from daemon.runtime.memory import peak_bytes, release_freed
many = [b"x" * 100_000 for _ in range(1000)]
kept = many[::50]
del many
release_freed()
pages = int(Path('/proc/self/statm').read_text().split()[1])
print(peak_bytes(os.getpid()) - pages * os.sysconf('SC_PAGE_SIZE'))
"""
HELD = 64 * 1024 * 1024
HOLDS = f"held = b'x' * {HELD}; del held; print(flush=True); input()"


def test_what_a_child_has_held_counts_also_once_it_was_given_back() -> None:
    before = most_bytes()
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert most_bytes() - before > HELD
        child.kill()
        assert child.stdout.read() == b""
        # A child that has ended, and is not waited for yet, holds nothing.
        assert most_bytes() > 0


def test_a_peak_is_the_own_one_and_not_that_of_who_started_the_process() -> None:
    held = bytearray(HELD)
    own = peak_bytes(os.getpid())
    program = "import os; from daemon.runtime.memory import peak_bytes; print(peak_bytes(os.getpid()))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(printed.stdout) < own - len(held) // 2


def test_what_was_freed_between_what_is_kept_is_given_back() -> None:
    printed = subprocess.run([sys.executable, "-c", RELEASED], capture_output=True, text=True, check=True)
    assert int(printed.stdout) > 80_000_000
