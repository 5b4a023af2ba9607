"""The strip of a film, made while it is scored: small pictures, evenly through the film.

As nobody knows how long a film is before its end, every frame has its picture at first; whenever there are
``MOST_PICTURES``, every other one goes, and from then on half as many are made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from daemon.export.jpeg import jpeg
from daemon.model import Frame, Picture
from daemon.store.store import Store

MOST_PICTURES = 2000
LONGEST_PIXELS = 160
QUALITY = 72


def strip_step(frame: int) -> int:
    """When this frame is scored, every how many frames have a picture.

    >>> [strip_step(frame) for frame in (0, 1999, 2000, 3999, 4000, 200_000)]
    [1, 1, 2, 2, 4, 128]
    """
    return 1 << max(0, (frame // MOST_PICTURES).bit_length())


def in_strip(frame: int) -> bool:
    """Whether a frame has a picture in the strip when it is scored."""
    return frame % strip_step(frame) == 0


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
