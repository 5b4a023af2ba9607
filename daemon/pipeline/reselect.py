"""Choosing again from stored scores, without decoding for scores or scoring."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from daemon.config.schema import Config
from daemon.errors import Kind, VideoError
from daemon.export import ffmpeg_process, file_names
from daemon.job import VideoJob
from daemon.model import Status, VideoRecord
from daemon.pipeline.export_video import ScoreAgain, VideoExporter
from daemon.pipeline.rescore import scored_by
from daemon.pipeline.wishes import wishes_now
from daemon.store.store import Store


async def reselect(
    config: Config,
    store: Store,
    key: str,
    *,
    anew: bool = True,
    folder: str | None = None,
    by: str | None = None,
    on_progress: Callable[[], None] = lambda: None,
) -> VideoRecord:
    """Select and export a finished video with ``config.select``; older selections and stills stay.

    With ``folder``, the stills go to a folder of that name below the output's, and the current selection stays what it
    is. Without ``anew``, a newest selection that was marked is taken as it is, with its marks applied. ``by`` is the
    metric whose scores are taken, if not the current one's. Raises StillwatchError; the video is then as it was before.
    """
    own = None if folder is None else file_names.safe_stem(folder)
    record = await store.videos.find(key)
    if record.status is not Status.DONE:
        raise VideoError(
            Kind.NOT_FOUND, f"video {record.id} is {record.status}, not done: only finished videos can be chosen from"
        )
    source = await store.queries.source(record.id)
    if source is not None and source["state"] == "deleted" and not await asyncio.to_thread(record.file.path.exists):
        raise VideoError(
            Kind.MISSING,
            f"the source of video {record.id} was deleted after its stills were published (watch.after): drop it again"
            " to choose anew",
        )
    if by is not None:
        record = await scored_by(store, record, by)
    capabilities = await ffmpeg_process.probe_binary(ffmpeg_process.find_binary(config.export.ffmpeg))
    exporter = VideoExporter(config, store, capabilities)
    try:
        wishes = await wishes_now(store, record, config.select.min_gap_seconds, anew=anew)
        result = await exporter.export(
            VideoJob.of(record, config.service.stuck_seconds, on_progress), wishes=wishes, folder=own
        )
    finally:
        await exporter.close()
    if isinstance(result, ScoreAgain):
        raise VideoError(
            Kind.UNPROVEN,
            f"video {record.id} is damaged and was queued to be scored again: choose again once it is done",
        )
    return await store.videos.get(record.id)
