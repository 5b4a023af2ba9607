"""Records and jobs for tests: a video on its way through a stage, without a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daemon.job import VideoJob
from daemon.model import FileIdentity, Status, VideoInfo, VideoRecord


def video_record(**changes: Any) -> VideoRecord:
    """A record of a video that nothing is known of yet, but for what is given."""
    nothing: dict[str, Any] = {
        "id": 1,
        "file": FileIdentity(Path("/in/a.mp4"), "f", 1, 1),
        "status": Status.SCORING,
        "metric": None,
        "lower_better": None,
        "scorer": None,
        "info": None,
        "frames_decoded": None,
        "frames_scored": None,
        "damaged": False,
        "mixed": False,
        "error_kind": None,
        "error": None,
        "attempts": 0,
    }
    return VideoRecord(**{**nothing, **changes})


def scored_job(
    file: FileIdentity, info: VideoInfo, *, damaged: bool = False, mixed: bool = False, stall_seconds: float = 60.0
) -> VideoJob:
    """A job of a video that was scored with niqe and waits for its export."""
    record = video_record(
        file=file,
        status=Status.EXPORTING,
        metric="niqe",
        lower_better=True,
        scorer="niqe|test",
        info=info,
        damaged=damaged,
        mixed=mixed,
        attempts=1,
    )
    return VideoJob.of(record, stall_seconds)
