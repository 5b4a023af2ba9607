"""Native code that reads strangers' files runs in a process of its own, which can be ended: a *cell*.

::

    daemon                                       cell (runs MODULE)
    Cells.ask  ── one line of JSON ──▶ stdin  ── answer(request) under Limits
               ◀── one line of JSON ── stdout
    Cells.lent ── lines, one way and the other, as both have agreed; a ring of memory for what is large
        └── no answer in time, or it has ended ──▶ killed, CellEnded; the next question gets a new one

A cell is started when it is first needed, answers one question after the other, and is let go when
its memory has grown.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from daemon.runtime import compiling
from daemon.runtime.ring import Taker

ANSWER_BYTES = 4 * 1024 * 1024
"""A longer answer is none."""
READY_SECONDS = 900.0
"""For starting Python, importing FFmpeg's libraries and compiling code for the first time, on a busy machine."""
REAP_SECONDS = 5.0
_START = "import gc, runpy, sys; gc.disable(); runpy.run_module(sys.argv[1], run_name='__main__', alter_sys=True)"
"""Nothing that a module loads is worth the time of looking for cycles in it: the module enables that itself."""
_CHUNK_BYTES = 65_536
_AHEAD_BYTES = 4096
"""A dozen frames."""
_KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR"),
    *("XDG_CACHE_HOME", "NUMBA_CACHE_DIR"),
    *("CUDA_VISIBLE_DEVICES", "LIBVA_DRIVER_NAME"),
)
"""What a cell is given of the environment: no addresses, no secrets."""
_ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
"""Threads that a library starts by itself cost address space and are never used here; nor are plugins of pydantic."""


class CellEnded(Exception):  # noqa: N818 - what happened, for the one who asked to put into words
    """No answer: ``signal`` ended the cell, or it was ended after ``seconds`` (``late``), or it gave no sense."""

    def __init__(self, signal_number: int = 0, *, late: bool = False, seconds: float = 0.0) -> None:
        super().__init__(f"signal {signal_number}" if signal_number else "no answer")
        self.signal = signal_number
        self.late = late
        self.seconds = seconds


