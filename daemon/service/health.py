"""Whether the daemon is well: what ``/healthz`` answers and systemd's watchdog is fed by."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from daemon.config.schema import Config
from daemon.events import Event, Heartbeat, Left, Listener, Progress, Taken
from daemon.model import Status
from daemon.runtime.heartbeat import Heartbeats

PATIENCE = 2.0
"""Times ``service.stuck_seconds``: what hangs is given up by its own stage first."""


class Health:
    """Is unwell before its tasks are known, while stopping, when one of them has ended, and when a stage is stuck."""

    def __init__(self, stopping: asyncio.Event, hearts: Heartbeats) -> None:
        self._stopping = stopping
        self._hearts = hearts
        self._tasks: Sequence[asyncio.Task[None]] = ()

    def watch(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """The daemon has started; none of these tasks ends before a stop."""
        self._tasks = tasks

    def unwell(self) -> str:
        """Why the daemon is not well, in a few words; nothing when it is."""
        if not self._tasks:
            return "starting"
        if self._stopping.is_set():
            return "stopping"
        ended = sorted({task.get_name() for task in self._tasks if task.done()})
        if ended:
            return f"ended: {', '.join(ended)}"
        stuck = self._hearts.stalled()
        return f"stuck: {', '.join(stuck)}" if stuck else ""


def pulse(hearts: Heartbeats, config: Config) -> Listener:
    """A listener that learns from the events which videos make progress.

    An FFmpeg run is silent until it ends, and has its own limit.
    """
    scoring = PATIENCE * config.service.stuck_seconds
    allowed = {Status.SCORING: scoring, Status.EXPORTING: scoring + config.export.timeout_seconds}

    def tell(event: Event) -> None:
        match event:
            case Taken(video_id, _, status) | Heartbeat(video_id, status):
                hearts.beat(f"{status} {video_id}", allowed[status])
            case Progress(video_id):
                hearts.beat(f"{Status.SCORING} {video_id}", scoring)
            case Left(video_id, status):
                hearts.rest(f"{status} {video_id}")

    return tell
