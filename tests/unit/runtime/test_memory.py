"""The memory of a process counts with that of those which it has started."""

from __future__ import annotations

import subprocess
import sys

from daemon.runtime.memory import most_bytes

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
