"""One video while it is worked on, and what everyone who works on it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from daemon.logs.setup import get
from daemon.model import VideoRecord


@dataclass(frozen=True, slots=True)
class VideoJob:
    """A video on its way through one stage of the pipeline.

    ``log`` is bound to the video: its lines carry ``video`` and ``video_id``. ``on_progress`` is called whenever
    something was read, scored, made or proven; a stage that does not call it for too long counts as stuck.
    ``stall_seconds`` is how long code that cannot be ended (decoders, scorers, disks) may give nothing.
    """

    record: VideoRecord
    log: Any
    on_progress: Callable[[], None]
    stall_seconds: float
    reading: Path | None = None
    """Leads to the open file while the source is held (``inbox.held_source``)."""

    @property
    def source(self) -> Path:
        """Where the film is read from."""
        return self.reading or self.record.file.path

    @classmethod
    def of(cls, record: VideoRecord, stall_seconds: float, on_progress: Callable[[], None] = lambda: None) -> Self:
        """A job with its log."""
        log = get(__name__).bind(video=str(record.file.path), video_id=record.id)
        return cls(record, log, on_progress, stall_seconds)
