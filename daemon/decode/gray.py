"""Gray at once from a decoder's planes, for metrics that need no RGB; every bit is the filter chain's.

Only frames whose picture is their planes in RGB and nothing else come this way: no crop, no turn, no stretching, no
change of colours. Of each layout, frames go through the chain as well until one that is not flat has given
the same; a layout that differs keeps the chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from daemon.decode.chroma_taps import ACROSS_ONE, DOWN_ONE, Axis, factors, spread
from daemon.decode.picture import PictureMaker, layout
from daemon.decode.planes_kernel import reduce_planes, to_gray
from daemon.media import filters
from daemon.media.gray import FLAT_CODES, gray_of_picture
from daemon.model import GrayPicture, Picture, VideoInfo

_DEPTHS = (8, 9, 10, 12)
_LEAST_SIDE = 32
SMALL_PIXELS = 320
"""A reduced picture has at least so many pixels along its longer side, where there are so many."""
_NO_PLACES, _NO_TAPS = np.zeros(0, np.int32), np.zeros((0, 4), np.int32)


@dataclass(frozen=True, slots=True)
class GrayWanted:
    """What to make of frames from ``least_side`` pixels on: ``rows`` says which rows of so many are needed in RGB, and
    ``small`` of which ordinals a reduced picture."""

    least_side: int
    rows: Callable[[int], NDArray[np.int32]]
    small: Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the kernel needs to know of a layout; ``reduced_by`` is the side of what becomes one pixel."""

    depth: int
    high: int
    factors: NDArray[np.int32]
    across: Axis | None
    down: Axis | None
    chroma_step: tuple[int, int]
    reduced_by: int
    lines: NDArray[Any]


class GrayMaker:
    """Makes frames gray, each layout for as long as its gray is that of the chain."""

    def __init__(self, wanted: GrayWanted, pictures: PictureMaker, on_difference: Callable[[str], None]) -> None:
        self._wanted = wanted
        self._pictures = pictures
        self._on_difference = on_difference
        self._key: tuple[VideoInfo, filters.Layout] | None = None
        self._plan: _Plan | None = None
        self._proven = False

    def make(self, raw: VideoFrame, info: VideoInfo, ordinal: int) -> GrayPicture | None:
        """The gray of a frame; None where it has to go through the chain. Raises VideoError (DECODE)."""
        here = layout(raw)
        if (info, here) != self._key:
            self._key, self._proven = (info, here), False
            fits = min(here.width, here.height) >= max(self._wanted.least_side, _LEAST_SIDE)
            self._plan = _plan(raw, info, here) if fits else None
        plan = self._plan
        if plan is None:
            return None
        made = _made(raw, plan, self._wanted.rows(raw.height), small=self._wanted.small(ordinal))
        if not self._proven:
            if not _is_same(made, self._pictures.make(raw, info), self._wanted.rows(raw.height)):
                self._plan = None
                self._on_difference(f"{here.pix_fmt} {here.width}x{here.height}")
                return None
            self._proven = not made.flat
        return made


def _plan(raw: VideoFrame, info: VideoInfo, here: filters.Layout) -> _Plan | None:
    """None where the frame's picture is more than its planes in RGB, or swscale's numbers are not known."""
    name, depth = here.pix_fmt, here.bit_depth
    if not name.startswith(("yuv4", "yuvj4")) or name.startswith("yuva") or name.endswith("be") or depth not in _DEPTHS:
        return None
    if not filters.is_plain(info, here):
        return None
    full = filters.is_full_range(info.colour, name)
    known = factors(filters.matrix_of(info, here), full=full)
    chroma = raw.planes[1]
    across = spread(chroma.width, raw.width, ACROSS_ONE) if chroma.width != raw.width else None
    down = spread(chroma.height, raw.height, DOWN_ONE) if chroma.height != raw.height else None
    if (
        known is None
        or (across is None) != (chroma.width == raw.width)
        or (down is None) != (chroma.height == raw.height)
    ):
        return None
    high = ((1 << depth) - 1) << (16 - depth) if full else 255 << 8
    step = (-(-raw.width // chroma.width), -(-raw.height // chroma.height))
    reduced_by = max(max(raw.width, raw.height) // SMALL_PIXELS, 1)
    if reduced_by > 1:
        reduced_by -= reduced_by % max(step)
    lines: NDArray[Any] = np.empty((2, 4, raw.width), np.int16 if depth == 8 else np.int32)
    return _Plan(depth, high, known, across, down, step, max(reduced_by, 1), lines)


def _made(raw: VideoFrame, plan: _Plan, wanted: NDArray[np.int32], *, small: bool) -> GrayPicture:
    planes = tuple(_samples(plane, np.uint8 if plan.depth == 8 else np.uint16) for plane in raw.planes)
    gray = np.empty((raw.height, raw.width), np.uint8)
    rows: NDArray[Any] = np.empty((len(wanted), 3, raw.width), np.uint8 if plan.depth == 8 else np.uint16)
    across = (
        (plan.across.first, plan.across.taps, plan.across.regular) if plan.across else (_NO_PLACES, _NO_TAPS, False)
    )
    down = (plan.down.first, plan.down.taps) if plan.down else (_NO_PLACES, _NO_TAPS)
    flat = to_gray(planes, across, down, plan.factors, plan.depth, plan.high, wanted, plan.lines, gray, rows)
    reduced = None
    if small:
        side = plan.reduced_by
        reduced = np.empty((raw.height // side, raw.width // side, 3), np.uint8)
        reduce_planes(planes, side, plan.chroma_step, plan.factors, plan.depth, reduced)
    return GrayPicture(gray, rows, bool(flat), reduced)


def _samples(plane: Any, dtype: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    """A plane as ``(rows, samples or more)``, read-only, without a copy."""
    samples: NDArray[Any] = np.frombuffer(plane, dtype).reshape(plane.height, -1)
    samples.flags.writeable = False
    return samples


def _is_same(made: GrayPicture, picture: Picture, wanted: NDArray[np.int32]) -> bool:
    """Whether gray, rows and flatness are those of the chain's picture."""
    if picture.shape[:2] != made.gray.shape or picture.dtype != made.rows.dtype:
        return False
    limit = FLAT_CODES * (257 if picture.dtype == np.uint16 else 1)
    flat = all(int(np.ptp(picture[..., channel])) <= limit for channel in range(3))
    return (
        flat == made.flat
        and np.array_equal(picture[wanted].transpose(0, 2, 1), made.rows)
        and np.array_equal(gray_of_picture(picture), made.gray)
    )
