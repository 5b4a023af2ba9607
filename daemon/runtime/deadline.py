"""The last resort: a thread that hangs in native code cannot be ended, so the process is."""

from __future__ import annotations

import os
import threading

from daemon.logs.setup import flush, get
from daemon.logs.writer import THREAD

log = get(__name__)

GRACE_SECONDS = 12.0
"""For what follows ``service.stop_seconds`` in a stop: watcher, decoders, scorer, store, each with its own limit."""
EXIT_SECONDS = 3.0
"""For the interpreter's own end, once everything is closed."""


class Deadline:
    """Ends the process with ``code`` unless it is cancelled in time. What was committed stays, as after a kill."""

    def __init__(self, seconds: float, code: int) -> None:
        self._timer = threading.Timer(seconds, self._leave, (seconds, code))
        self._timer.daemon = True

    def start(self) -> None:
        """Start the clock."""
        self._timer.start()

    def cancel(self) -> None:
        """The process ends by itself."""
        self._timer.cancel()

    @staticmethod
    def _leave(seconds: float, code: int) -> None:
        others = (thread for thread in threading.enumerate() if thread is not threading.current_thread())
        late = sorted(thread.name for thread in others if thread.name != THREAD)
        try:
            log.error("service.forced", threads=late, seconds=seconds)
            flush()
        finally:
            os._exit(code)
