"""The strip of a film, made while it is scored: small pictures, evenly through the film.

As nobody knows how long a film is before its end, every frame has its picture at first; whenever there are
``MOST_PICTURES``, every other one goes, and from then on half as many are made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from daemon.export.jpeg import jpeg
from daemon.model import Frame
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


async def keep_pictures(store: Store, video_id: int, frames: Sequence[Frame]) -> None:
    """Keep the strip's pictures of frames that follow each other."""
    wanted = [frame for frame in frames if frame.picture is not None and frame.index % strip_step(frame.index) == 0]
    if not wanted:
        return

    def make() -> dict[int, bytes]:
        return {
            frame.index: jpeg(frame.picture, quality=QUALITY, longest=LONGEST_PIXELS)
            for frame in wanted
            if frame.picture is not None
        }

    pictures = await asyncio.to_thread(make)
    step = strip_step(wanted[-1].index)
    # Only where the step has grown since the frames before: finding those that go reads the whole strip.
    grown = step != strip_step(max(0, wanted[0].index - step))
    await store.strips.add(video_id, pictures, step if grown else 1)
