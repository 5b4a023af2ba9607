"""Jobs for tests: a scored video on its way through a stage, without a database."""

from __future__ import annotations

from daemon.job import VideoJob
from daemon.model import FileIdentity, Status, VideoInfo, VideoRecord


def scored_job(
    file: FileIdentity, info: VideoInfo, *, damaged: bool = False, mixed: bool = False, stall_seconds: float = 60.0
) -> VideoJob:
    """A job of a video that was scored with niqe and waits for its export."""
    record = VideoRecord(
        id=1,
        file=file,
        status=Status.EXPORTING,
        metric="niqe",
        lower_better=True,
        scorer="niqe|test",
        info=info,
        frames_decoded=None,
        frames_scored=None,
        damaged=damaged,
        mixed=mixed,
        error_kind=None,
        error=None,
        attempts=1,
    )
    return VideoJob.of(record, stall_seconds)
