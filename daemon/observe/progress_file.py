"""The progress file beside the database: what is being worked on right now, for other processes to read.

A JSON file that is replaced as a whole, at most every WRITE_SECONDS and only when something has
changed, so an idle daemon writes nothing. It is valid only while the lock beside the database is held:
a killed daemon leaves its file behind, and the next start removes it first.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from daemon import __version__
from daemon.events import ClusterSeen, Event, FilesLeftAlone, FilesWaiting, Left, Progress, Taken
from daemon.logs.setup import get
from daemon.model import Status
from daemon.observe.progress_reader import path_beside
from daemon.runtime.clock import utc_now
from daemon.runtime.shared_folder import SharedFolder

log = get(__name__)

WRITE_SECONDS = 1.0
MODE = 0o660
"""Narrowed by the umask."""


@dataclass(slots=True)
class _Current:
    status: Status
    since: str
    at: str
    progress: Progress | None = None


class ProgressFile:
    """Keeps the file of one running daemon: ``tell`` it the events, ``run`` writes it, ``remove`` removes it."""

    def __init__(self, database: Path, clock: Callable[[], str] = utc_now) -> None:
        self._path = path_beside(database)
        self._clock = clock
        self._started_at = self._clock()
        self._videos: dict[int, _Current] = {}
        self._left_alone = FilesLeftAlone(0, ())
        self._waiting = FilesWaiting(0, ())
        self._cluster: ClusterSeen | None = None
        self._changed = asyncio.Event()
        self._writable = True
        self.remove()

    @property
    def fps(self) -> float:
        """Frames per second over all videos that are being scored."""
        return sum(video.progress.fps for video in self._videos.values() if video.progress is not None)

    @property
    def queue_bytes(self) -> int:
        """Bytes of decoded pictures that wait for the scorer, over all videos."""
        return sum(video.progress.queue_bytes for video in self._videos.values() if video.progress is not None)

    @property
    def cluster(self) -> ClusterSeen | None:
        """The state of the cluster; None where films are scored here."""
        return self._cluster

    def tell(self, event: Event) -> None:
        """Take note of an event; a Listener."""
        now = self._clock()
        if isinstance(event, Taken):
            self._videos[event.video_id] = _Current(event.status, now, now)
        elif isinstance(event, Progress):
            if (video := self._videos.get(event.video_id)) is not None:
                video.progress, video.at = event, now
        elif isinstance(event, FilesLeftAlone):
            self._left_alone = event
        elif isinstance(event, FilesWaiting):
            self._waiting = event
        elif isinstance(event, ClusterSeen):
            self._cluster = event
        elif isinstance(event, Left):
            # The next stage may have taken the video before this one let go of it.
            if (video := self._videos.get(event.video_id)) is not None and video.status is event.status:
                del self._videos[event.video_id]
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
                # A thread can't be cancelled, and must not write after the file was removed.
                await asyncio.wait([writing], timeout=WRITE_SECONDS)
                raise
            await asyncio.sleep(WRITE_SECONDS)
            await self._changed.wait()
            self._changed.clear()

    def remove(self) -> None:
        """Remove the file, also that of a daemon that was killed."""
        try:
            with SharedFolder.open(self._path.parent) as folder:
                folder.remove(self._path.name)
                for name in filter(folder.is_draft_of(self._path.name), folder.names()):
                    folder.remove(name)
        except FileNotFoundError:
            # The database's folder is made later.
            return
        except OSError as error:
            self._report_failure(error)

    def _content(self) -> str:
        working = [
            {"video_id": video_id, "status": video.status.value, "since": video.since, "at": video.at, **_shown(video)}
            for video_id, video in self._videos.items()
        ]
        return json.dumps(
            {
                "version": __version__,
                "pid": os.getpid(),
                "started_at": self._started_at,
                "working": working,
                "not_taken": asdict(self._left_alone),
                "waiting": asdict(self._waiting),
                "cluster": None if self._cluster is None else asdict(self._cluster),
            }
        )

    def _write(self, content: str) -> None:
        try:
            with SharedFolder.open(self._path.parent) as folder:
                folder.write(self._path.name, f"{content}\n".encode("ascii"), MODE)
        except OSError as error:
            self._report_failure(error)
        else:
            self._writable = True

    def _report_failure(self, error: OSError) -> None:
        """Log once until it can be written again: nothing but ``status`` depends on the file."""
        if self._writable:
            log.warning("progress.unwritable", path=str(self._path), reason=error.strerror or str(error))
        self._writable = False


def _shown(video: _Current) -> dict[str, Any]:
    progress = video.progress
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
