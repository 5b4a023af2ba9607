"""RGB at once from a decoder's planes, for metrics that look at colour; every bit is the filter chain's.

As in ``gray``, a layout is compared with the chain before it is trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from daemon.decode.picture import PictureMaker, layout
from daemon.decode.planes import Empty, Plan, both_depths, plan_of
from daemon.decode.planes_kernel import to_rgb
from daemon.media import filters
from daemon.media.scorable import is_flat
from daemon.model import Picture, VideoInfo


class RgbMaker:
    """Makes pictures as ``PictureMaker`` does, faster where a frame's picture is no more than its planes in RGB."""

    def __init__(self, pictures: PictureMaker, on_difference: Callable[[str], None], empty: Empty = np.empty) -> None:
        self._empty = empty
        self._pictures = pictures
        self._on_difference = on_difference
        self._key: tuple[VideoInfo, filters.Layout] | None = None
        self._plan: Plan | None = None
        self._proven = False

    def make(self, raw: VideoFrame, info: VideoInfo) -> Picture:
        """The picture of a frame. Raises VideoError (DECODE)."""
        here = layout(raw)
        if (info, here) != self._key:
            self._key, self._proven = (info, here), False
            self._plan = plan_of(raw, info, here)
        if self._plan is None:
            return self._pictures.make(raw, info)
        made = _made(raw, self._plan, self._empty)
        if self._proven:
            return made
        picture = self._pictures.make(raw, info)
        if picture.dtype != made.dtype or not np.array_equal(picture, made):
            self._plan = None
            self._on_difference(f"{here.pix_fmt} {here.width}x{here.height}")
        else:
            self._proven = not is_flat(picture)
        return picture


def _made(raw: VideoFrame, plan: Plan, empty: Empty) -> Picture:
    picture: NDArray[Any] = empty((raw.height, 3 * raw.width), plan.dtype)
    to_rgb(*plan.shared(raw), plan.lines, picture)
    return picture.reshape(raw.height, raw.width, 3)


def warm_up() -> None:
    """Compile, or load what was compiled before, for frames of both depths: seconds, or a part of one."""
    for raw, plan in both_depths():
        _made(raw, plan, np.empty)
