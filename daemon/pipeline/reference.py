"""The decoder that scored a video, as the export needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.errors import Kind, VideoError
from daemon.export.image_format import ImageFormat
from daemon.job import VideoJob
from daemon.model import Frame
from daemon.runtime.stream import ThreadStream


class PyavReference:
    """A ``ReferenceDecoder`` (see ``daemon.export.source``): PyAV with one thread, on a thread of its own.

    It tells the job's progress, and is given up when it hangs.
    """

    def __init__(self, job: VideoJob, config: DecodeConfig) -> None:
        self._job = job
        self._config = config

    @asynccontextmanager
    async def frames(self, ordinals: frozenset[int], image: ImageFormat) -> AsyncIterator[AsyncIterator[Frame]]:
        """The frames of these decode ordinals in order, as pictures of the image's depth."""
        record = self._job.record
        if record.info is None:
            raise VideoError(Kind.INTERNAL, "the video was never scored: queue it again with `stillwatch retry`")
        report = DecodeReport()
        frames = decode_frames(
            record.info,
            self._config,
            report,
            single_thread=True,
            wanted=ordinals,
            depth=image.depth,
            keep_hdr=image.keep_hdr,
        )
        async with decoded_again(self._job, frames, report) as stream:
            yield stream


def decoded_again(job: VideoJob, frames: Iterator[Frame], report: DecodeReport) -> ThreadStream[Frame]:
    """Frames of a scored video on their way from the decoder's thread, one at a time."""
    return ThreadStream(
        frames,
        name=f"decode-again-{job.record.id}",
        what="the decoder",
        stall_seconds=job.stall_seconds,
        progress=lambda: report.frames,
        on_progress=job.on_progress,
    )
