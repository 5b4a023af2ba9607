"""What each worker does, and how fast: told whenever it has changed, for status, metrics and the review page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from daemon.cluster.pool import Lent, Pool
from daemon.events import ClusterSeen, WorkerSeen

WINDOW_SECONDS = 10.0
"""Frames per second are those of the last ten or so."""


@dataclass(slots=True)
class _Work:
    worker: Lent
    video_id: int
    video: str
    began: float
    since: float
    frames: int = 0
    frames_in_all: int = 0

    def fps(self, now: float) -> float:
        elapsed = now - self.since
        rate = self.frames / elapsed if elapsed > 0 else 0.0
        if elapsed > WINDOW_SECONDS:
            self.since += elapsed / 2
            self.frames //= 2
        return rate


class Paces:
    """Counts the frames of each worker."""

    def __init__(self, pool: Pool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._works: dict[str, _Work] = {}
        self._waiting: set[int] = set()

    def wait(self, video_id: int) -> None:
        """A film has no worker yet."""
        self._waiting.add(video_id)

    def wait_no_more(self, video_id: int) -> None:
        """It has one, or is given back."""
        self._waiting.discard(video_id)

    def take(self, worker: Lent, video_id: int, video: str) -> None:
        """A worker begins with a film."""
        now = self._monotonic()
        self._works[worker.id] = _Work(worker, video_id, video, now, now)

    def count(self, worker: Lent, frames: int) -> None:
        """So many more frames came from it."""
        if (work := self._works.get(worker.id)) is not None:
            work.frames += frames
            work.frames_in_all += frames

    def leave(self, worker: Lent) -> tuple[int, float]:
        """It is done with its film: the frames that came from it, and how many in a second."""
        work = self._works.pop(worker.id, None)
        if work is None:
            return 0, 0.0
        elapsed = self._monotonic() - work.began
        return work.frames_in_all, work.frames_in_all / elapsed if elapsed > 0 else 0.0

    def seen(self, address: str) -> ClusterSeen:
        """The state of the cluster now."""
        now = self._monotonic()
        working = [
            WorkerSeen(work.worker.name, work.video_id, work.video, round(work.fps(now), 2), work.worker.memory_bytes)
            for work in self._works.values()
        ]
        idle = [WorkerSeen(worker.name, None, None, 0.0, worker.memory_bytes) for worker in self._pool.idle]
        return ClusterSeen(
            address,
            self._pool.away,
            tuple(sorted([*working, *idle], key=lambda one: (one.worker, one.video_id or 0))),
            tuple(self._pool.refused),
            len(self._waiting),
        )
