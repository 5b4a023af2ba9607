"""Tells whoever wants to know that code is being compiled: half a minute of computing, once for each version."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_watchers: list[Watch] = []


class Watch:
    """``since`` is when compiling began, by ``time.monotonic``; None as long as nothing had to be compiled."""

    def __init__(self, tell: Callable[[], object]) -> None:
        self.since: float | None = None
        self.tell = tell

    @property
    def seconds(self) -> float:
        """How long ago that was."""
        return 0.0 if self.since is None else time.monotonic() - self.since


@contextmanager
def watched(tell: Callable[[], object]) -> Iterator[Watch]:
    """Within the block, ``tell`` is called when something begins to be compiled, once, by any thread."""
    watch = Watch(tell)
    with _lock:
        _watchers.append(watch)
    try:
        yield watch
    finally:
        with _lock:
            _watchers.remove(watch)


def begins() -> None:
    """Something is not there compiled, here or in a process that was started."""
    with _lock:
        waiting = [watch for watch in _watchers if watch.since is None]
        for watch in waiting:
            watch.since = time.monotonic()
    for watch in waiting:
        watch.tell()
