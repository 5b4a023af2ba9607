"""Whose work the processor's time of a run was, with real processes."""

from __future__ import annotations

import subprocess
import sys

from daemon.cli.bench_processes import DECODER, DECODING, OTHERS, SCORING, Usage

BURN = (
    "import time; print('begun', flush=True)\nwhile time.process_time() < 0.2: pass\nprint('done', flush=True)\ninput()"
)
PARENT = f"""
import subprocess, sys
command = [sys.executable, "-c", {BURN!r}, *sys.argv[1:]]
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(child.stdout.readline(), child.stdout.readline(), flush=True)
input()
child.stdin.close()
# It has ended by then, and nobody has waited for it.
print(child.stdout.read(), flush=True)
input()
"""


def looked_at(*arguments: str) -> dict[str, float]:
    """A process whose child works with these arguments, looked at before the child has ended and after."""
    usage = Usage()
    command = [sys.executable, "-c", PARENT, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for _ in range(2):
            assert parent.stdout.readline()
            usage._look(parent.pid, SCORING)
            parent.stdin.write(b"\n")
    return usage.by_work


def test_a_decoder_that_has_ended_still_has_decoded() -> None:
    found = looked_at("decode_cell")
    assert found[DECODING] >= 0.1
    assert (found[DECODER], found[OTHERS]) == (0, 0)


def test_another_program_is_another_program() -> None:
    found = looked_at()
    assert found[OTHERS] >= 0.1
    assert (found[DECODER], found[DECODING]) == (0, 0)
