"""Native code that reads strangers' files runs in a process of its own, which can be ended: a *cell*.

::

    daemon                                      cell (python -m MODULE)
    Cells.ask ── one line of JSON ──▶ stdin  ── answer(request) under Limits
              ◀── one line of JSON ── stdout
        └── no answer in time, or it has ended ──▶ killed, CellEnded; the next question gets a new one

A cell is started when it is first needed, answers one question after the other, and is let go when
its memory has grown.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

ANSWER_BYTES = 4 * 1024 * 1024
"""A longer answer is none."""
READY_SECONDS = 120.0
"""For starting Python and importing FFmpeg's libraries, on a busy machine from a cold disk."""
REAP_SECONDS = 5.0
IDLE_KEPT = 2
_CHUNK_BYTES = 65_536
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR")
"""What a cell is given of the environment: no addresses, no secrets."""
_ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
"""Threads that a library starts by itself cost address space and are never used here."""


class CellEnded(Exception):  # noqa: N818 - what happened, for the one who asked to put into words
    """No answer: ``signal`` ended the cell, or it was ended after ``seconds`` (``late``), or it gave no sense."""

    def __init__(self, signal_number: int = 0, *, late: bool = False, seconds: float = 0.0) -> None:
        super().__init__(f"signal {signal_number}" if signal_number else "no answer")
        self.signal = signal_number
        self.late = late
        self.seconds = seconds


class Cells:
    """Processes of one module; ``ask`` may be called on several threads, each then has a cell of its own."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._idle: list[_Cell] = []
        self._lock = threading.Lock()
        atexit.register(self.close)

    def warm(self, greeting: dict[str, Any]) -> None:
        """Have one cell ready, so that the first question does not wait for it. Raises OSError, CellEnded."""
        with self._lock:
            if self._idle:
                return
        self._back(_Cell(self._module, greeting), greeting)

    def ask(self, greeting: dict[str, Any], request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a request, of a cell that was started with this greeting (its limits).

        Raises CellEnded when the cell has ended or has given no answer for ``seconds``; OSError when none can be
        started.
        """
        cell = self._taken(greeting) or _Cell(self._module, greeting)
        with ExitStack() as ending:
            ending.callback(cell.end)
            answer = cell.ask(request, seconds)
            if not answer.pop("worn", False):
                ending.pop_all()
                self._back(cell, greeting)
        return answer

    def close(self) -> None:
        """End those that wait; safe to call more than once."""
        with self._lock:
            idle, self._idle = self._idle, []
        for cell in idle:
            cell.end()

    def _taken(self, greeting: dict[str, Any]) -> _Cell | None:
        with self._lock:
            while self._idle:
                cell = self._idle.pop()
                if cell.greeting == greeting and cell.alive():
                    return cell
                cell.end()
        return None

    def _back(self, cell: _Cell, greeting: dict[str, Any]) -> None:
        with self._lock:
            if len(self._idle) < IDLE_KEPT and cell.greeting == greeting:
                self._idle.append(cell)
                return
        cell.end()


class _Cell:
    """One process."""

    def __init__(self, module: str, greeting: dict[str, Any]) -> None:
        self.greeting = greeting
        home = str(Path(__file__).parents[2])
        path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        self._process = subprocess.Popen(
            # Not from the working folder: anything may lie there.
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**kept, **_ALONE, "PYTHONPATH": path},
            # A signal from the terminal is not meant for it.
            start_new_session=True,
        )
        with ExitStack() as ending:
            ending.callback(self.end)
            self.ask(greeting, READY_SECONDS)
            ending.pop_all()

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
        except OSError:
            raise self._ended() from None
        line = self._line(seconds)
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            raise CellEnded from None
        if not isinstance(answer, dict):
            raise CellEnded
        return answer

    def _line(self, seconds: float) -> bytes:
        assert self._process.stdout is not None
        until = time.monotonic() + seconds
        got = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not got.endswith(b"\n"):
                if not selector.select(max(until - time.monotonic(), 0.0)):
                    raise CellEnded(late=True, seconds=seconds)
                chunk = os.read(self._process.stdout.fileno(), _CHUNK_BYTES)
                if not chunk:
                    raise self._ended()
                got += chunk
                if len(got) > ANSWER_BYTES:
                    raise CellEnded
        return bytes(got)

    def _ended(self) -> CellEnded:
        try:
            code = self._process.wait(REAP_SECONDS)
        except subprocess.TimeoutExpired:
            return CellEnded()
        return CellEnded(max(-code, 0))

    def end(self) -> None:
        """Kill it with all that it may have started, and reap it; one that a dead disk holds is left to the kernel."""
        with suppress(ProcessLookupError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(REAP_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
