"""The board beside the database: what is being worked on right now, for other processes to read.

A JSON file that is replaced as a whole, at most every WRITE_SECONDS and only when something has
changed, so an idle daemon writes nothing. It is true only while somebody holds the lock beside the
database: a killed daemon leaves its board behind, and the next start takes it down first.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemon import __version__
from daemon.events import Event, Left, Progress, Taken
from daemon.logs.setup import get
from daemon.model import Status
from daemon.observe.progress_reader import path_beside

log = get(__name__)

WRITE_SECONDS = 1.0


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class _Work:
    status: Status
    since: str
    at: str
    progress: Progress | None = None


class ProgressFile:
    """Keeps the board of one running daemon: ``tell`` it the news, ``run`` writes it, ``take_down`` removes it."""

    def __init__(self, database: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self._path = path_beside(database)
        self._clock = clock
        self._started_at = self._now()
        self._works: dict[int, _Work] = {}
        self._changed = asyncio.Event()
        self._readable = True
        self.take_down()

    @property
    def fps(self) -> float:
        """Frames per second over all videos that are being scored."""
        return sum(work.progress.fps for work in self._works.values() if work.progress is not None)

    @property
    def queue_bytes(self) -> int:
        """Bytes of decoded pictures that wait for the scorer, over all videos."""
        return sum(work.progress.queue_bytes for work in self._works.values() if work.progress is not None)

    def tell(self, event: Event) -> None:
        """Take notice of something; a Listener."""
        now = self._now()
        if isinstance(event, Taken):
            self._works[event.video_id] = _Work(event.status, now, now)
        elif isinstance(event, Progress):
            if (work := self._works.get(event.video_id)) is not None:
                work.progress, work.at = event, now
        elif isinstance(event, Left):
            # The next stage may have taken the video before this one let go of it.
            if (gone := self._works.get(event.video_id)) is not None and gone.status is event.status:
                del self._works[event.video_id]
        else:
            return
        self._changed.set()

    async def run(self) -> None:
        """Write what has changed until cancelled."""
        while True:
            writing = asyncio.ensure_future(asyncio.to_thread(self._write, self._content()))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                # A thread can't be cancelled, and must not write after the board was taken down.
                await asyncio.wait([writing], timeout=WRITE_SECONDS)
                raise
            await asyncio.sleep(WRITE_SECONDS)
            await self._changed.wait()
            self._changed.clear()

    def take_down(self) -> None:
        """Remove the board, also that of a daemon that was killed."""
        for path in (self._path, self._draft):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self._complain(error)

    def _content(self) -> str:
        works = [
            {"video_id": video_id, "status": work.status.value, "since": work.since, "at": work.at, **_facts(work)}
            for video_id, work in self._works.items()
        ]
        return json.dumps(
            {"version": __version__, "pid": os.getpid(), "started_at": self._started_at, "working": works}
        )

    def _write(self, content: str) -> None:
        try:
            self._draft.write_text(content + "\n", encoding="ascii")
            self._draft.replace(self._path)
        except OSError as error:
            self._complain(error)
        else:
            self._readable = True

    def _complain(self, error: OSError) -> None:
        """Once per trouble: nothing but ``status`` depends on the board."""
        if self._readable:
            log.warning("progress.unwritable", path=str(self._path), reason=error.strerror or str(error))
        self._readable = False

    @property
    def _draft(self) -> Path:
        return self._path.with_name(self._path.name + ".new")

    def _now(self) -> str:
        return self._clock().isoformat(timespec="milliseconds")


def _facts(work: _Work) -> dict[str, Any]:
    progress = work.progress
    if progress is None:
        return {}
    eta = progress.eta_s
    return {
        "frame": progress.frame,
        "frames_total": progress.frames_total or None,
        "fps": round(progress.fps, 2),
        "eta_s": None if eta is None else round(eta, 1),
        "queue_bytes": progress.queue_bytes,
        "batch": progress.batch,
    }
