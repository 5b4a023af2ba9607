"""Taking videos again because somebody asks for it: the command ``retry``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from daemon.errors import Kind, VideoError
from daemon.model import Status, VideoRecord
from daemon.store.store import Store


async def again(store: Store, keys: Sequence[str], *, failed: bool) -> int:
    """Queue the named videos again, and with ``failed`` all that have failed; returns how many.

    One that is done is read and decoded anew, whatever its file's times say. Raises StillwatchError for a name that
    means none, VideoError for a video whose source is not there to be read.
    """
    named = [await store.videos.find(key) for key in keys]
    done = [record for record in named if record.status is Status.DONE]
    for record in named:
        await _require_source(record)
    ids = [record.id for record in named if record.status is not Status.DONE]
    if failed:
        ids += await store.queries.failed_ids()
    queued = await store.queue.requeue(ids)
    for record in done:
        await store.queue.force(record.id)
    return queued + len(done)


async def _require_source(record: VideoRecord) -> None:
    path = record.file.path
    if record.status is Status.REPLACED:
        raise VideoError(
            Kind.CHANGED,
            f"video {record.id} was replaced by video {record.replaced_by}: put its file back, or retry that one",
        )
    if record.status is Status.DONE and not await asyncio.to_thread(path.exists):
        raise VideoError(
            Kind.MISSING, f"{path} is not there any more: put it back to have video {record.id} read again"
        )
