"""The strip of a film, made while it is scored: small pictures, evenly through the film.

Of which frames there is one says ``media.strip_step``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from daemon.export.jpeg import jpeg
from daemon.media.strip_step import in_strip, strip_step
from daemon.model import Frame, Picture
from daemon.store.store import Store

LONGEST_PIXELS = 160
QUALITY = 72


async def keep_pictures(store: Store, video_id: int, frames: Sequence[Frame]) -> None:
    """Keep the strip's pictures of frames that follow each other."""
    wanted = {
        frame.index: picture for frame in frames if in_strip(frame.index) and (picture := _shown(frame)) is not None
    }
    if not wanted:
        return

    def make() -> dict[int, bytes]:
        return {frame: jpeg(picture, quality=QUALITY, longest=LONGEST_PIXELS) for frame, picture in wanted.items()}

    pictures = await asyncio.to_thread(make)
    step = strip_step(max(wanted))
    # Only where the step has grown since the frames before: finding those that go reads the whole strip.
    grown = step != strip_step(max(0, min(wanted) - step))
    await store.strips.add(video_id, pictures, step if grown else 1)


def _shown(frame: Frame) -> Picture | None:
    return frame.gray.small if frame.gray is not None else frame.picture
