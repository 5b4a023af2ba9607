"""One frame of a scored film as a picture, for people who look at it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from daemon.config.schema import Config
from daemon.errors import Kind, VideoError
from daemon.export.image_format import ImageFormat
from daemon.inbox.held_source import held
from daemon.job import VideoJob
from daemon.model import Frame, VideoRecord, WantedFrame
from daemon.pipeline.reference import FilmPackets, PyavReference
from daemon.store.store import Store

AS_SHOWN = ImageFormat("png", 8)


async def frame_pictures(
    config: Config, store: Store, record: VideoRecord, frames: frozenset[int]
) -> AsyncGenerator[Frame, None]:
    """These frames in order, each with the picture that was scored, with 8 bits a sample.

    They are sought where that is cheaper than decoding the film from its beginning. Frames that cannot be decoded
    are left out. Raises VideoError when the source is gone, was changed, or hangs.
    """
    job = VideoJob.of(record, config.service.stuck_seconds)
    rows = await store.frames.rows(record.id, sorted(frames))
    wanted = [
        WantedFrame(row.frame, row.pts, row.time_s, row.hash) if (row := rows.get(frame)) else _unknown(frame)
        for frame in sorted(frames)
    ]
    async with held(job, config.watch) as with_source:
        reference = PyavReference(with_source, config.decode, FilmPackets(store, with_source, config.decode))
        async with reference.frames(wanted, AS_SHOWN) as stream:
            async for frame in stream:
                if frame.picture is not None:
                    yield frame


async def frame_picture(config: Config, store: Store, record: VideoRecord, frame: int) -> Frame:
    """One frame with its picture. Raises VideoError, also where the film has no such frame."""
    async with aclosing(frame_pictures(config, store, record, frozenset({frame}))) as found:
        async for one in found:
            return one
    raise VideoError(Kind.NOT_FOUND, f"frame {frame} could not be decoded: choose another one")


def _unknown(frame: int) -> WantedFrame:
    """A frame that has no row: only a pass finds it."""
    return WantedFrame(frame, None, 0.0, "")