class Cells:
    """Processes of one module; ``ask`` and ``lent`` may be called on several threads, each then has a cell of its own.

    ``kept`` of them may wait for the next question. With ``ring`` each shares memory with this process.
    ``arenas`` are what ``malloc`` may have, which its threads wait for and which take address space.
    """

    def __init__(self, module: str, *, ring: bool = False, arenas: int = 1) -> None:
        self.kept = 2
        self._module = module
        self._ring = ring
        self._arenas = arenas
        self._idle: list[Cell] = []
        self._starting: set[Cell] = set()
        self._lock = threading.Lock()
        atexit.register(self.close)

    def warm(self, greeting: dict[str, Any]) -> None:
        """Have one cell ready, so that the first question does not wait for it. Raises OSError, CellEnded."""
        with self._lock:
            if self._idle:
                return
        self.give(self.take(greeting))

    def ask(self, greeting: dict[str, Any], request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a request, of a cell that was started with this greeting (its limits).

        Raises CellEnded when the cell has ended or has given no answer for ``seconds``; OSError when none can be
        started.
        """
        with self.lent(self.take(greeting)) as cell:
            answer = cell.ask(request, seconds)
            cell.worn = bool(answer.pop("worn", False))
        return answer

    def take(self, greeting: dict[str, Any]) -> Cell:
        """A cell that was started with this greeting: one that waits, or a new one. Raises OSError, CellEnded."""
        cell = self.spare(greeting)
        if cell is not None:
            return cell
        cell = Cell(self._module, greeting, Taker() if self._ring else None, self._arenas)
        with self._lock:
            self._starting.add(cell)
        try:
            cell.greet()
        finally:
            with self._lock:
                self._starting.discard(cell)
        return cell

    def spare(self, greeting: dict[str, Any]) -> Cell | None:
        """A cell that waits and was started with this greeting; those with another one are ended."""
        with self._lock:
            in_use = [cell for cell in self._idle if cell.ring is not None and cell.ring.in_use]
            ready = [cell for cell in self._idle if cell not in in_use]
            self._idle = in_use
            while ready:
                cell = ready.pop()
                if cell.greeting == greeting and cell.alive():
                    self._idle += ready
                    return cell
                cell.end()
        return None

    def give(self, cell: Cell) -> None:
        """Have a cell wait for its next question, unless it is worn or there are enough of them."""
        with self._lock:
            if not cell.worn and len(self._idle) < self.kept:
                self._idle.append(cell)
                return
        cell.end()

    @contextmanager
    def lent(self, cell: Cell) -> Iterator[Cell]:
        """A cell that was taken, for the time of the block; it is ended where the block fails."""
        with ExitStack() as ending:
            ending.callback(cell.end)
            yield cell
            ending.pop_all()
            self.give(cell)

    def close(self) -> None:
        """End those that wait and those that start; safe to call more than once."""
        with self._lock:
            idle, self._idle = self._idle, []
            for cell in self._starting:
                cell.kill()
        for cell in idle:
            cell.end()


class Cell:
    """One process, to ``greet`` first. It belongs to one thread, but for ``kill``. ``worn``: let go after this."""

    def __init__(self, module: str, greeting: dict[str, Any], ring: Taker | None = None, arenas: int = 1) -> None:
        self.greeting = greeting
        self.ring = ring
        self.worn = False
        self._got = bytearray()
        self._writing = threading.RLock()
        home = str(Path(__file__).parents[2])
        path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        with ExitStack() as ending:
            if ring is not None:
                ending.callback(ring.close)
            self._process = subprocess.Popen(
                # Not from the working folder: anything may lie there.
                [sys.executable, "-P", "-c", _START, module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**kept, **_ALONE, "MALLOC_ARENA_MAX": str(arenas), "PYTHONPATH": path},
                pass_fds=() if ring is None else (ring.handle,),
                # A signal from the terminal is not meant for it.
                start_new_session=True,
            )
            # Which closes the ring too.
            ending.pop_all()
            ending.callback(self.end)
            if ring is not None:
                assert self._process.stdout is not None
                # What waits in the ring is bounded by the lines that wait here.
                fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, _AHEAD_BYTES)
            ending.pop_all()

    def greet(self) -> None:
        """Wait until it is ready; it is ended where it does not get so far. Raises CellEnded."""
        ring, greeting = self.ring, self.greeting
        with ExitStack() as ending:
            ending.callback(self.end)
            said = self.ask(greeting if ring is None else {**greeting, "ring": ring.handle}, READY_SECONDS)
            if "compiling" in said:
                compiling.begins()
                self.hear(READY_SECONDS)
            ending.pop_all()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a request. Raises CellEnded when there is none within ``seconds``."""
        self.tell(request)
        return self.hear(seconds)

    def tell(self, request: dict[str, Any]) -> None:
        """Send a line. Raises CellEnded."""
        self.say(json.dumps(request).encode("ascii") + b"\n")

    def say(self, data: bytes) -> None:
        """Send something. Raises CellEnded."""
        assert self._process.stdin is not None
        left = memoryview(data)
        try:
            while left:
                left = left[self._process.stdin.write(left) or 0 :]
        except OSError:
            raise self._ended() from None

    def tell_free(self, slot: int) -> None:
        """Send the number of a slot; from any thread, and whether or not the process has ended."""
        assert self._process.stdin is not None
        with self._writing, suppress(OSError, ValueError):
            self._process.stdin.write(b"%d\n" % slot)

    def hear(self, seconds: float | None = None, most_bytes: int = ANSWER_BYTES) -> dict[str, Any]:
        """The next line, an object in JSON. Raises CellEnded; without ``seconds`` somebody else has to ``kill``."""
        line = self._line(seconds, most_bytes)
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            raise CellEnded from None
        if not isinstance(answer, dict):
            raise CellEnded
        return answer

    def _line(self, seconds: float | None, most_bytes: int) -> bytes:
        until = None if seconds is None else time.monotonic() + seconds
        looked_at = 0
        while (end := self._got.find(b"\n", looked_at)) < 0:
            looked_at = len(self._got)
            if looked_at > most_bytes:
                raise CellEnded
            self._got += self._chunk(until, seconds or 0.0)
        line = bytes(self._got[:end])
        del self._got[: end + 1]
        return line

    def _chunk(self, until: float | None, seconds: float) -> bytes:
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        if until is not None:
            with selectors.DefaultSelector() as selector:
                selector.register(handle, selectors.EVENT_READ)
                if not selector.select(max(until - time.monotonic(), 0.0)):
                    raise CellEnded(late=True, seconds=seconds)
        chunk = os.read(handle, _CHUNK_BYTES)
        if not chunk:
            raise self._ended()
        return chunk

    def _ended(self) -> CellEnded:
        with suppress(subprocess.TimeoutExpired):
            return CellEnded(max(-self._process.wait(REAP_SECONDS), 0))
        return CellEnded()

    def kill(self) -> None:
        """Kill it with all that it may have started; from any thread, and whether or not it has ended."""
        # It is reaped by its own thread, and numbers of processes are not used again at once.
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill and reap it; one that a dead disk holds is left to the kernel."""
        self.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(REAP_SECONDS)
        with self._writing:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        if self.ring is not None:
            self.ring.close()
