"""Which frames may be converted straight from their planes, and what the compiled code needs to know of them.

Only frames whose picture is their planes in RGB and nothing else: no crop, no turn, no stretching, no other colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from daemon.decode.chroma_taps import ACROSS_ONE, DOWN_ONE, Axis, factors, spread
from daemon.media import filters
from daemon.model import VideoInfo

Empty: TypeAlias = Callable[[tuple[int, ...], Any], NDArray[Any]]
"""Gives an array of a shape and a type, as ``np.empty`` does."""
_DEPTHS = (8, 9, 10, 12)
_LEAST_SIDE = 32
SMALL_PIXELS = 160
"""A reduced picture has at least so many pixels along its longer side, where there are so many."""
_NO_PLACES, _NO_TAPS = np.zeros(0, np.int32), np.zeros((0, 4), np.int32)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the kernel needs to know of a layout; ``reduced_by`` is the side of what becomes one pixel."""

    depth: int
    high: int
    factors: NDArray[np.int32]
    across: Axis | None
    down: Axis | None
    chroma_step: tuple[int, int]
    reduced_by: int
    lines: NDArray[Any]

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Of a sample, as decoded and in RGB."""
        return np.uint8 if self.depth == 8 else np.uint16

    def shared(self, raw: VideoFrame) -> tuple[Any, ...]:
        """What all compiled functions take first."""
        across = (
            (self.across.first, self.across.taps, self.across.pattern)
            if self.across is not None
            else (_NO_PLACES, _NO_TAPS, 0)
        )
        down = (self.down.first, self.down.taps) if self.down is not None else (_NO_PLACES, _NO_TAPS)
        planes = tuple(samples_of(plane, self.dtype) for plane in raw.planes)
        return planes, across, down, self.factors, self.depth, self.high


def plan_of(raw: VideoFrame, info: VideoInfo, here: filters.Layout) -> Plan | None:
    """None where the frame's picture is more than its planes in RGB, or swscale's numbers are not known."""
    name, depth = here.pix_fmt, here.bit_depth
    if not name.startswith(("yuv4", "yuvj4")) or name.startswith("yuva") or name.endswith("be") or depth not in _DEPTHS:
        return None
    if min(here.width, here.height) < _LEAST_SIDE or not filters.is_plain(info, here):
        return None
    full = filters.is_full_range(info.colour, name)
    return planned(raw, filters.matrix_of(info, here), filters.chroma_place(info, name), full=full)


def planned(raw: VideoFrame, matrix: str, place: tuple[float, float], *, full: bool) -> Plan | None:
    """The plan for a frame of three planes with this matrix, place of chroma and range."""
    known, depth = factors(matrix, full=full), raw.format.components[0].bits
    chroma = raw.planes[1]
    across = spread(chroma.width, raw.width, ACROSS_ONE, place[0]) if chroma.width != raw.width else None
    down = spread(chroma.height, raw.height, DOWN_ONE, place[1]) if chroma.height != raw.height else None
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
    return Plan(depth, high, known, across, down, step, max(reduced_by, 1), lines)


def both_depths() -> Iterator[tuple[VideoFrame, Plan]]:
    """A small frame of each depth and its plan, for which compiled code is loaded before a film needs it."""
    for pix_fmt in ("yuv420p", "yuv420p10le"):
        raw = VideoFrame(64, 64, pix_fmt)
        plan = planned(raw, "bt709", (0.0, 0.5), full=False)
        if plan is not None:
            yield raw, plan


def samples_of(plane: Any, dtype: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    """A plane as ``(rows, samples or more)``, read-only, without a copy."""
    samples: NDArray[Any] = np.frombuffer(plane, dtype).reshape(plane.height, -1)
    samples.flags.writeable = False
    return samples
