"""The thread that writes the log: whoever logs never waits for whoever reads it."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

THREAD = "log"
QUEUE_BYTES = 4 * 1024 * 1024
"""Some fifteen thousand lines: a burst fits, and nobody misses the memory while a reader is stuck."""
AT_ONCE_BYTES = 4096
"""PIPE_BUF: a pipe takes this many bytes whole or not at all, so no other process's line gets in between (pipe(7))."""


class LogWriter:
    """Writes lines in order, from a queue that is bounded in bytes.

    A line that finds the queue full is dropped, and so are those after it until all that waits is written. Then
    ``tell_dropped`` is called with their number, in this thread; what it puts stands where they are missing.

    ``write`` takes bytes and returns how many it wrote. When it cannot (OSError, ValueError), the lines in hand are
    kept, so that none stays half written; later ones are lost until it can again.
    """

    def __init__(
        self,
        write: Callable[[bytes], int],
        tell_dropped: Callable[[int], None],
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._write = write
        self._tell_dropped = tell_dropped
        self._queue_bytes = queue_bytes
        # Reentrant: the garbage collector may have something to log while a line is put.
        self._changed = threading.Condition(threading.RLock())
        self._waiting: deque[bytes] = deque()
        self._unwritten_bytes = 0
        self._dropped = 0
        self._closed = False
        self._in_hand = b""
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Queue a line with its line break, or drop it. Never waits."""
        with self._changed:
            full = self._dropped or self._unwritten_bytes + len(line) > self._queue_bytes
            if full and threading.current_thread() is not self._thread:
                self._dropped += 1
                return
            self._waiting.append(line)
            self._unwritten_bytes += len(line)
            self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        """Wait until all is written, at most ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._unwritten_bytes or self._dropped), seconds)

    def close(self) -> None:
        """The thread ends once all is written. Does not wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._dropped or self._closed)
                lines = self._take()
                dropped = 0 if lines else self._dropped
            if lines:
                with suppress(OSError, ValueError):
                    self._write_whole(lines)
            elif dropped:
                self._tell_dropped(dropped)
            else:
                return
            with self._changed:
                self._unwritten_bytes -= len(lines)
                self._dropped -= dropped
                self._changed.notify_all()

    def _take(self) -> bytes:
        """The lines that come next, as many as may be written at once."""
        lines = [self._waiting.popleft()] if self._waiting else []
        size = sum(map(len, lines))
        while self._waiting and (size := size + len(self._waiting[0])) <= AT_ONCE_BYTES:
            lines.append(self._waiting.popleft())
        return b"".join(lines)

    def _write_whole(self, lines: bytes) -> None:
        for part in (self._in_hand, lines):
            self._in_hand = part
            while self._in_hand:
                self._in_hand = self._in_hand[self._write(self._in_hand) :]


def past_the_buffer(stream: TextIO) -> Callable[[bytes], int]:
    """Writes to the stream's descriptor: a thread that hangs in its buffer would hold up the end of the process."""

    def write(data: bytes) -> int:
        try:
            return os.write(stream.fileno(), data)
        except BlockingIOError:
            # Whoever shares the descriptor has made it so.
            select.select([], [stream], [])
            return 0

    return write
