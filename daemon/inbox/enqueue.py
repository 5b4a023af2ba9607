"""Putting a file into the queue, or recording why it is not taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from daemon.errors import Kind, VideoError
from daemon.inbox.duplicates import Arrival, arrival_of
from daemon.inbox.identity import identify, is_unchanged
from daemon.logs.setup import get
from daemon.model import FileIdentity, Status, VideoRecord
from daemon.store.store import Store

log = get(__name__)

_TRIED_AGAIN = (Status.MISSING, Status.FAILED, Status.REJECTED)
"""A file that is dropped again after such an end is worked on again."""


async def enter(
    store: Store, file: FileIdentity, *, copies: bool, on_read: Callable[[], object] = lambda: None
) -> VideoRecord:
    """Queue a file unless its content is known; returns the row that stands for it.

    What else was at its path is replaced from then on. A file whose fingerprint is known is read to its end, and
    ``on_read`` is called as that gets on. Raises VideoError when it cannot be.
    """
    file, same = await _with_same_content(store, file, on_read)
    arrival, known = await asyncio.to_thread(arrival_of, file, same, _still_there, copies=copies)
    if known is None:
        video_id = await store.queue.enqueue(file)
        log.info("video.queued", video=str(file.path), video_id=video_id, size_bytes=file.size_bytes)
        _say_replaced(file, await store.videos.replaced_by(video_id), video_id)
        return await store.videos.get(video_id)
    if arrival is Arrival.DUPLICATE:
        error = VideoError(
            Kind.DUPLICATE,
            f"the same content is known as {known.file.path} (video {known.id}): see `stillwatch show`",
        )
        refused = await refuse(store, file, error)
        _say_replaced(file, await store.queue.replaced(refused.id, file), refused.id)
        return refused
    # Before the row says that it is here: a kill in between has the file looked at again.
    _say_replaced(file, await store.queue.replaced(known.id, file), known.id)
    await store.videos.relocate(known.id, file)
    status = known.status
    again = status in _TRIED_AGAIN and (arrival is Arrival.MOVED or known.error_kind != Kind.DUPLICATE)
    if status is Status.REPLACED:
        status = await store.queue.restore(known.id)
        again = status is Status.QUEUED
    elif again:
        await store.queue.requeue([known.id])
    if again:
        log.info("video.queued", video=str(file.path), video_id=known.id, size_bytes=file.size_bytes, again=True)
    else:
        log.info("video.known", video=str(file.path), video_id=known.id, status=status.value)
    return await store.videos.get(known.id)


async def _with_same_content(
    store: Store, file: FileIdentity, on_read: Callable[[], object]
) -> tuple[FileIdentity, list[VideoRecord]]:
    """The file, with its digest where that was needed, and the rows of its content, oldest first."""
    rows = await store.videos.same_content(file.fingerprint)
    if not rows:
        return file, []
    if file.digest is None:
        file = await asyncio.to_thread(identify, file.path, on_read)
    same = []
    for row in rows:
        if row.file.digest is None and row.file.path != file.path and row.error_kind != Kind.DUPLICATE:
            row = await _read_now(store, row, on_read)
        # What was taken before digests were kept and is not there to be read: three blocks have to do.
        if row.file.digest in (None, file.digest):
            same.append(row)
    return file, same


async def _read_now(store: Store, row: VideoRecord, on_read: Callable[[], object]) -> VideoRecord:
    """The row with its digest, if its file is still there to be read."""

    def read() -> FileIdentity | None:
        try:
            return identify(row.file.path, on_read) if is_unchanged(row.file) else None
        except VideoError:
            return None

    now = await asyncio.to_thread(read)
    if now is None or now.digest is None or now != row.file:
        return row
    await store.videos.keep_digest(row.id, now.digest)
    return await store.videos.get(row.id)


def _say_replaced(file: FileIdentity, replaced: list[int], by: int) -> None:
    for video_id in replaced:
        log.info("video.replaced", video=str(file.path), video_id=video_id, by=by)


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
