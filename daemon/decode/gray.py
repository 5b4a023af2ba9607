"""Gray at once from a decoder's planes, for metrics that need no RGB; every bit is the filter chain's.

Of each layout, frames go through the chain as well until one that is not flat has given the same; a layout that
differs keeps the chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from daemon.decode.picture import PictureMaker, layout
from daemon.decode.planes import Empty, Plan, both_depths, plan_of
from daemon.decode.planes_kernel import reduce_planes, to_gray
from daemon.media import filters
from daemon.media.gray import gray_of_picture
from daemon.media.scorable import is_flat
from daemon.model import GrayPicture, Picture, VideoInfo

FLAT_FRAMES = 16
"""Of so many flat frames at a film's start one is compared: a title may be long in coming."""


@dataclass(frozen=True, slots=True)
class GrayWanted:
    """What to make of frames from ``least_side`` pixels on: ``rows`` says which rows of so many are needed in RGB, and
    ``small`` of which ordinals a reduced picture."""

    least_side: int
    rows: Callable[[int], NDArray[np.int32]]
    small: Callable[[int], bool]


class GrayMaker:
    """Makes frames gray, each layout for as long as its gray is that of the chain."""

    def __init__(
        self,
        wanted: GrayWanted,
        pictures: PictureMaker,
        on_difference: Callable[[str], None],
        empty: Empty = np.empty,
    ) -> None:
        self._wanted = wanted
        self._empty = empty
        self._pictures = pictures
        self._on_difference = on_difference
        self._key: tuple[VideoInfo, filters.Layout] | None = None
        self._plan: Plan | None = None
        self._proven = False
        self._flat_ones = 0

    def make(self, raw: VideoFrame, info: VideoInfo, ordinal: int) -> GrayPicture | None:
        """The gray of a frame; None where it has to go through the chain. Raises VideoError (DECODE)."""
        here = layout(raw)
        if (info, here) != self._key:
            self._key, self._proven, self._flat_ones = (info, here), False, 0
            fits = min(here.width, here.height) >= self._wanted.least_side
            self._plan = plan_of(raw, info, here) if fits else None
        plan = self._plan
        if plan is None:
            return None
        made = _made(raw, plan, self._wanted.rows(raw.height), self._empty, small=self._wanted.small(ordinal))
        if not self._proven and not (made.flat and self._flat_ones % FLAT_FRAMES):
            if not _is_same(made, self._pictures.make(raw, info), self._wanted.rows(raw.height)):
                self._plan = None
                self._on_difference(f"{here.pix_fmt} {here.width}x{here.height}")
                return None
            self._proven = not made.flat
        self._flat_ones += made.flat
        return made


def _made(raw: VideoFrame, plan: Plan, wanted: NDArray[np.int32], empty: Empty, *, small: bool) -> GrayPicture:
    shared = plan.shared(raw)
    gray = empty((raw.height, raw.width), np.uint8)
    rows: NDArray[Any] = np.empty((len(wanted), 3, raw.width), plan.dtype)
    flat = to_gray(*shared, wanted, plan.lines, gray, rows)
    reduced = None
    if small:
        side = plan.reduced_by
        reduced = empty((raw.height // side, raw.width // side, 3), np.uint8)
        reduce_planes(shared[0], side, plan.chroma_step, plan.factors, plan.depth, reduced)
    return GrayPicture(gray, rows, bool(flat), reduced)


def _is_same(made: GrayPicture, picture: Picture, wanted: NDArray[np.int32]) -> bool:
    """Whether gray, rows and flatness are those of the chain's picture."""
    if picture.shape[:2] != made.gray.shape or picture.dtype != made.rows.dtype:
        return False
    return (
        is_flat(picture) == made.flat
        and np.array_equal(picture[wanted].transpose(0, 2, 1), made.rows)
        and np.array_equal(gray_of_picture(picture), made.gray)
    )


def warm_up() -> None:
    """Compile, or load what was compiled before, for frames of both depths: seconds, or a part of one."""
    for raw, plan in both_depths():
        _made(raw, plan, np.zeros(1, np.int32), np.empty, small=True)
