"""One frame of a scored film as a picture, for people who look at it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from daemon.config.schema import Config
from daemon.errors import Kind, VideoError
from daemon.export.image_format import ImageFormat
from daemon.inbox.identity import require_unchanged
from daemon.job import VideoJob
from daemon.model import Frame, VideoRecord
from daemon.pipeline.reference import PyavReference

AS_SHOWN = ImageFormat("png", 8)


async def frame_pictures(config: Config, record: VideoRecord, frames: frozenset[int]) -> AsyncGenerator[Frame, None]:
    """These frames in order, each with the picture that was scored, with 8 bits a sample.

    Decoded from the beginning of the film, so what lies far inside takes its time. Frames that cannot be decoded
    are left out. Raises VideoError when the source is gone, was changed, or hangs.
    """
    job = VideoJob.of(record, config.service.stuck_seconds)
    await require_unchanged(record.file, job.stall_seconds)
    async with PyavReference(job, config.decode).frames(frames, AS_SHOWN) as stream:
        async for frame in stream:
            if frame.picture is not None:
                yield frame


async def frame_picture(config: Config, record: VideoRecord, frame: int) -> Frame:
    """One frame with its picture. Raises VideoError, also where the film has no such frame."""
    async with aclosing(frame_pictures(config, record, frozenset({frame}))) as found:
        async for one in found:
            return one
    raise VideoError(Kind.NOT_FOUND, f"frame {frame} could not be decoded: choose another one")
