"""What the threads of a running process and of its children take of the processor, as Linux counts it in ``/proc``."""

from __future__ import annotations

import os
import subprocess
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from daemon.runtime.memory import peak_bytes
from daemon.runtime.ticking import ticking

LOOK_SECONDS = 0.1
"""What a process takes after the last look at it, and before it ends, is missed."""
DECODER, DECODING, SCORING, OTHERS = "decoder's threads", "decoding besides", "scoring", "FFmpeg and others"
_DECODER_THREAD = "av:"
"""FFmpeg's libraries name the threads of a decoder so."""
_TICKS = os.sysconf("SC_CLK_TCK")


class Usage:
    """CPU seconds of a process and its children by what they do; filled while they run."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, int], tuple[str, float]] = {}
        self.most_bytes = 0
        """The most memory that the process itself held, up to the last look at it."""

    def watching(self, process: subprocess.Popen[bytes]) -> AbstractContextManager[None]:
        """Look at the process again and again, in a thread, as long as the block runs."""
        return ticking(LOOK_SECONDS, lambda: self._look_at(process.pid), "looking")

    @property
    def by_work(self) -> dict[str, float]:
        """CPU seconds of the decoder's threads, what decodes besides, what scores and writes, and other programs."""
        found = dict.fromkeys((DECODER, DECODING, SCORING, OTHERS), 0.0)
        for work, seconds in self._seconds.values():
            found[work] += seconds
        return found

    def _look_at(self, pid: int) -> None:
        self._look(pid, SCORING)
        self.most_bytes = max(self.most_bytes, peak_bytes(pid))

    def _look(self, pid: int, work: str) -> None:
        # Threads and processes end while they are looked at.
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    name, _, fields = task.joinpath("stat").read_text("ascii", "replace").rpartition(")")
                    own = DECODER if name.partition("(")[2].startswith(_DECODER_THREAD) else work
                    # utime and stime, see proc(5): the 14th and 15th field, of which the first two are in the name.
                    seconds = sum(map(int, fields.split()[11:13])) / _TICKS
                    self._seconds[pid, int(task.name)] = own, seconds
                    for child in task.joinpath("children").read_text("ascii").split():
                        self._look(int(child), self._work_of(int(child)))

    def _work_of(self, pid: int) -> str:
        known, _ = self._seconds.get((pid, pid), (OTHERS, 0.0))
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            # What has ended, and is not yet waited for, has no command any more.
            return known if not command else DECODING if b"decode_cell" in command else OTHERS
        return known
