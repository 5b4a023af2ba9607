"""When a file has arrived whole: a path is settled once it has stood still for a while.

Decides by stillness alone; the clock and the stat come from the caller.
"""

from __future__ import annotations

import errno
import heapq
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from daemon.inbox.identity import inode, mtime_ns

_BUSY_FRACTION = 0.25
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
# Errors that only a person can end: the ingestor has to report them, waiting would hide the file for ever.
_LASTING = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP})


class Look(Protocol):
    """The part of ``os.stat_result`` that stillness is judged by."""

    @property
    def st_size(self) -> int:
        """Bytes."""

    @property
    def st_mtime_ns(self) -> int:
        """Nanoseconds since the epoch."""

    @property
    def st_ino(self) -> int:
        """Inode number."""

    @property
    def st_dev(self) -> int:
        """Device number."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A path that stood still long enough, and what the last look saw.

    Size in bytes, mtime in nanoseconds since the epoch; both None for a path that could not be
    looked at for the whole time (``fingerprint`` then says why).
    """

    path: Path
    size_bytes: int | None
    mtime_ns: int | None
    inode: int | None = field(default=None, compare=False)


_Seen = tuple[int, int, int, int] | int
"""(size, mtime_ns, inode, device), or the errno of a look that failed for good."""


@dataclass(eq=False, slots=True)
class _Tracked:
    path: Path
    seen: _Seen | None = None
    since: float = 0.0


class StabilityTracker:
    """Watches noticed paths until they have stood still for ``settle_seconds``.

    Only stillness between two looks counts, measured by the ``now`` (seconds, monotonic) that the
    caller passes in; what the file's own timestamps claim does not matter. ``clock`` is the source
    of ``now`` and is read after each look, for on a slow share a poll of many files outlasts
    ``settle_seconds``; without it a look takes no time. A path costs one look when it is new, one
    soon after, and one when its time is up; a path that keeps changing is looked at four times per
    ``settle_seconds``, for ever.

    ``noticed`` and ``forget`` may be called while another thread is inside ``poll``: looks are made
    without holding the lock.
    """

    def __init__(
        self,
        settle_seconds: float,
        look: Callable[[Path], Look] = os.stat,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._settle = settle_seconds
        self._look = look
        self._clock = clock
        self._tracked: dict[Path, _Tracked] = {}
        self._due: list[tuple[float, int, _Tracked]] = []
        self._counter = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many paths are tracked."""
        return len(self._tracked)

    def noticed(self, path: Path) -> None:
        """Track a path; the next ``poll`` takes its first look. A tracked path is left as it is.

        Being noticed again does not start the wait anew: a rescan that is more frequent than
        ``settle_seconds`` would hold every file back for ever.
        """
        with self._lock:
            if path not in self._tracked:
                self._tracked[path] = tracked = _Tracked(path)
                self._schedule(float("-inf"), tracked)

    def forget(self, path: Path) -> None:
        """Stop tracking a path; unknown paths are ignored."""
        with self._lock:
            self._tracked.pop(path, None)

    def poll(self, now: float) -> list[Settled]:
        """Look at every path that is due and return those that have settled, each once.

        A path that is gone is dropped. A path whose look fails for a passing reason (a share that
        is away) stays tracked; one that may not be looked at is returned like a still one.
        """
        settled = []
        for tracked in self._take_due(now):
            try:
                seen, result = self._see(tracked.path)
            except OSError as error:
                self._after_error(tracked, error.errno, now)
                continue
            if self._after_look(tracked, seen, now):
                settled.append(result)
        return settled

    def next_due(self, now: float) -> float | None:
        """Seconds until ``poll`` has something to look at (0.0: now), None when nothing is tracked."""
        with self._lock:
            while self._due and not self._is_current(self._due[0][2]):
                heapq.heappop(self._due)
            return max(0.0, self._due[0][0] - now) if self._due else None

    def _take_due(self, now: float) -> list[_Tracked]:
        taken = []
        with self._lock:
            while self._due and self._due[0][0] <= now:
                tracked = heapq.heappop(self._due)[2]
                if self._is_current(tracked):
                    taken.append(tracked)
        return taken

    def _see(self, path: Path) -> tuple[_Seen, Settled]:
        try:
            look = self._look(path)
        except OSError as error:
            if error.errno in _LASTING:
                return error.errno, Settled(path, None, None)
            raise
        seen = (look.st_size, look.st_mtime_ns, look.st_ino, look.st_dev)
        return seen, Settled(path, look.st_size, mtime_ns(look), inode(look))

    def _after_look(self, tracked: _Tracked, seen: _Seen, now: float) -> bool:
        """Whether the path has settled; it is scheduled for the next look if not."""
        looked_at = self._clock() if self._clock is not None else now
        with self._lock:
            if not self._is_current(tracked):
                return False
            changed = seen != tracked.seen
            if changed:
                tracked.seen, tracked.since = seen, looked_at
            still_at = tracked.since + self._settle
            if now >= still_at or self._settle == 0:
                del self._tracked[tracked.path]
                return True
            # What has just changed is probably still being written: an early second look finds the
            # moment it stopped without waiting a whole period more.
            self._schedule(looked_at + self._settle * _BUSY_FRACTION if changed else still_at, tracked)
            return False

    def _after_error(self, tracked: _Tracked, code: int | None, now: float) -> None:
        with self._lock:
            if not self._is_current(tracked):
                return
            if code in _GONE:
                del self._tracked[tracked.path]
                return
            tracked.seen = None
            self._schedule(now + max(self._settle, 1.0), tracked)

    def _schedule(self, due: float, tracked: _Tracked) -> None:
        self._counter += 1
        heapq.heappush(self._due, (due, self._counter, tracked))

    def _is_current(self, tracked: _Tracked) -> bool:
        return self._tracked.get(tracked.path) is tracked
