"""Putting a file into the queue, or recording why it is not taken."""

from __future__ import annotations

import asyncio

from daemon.errors import Kind, VideoError
from daemon.inbox.duplicates import Arrival, arrival_of
from daemon.inbox.identity import is_unchanged
from daemon.logs.setup import get
from daemon.model import FileIdentity, Status, VideoRecord
from daemon.store.store import Store

log = get(__name__)

_TRIED_AGAIN = (Status.MISSING, Status.FAILED, Status.REJECTED)
"""A file that is dropped again after such an end is worked on again."""


async def enter(store: Store, file: FileIdentity, *, copies: bool) -> VideoRecord:
    """Queue a file unless its content is known; returns the row that stands for it."""
    same = await store.videos.same_content(file.fingerprint)
    arrival, record = await asyncio.to_thread(arrival_of, file, same, _still_there, copies=copies)
    if record is None:
        video_id = await store.queue.enqueue(file)
        log.info("video.queued", video=str(file.path), video_id=video_id, size_bytes=file.size_bytes)
        return await store.videos.get(video_id)
    if arrival is Arrival.DUPLICATE:
        error = VideoError(
            Kind.DUPLICATE,
            f"the same content is known as {record.file.path} (video {record.id}): see `stillwatch show`",
        )
        return await refuse(store, file, error)
    await store.videos.relocate(record.id, file)
    if record.status in _TRIED_AGAIN and (arrival is Arrival.MOVED or record.error_kind != Kind.DUPLICATE):
        await store.queue.requeue([record.id])
        log.info("video.queued", video=str(file.path), video_id=record.id, size_bytes=file.size_bytes, again=True)
    else:
        log.info("video.known", video=str(file.path), video_id=record.id, status=record.status.value)
    return await store.videos.get(record.id)


async def refuse(store: Store, file: FileIdentity, error: VideoError) -> VideoRecord:
    """Record a file that is not taken, and say so."""
    status = Status.REJECTED if error.kind.rejects else Status.FAILED
    video_id = await store.queue.refuse(file, status, error)
    log.warning(
        "video.rejected" if status is Status.REJECTED else "video.failed",
        video=str(file.path),
        video_id=video_id,
        error_kind=error.kind.value,
        error=error.sentence,
        exc_info=error.__cause__ if error.kind is Kind.INTERNAL else False,
    )
    return await store.videos.get(video_id)


def _still_there(record: VideoRecord) -> bool:
    return is_unchanged(record.file)
