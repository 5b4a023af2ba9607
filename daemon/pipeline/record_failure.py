"""What a decision about a failed video writes to the database and the log."""

from __future__ import annotations

import asyncio

from daemon.config.schema import Config
from daemon.errors import Kind, StillwatchError
from daemon.events import Ended, Listener
from daemon.inbox.identity import is_unchanged
from daemon.job import VideoJob
from daemon.logs.setup import get
from daemon.model import Status
from daemon.pipeline.failures import Fail, Retry
from daemon.runtime import folders
from daemon.runtime.stall import run_in_abandonable_thread, with_stall_timeout
from daemon.store.store import Store

log = get(__name__)


async def root_cause(job: VideoJob, error: StillwatchError, config: Config) -> StillwatchError:
    """The same error, or that the whole folder behind it is away, which would meet every video."""
    watch, output = config.watch.path, config.output.path
    if error.kind is Kind.EXPORT:
        look = run_in_abandonable_thread(lambda: folders.require_written(output), "look")
    elif error.kind is Kind.UNREADABLE and job.record.file.path.is_relative_to(watch):
        look = run_in_abandonable_thread(lambda: folders.require_listed(watch), "look")
    else:
        return error
    try:
        await with_stall_timeout(look, job.stall_seconds, "looking at the folder")
    except StillwatchError as away:
        away.__cause__ = error
        return away
    return error


async def postpone(store: Store, job: VideoJob, waiting: Status, error: StillwatchError, retry: Retry) -> None:
    """Give the video back to be taken again later; the row keeps the reason."""
    record = job.record
    await store.queue.postpone(record.id, waiting, error, retry.delay_seconds, attempt_counts=retry.attempt_counts)
    job.log.warning(
        "video.postponed",
        error_kind=error.kind.value,
        error=error.sentence,
        retry=record.retries + 1,
        again_in_s=retry.delay_seconds,
    )


async def fail(store: Store, job: VideoJob, error: StillwatchError, decision: Fail, listener: Listener) -> None:
    """Leave the video in its final state, and tell."""
    status = decision.status
    await store.queue.fail(job.record.id, status, error)
    job.log.warning(
        "video.rejected" if status is Status.REJECTED else "video.failed",
        error_kind=error.kind.value,
        error=error.sentence,
        # A refusal is an answer; a failure keeps its traceback.
        exc_info=(error.__cause__ or False) if status is Status.FAILED else False,
    )
    listener(Ended(await store.videos.get(job.record.id)))


async def requeue_copy(store: Store, job: VideoJob) -> bool:
    """Let a copy that was noted as a duplicate take the place of a video that went missing; whether there is one.

    Of a video that was replaced, what replaced it is that.
    """
    record = await store.videos.get(job.record.id)
    if record.status is Status.REPLACED:
        return True
    if record.status is not Status.MISSING or record.file.path != job.record.file.path:
        # Renamed while it was worked on, it is taken again under its new name.
        return False
    for copy in await store.videos.same_content(job.record.file.fingerprint):
        if copy.error_kind == Kind.DUPLICATE and await asyncio.to_thread(is_unchanged, copy.file):
            await store.queue.requeue([copy.id])
            log.info(
                "video.queued",
                video=str(copy.file.path),
                video_id=copy.id,
                size_bytes=copy.file.size_bytes,
                again=True,
            )
            return True
    return False
