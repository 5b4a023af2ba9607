"""Whether a frame is woven of two fields that show different moments: its lines alternate, like a comb.

A pixel is combed when it stands out from the lines above and below in the same way as these do from the ones beyond:
``|a - 3 b + 4 c - 3 d + e|`` over five lines, the measure of Donald Graft's and Kevin Stone's filters (TFM,
``cthresh`` and ``MI``; https://github.com/HolyWu/tivtc). A picture of one moment has few such pixels together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from daemon.media.filters import is_gray, is_rgb
from daemon.media.rules import CENTRED_CHROMA_RULES, PICTURE_RULES
from daemon.runtime import jit

_i = np.int32
BLOCK = 16
CODES = 10
"""Pixels that stand out by so many codes of 255 are combed."""
LEAST_PIXELS = 80
"""Combed pixels of a block's 256 that make it a combed block."""
STEEPER = 1.4
"""The lines of such a block differ so much more from their neighbours than from the next ones of their own field."""
LEVEL, LEVEL_STEEPER = 64, 4.0
"""Where lines differ so many times more from each other than along themselves they are ruled, as the frames of buttons
are, unless they alternate: the next line of their own field differs so many times less."""
MARKED_SHARE = 0.0
"""Frames that are marked as interlaced: one block is enough."""
UNMARKED_SHARE = 0.01
"""Others have more than this share of combed blocks: a grille or a test pattern is no film of two fields."""
_PACKED = ("uyvy", "yuyv", "yvyu", "y210", "y212", "y216", "xv30", "xv36", "xv48", "ayuv", "vuy", "vyu", "xyz", "bayer")


def is_combed(frame: VideoFrame, rules: int = PICTURE_RULES) -> bool:
    """Whether a frame must be made of one of its fields, by this version of the rules for pictures.

    Frames marked as interlaced that are clean, as most of a telecined film is, stay as they are. Before version 3 ruled
    lines were taken for a comb.
    """
    blocks, combed = _combed_blocks(frame, rules)
    return combed > blocks * (MARKED_SHARE if frame.interlaced_frame else UNMARKED_SHARE)


def has_combed_blocks(frame: VideoFrame, rules: int = PICTURE_RULES) -> bool:
    """Whether a frame may be combed if it were marked otherwise."""
    return _combed_blocks(frame, rules)[1] > 0


def _combed_blocks(frame: VideoFrame, rules: int) -> tuple[int, int]:
    """As ``combed_blocks``; a frame without lines of luma has none that are combed."""
    luma = _luma(frame)
    if luma is None:
        return 1, 0
    return combed_blocks(luma, _depth(frame), level=LEVEL if rules > CENTRED_CHROMA_RULES else 0)


def combed_blocks(luma: NDArray[Any], depth: int, *, level: int = LEVEL) -> tuple[int, int]:
    """How many blocks a plane has, and how many of them are combed. ``depth`` is its bits a sample; with ``level`` 0
    ruled lines count as well."""
    height, width = luma.shape
    found = int(_count(luma, CODES * 6 << max(depth - 8, 0), LEAST_PIXELS, STEEPER, level, LEVEL_STEEPER))
    return max((height // BLOCK) * (width // BLOCK), 1), found


def _depth(frame: VideoFrame) -> int:
    """Bits a sample of luma; some layouts keep their bits at the upper end of 16."""
    bits = int(frame.format.components[0].bits)
    return 16 if bits > 8 and frame.format.name.startswith(("p0", "p2", "p4")) else bits


def _luma(frame: VideoFrame) -> NDArray[Any] | None:
    """The plane of luma as it lies in memory; None for layouts without one, and for pictures too small to tell."""
    name = frame.format.name
    if is_rgb(name) or is_gray(name) or name.startswith(_PACKED) or name.endswith("be") or not frame.planes:
        return None
    kind = np.dtype(np.uint8 if frame.format.components[0].bits <= 8 else np.uint16)
    if frame.height < 2 * BLOCK or frame.width < 2 * BLOCK:
        return None
    plane = frame.planes[0]
    rows: NDArray[Any] = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
    return rows[: frame.height, : frame.width]


@jit.part()
def _stand_out_8(a: Any, b: Any, c: Any, d: Any, e: Any, threshold: Any, counts: Any) -> None:
    """Count the pixels of one line that stand out. All of it fits 16 bits, and the processor does many at once."""
    for x in range(counts.shape[0]):
        found = _i(a[x]) + 4 * _i(c[x]) + _i(e[x]) - 3 * (_i(b[x]) + _i(d[x]))
        counts[x] = np.uint8(counts[x] + (np.uint16(found + threshold) > np.uint16(2 * threshold)))


@jit.part()
def _stand_out_16(a: Any, b: Any, c: Any, d: Any, e: Any, threshold: Any, counts: Any) -> None:
    for x in range(counts.shape[0]):
        found = _i(a[x]) + 4 * _i(c[x]) + _i(e[x]) - 3 * (_i(b[x]) + _i(d[x]))
        counts[x] = np.uint8(counts[x] + (np.uint32(found + threshold) > np.uint32(2 * threshold)))


@jit.part()
def _is_steep(luma: Any, top: int, end: int, left: int, steeper: float, level: int, level_steeper: float) -> bool:
    """Whether the lines of a block alternate, and are not ruled."""
    right = left + 16
    between = within = along = _i(0)
    for y in range(top, end):
        a, b, c = luma[y - 2, left:right], luma[y - 1, left:right], luma[y, left:right]
        d, e = luma[y + 1, left:right], luma[y + 2, left:right]
        for x in range(16):
            here = _i(c[x])
            between = _i(between + _i(abs(_i(here - _i(b[x]))) + abs(_i(here - _i(d[x])))))
            within = _i(within + _i(abs(_i(here - _i(a[x]))) + abs(_i(here - _i(e[x])))))
        for x in range(15):
            along = _i(along + abs(_i(_i(c[x + 1]) - _i(c[x]))))
    level_lines = level > 0 and level * np.int64(along) < between
    ruled = level_lines and between <= level_steeper * within
    return bool(between > steeper * within and not ruled)


def _count_combed(luma: Any, threshold: int, least: int, steeper: float, level: int, level_steeper: float) -> int:
    height, width = luma.shape
    blocks = 0
    columns = width // 16
    counts = np.zeros(columns * 16, np.uint8)
    for top in range(0, height // 16 * 16, 16):
        counts[:] = 0
        first, end = max(top, 2), min(top + 16, height - 2)
        for y in range(first, end):
            a, b, c, d, e = luma[y - 2], luma[y - 1], luma[y], luma[y + 1], luma[y + 2]
            if luma.itemsize == 1:
                _stand_out_8(a, b, c, d, e, _i(threshold), counts)
            else:
                _stand_out_16(a, b, c, d, e, _i(threshold), counts)
        for column in range(columns):
            found = 0
            for x in range(column * 16, column * 16 + 16):
                found += counts[x]
            # Of most films hardly any block comes so far.
            if found > least and _is_steep(luma, first, end, column * 16, steeper, level, level_steeper):
                blocks += 1
    return blocks


_count = jit.Compiled(_count_combed)


def warm_up() -> None:
    """Compile, or load what was compiled before, for planes of both depths, with and without room behind their rows."""
    for pix_fmt in ("yuv420p", "yuv420p10le"):
        for width in (2 * BLOCK * 4, 2 * BLOCK * 4 + 2):
            is_combed(VideoFrame(width, 2 * BLOCK, pix_fmt))
