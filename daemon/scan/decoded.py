"""Frames on their way from the process that decodes, one at a time, to whoever reads them on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, TypeVar

from daemon.job import VideoJob
from daemon.model import Frame
from daemon.runtime.stall import while_loading
from daemon.runtime.stream import ThreadStream
from daemon.scan.apart import Decoding
from daemon.scan.decoding import Work

JOIN_SECONDS = 5.0
T = TypeVar("T")


async def opened(decoding: Decoding[Any], job: VideoJob) -> None:
    """Have a process for a run: where none is ready, it is loading that takes its time, and no film that hangs."""
    with ExitStack() as ending:
        # Who does not wait any longer, for whatever reason, leaves a thread that still opens.
        ending.callback(decoding.stop)
        await while_loading(asyncio.to_thread(decoding.open), job.on_progress)
        ending.pop_all()


@asynccontextmanager
async def running(stream: ThreadStream[Frame], decoding: Decoding[Any], job: VideoJob) -> AsyncIterator[None]:
    """The thread of a stream, and the process that it reads from; both end with the block."""
    async with AsyncExitStack() as ending:
        # Also where no thread can be started.
        ending.callback(decoding.stop)
        await ending.enter_async_context(stream)
        try:
            yield
        finally:
            stream.stop()
            decoding.stop()
            if not await stream.join(JOIN_SECONDS):
                job.log.error("decode.stuck")


@asynccontextmanager
async def decoded(job: VideoJob, decoding: Decoding[Any]) -> AsyncIterator[ThreadStream[Frame]]:
    """The frames of a run; a process that is not read to its end, or hangs, is ended.

    It tells the job's progress. Reading raises VideoError, STUCK where it hangs, and what the run raises.
    """
    await opened(decoding, job)
    stream = ThreadStream(
        decoding.frames(),
        name=f"decode-again-{job.record.id}",
        what="the decoder",
        stall_seconds=job.stall_seconds,
        progress=lambda: decoding.at,
        on_progress=job.on_progress,
    )
    async with running(stream, decoding, job):
        yield stream


async def found_by(job: VideoJob, work: Work[T]) -> T:
    """What a run that gives no frames has found. Raises VideoError."""
    decoding = Decoding(work)
    async with decoded(job, decoding) as stream:
        async for _ in stream:
            pass
    assert decoding.findings is not None
    return decoding.findings
