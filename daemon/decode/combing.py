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
from daemon.runtime.jit import Compiled

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


def _count_combed(luma: Any, threshold: int, least: int, steeper: float, level: int, level_steeper: float) -> int:
    height, width = luma.shape
    blocks = 0
    columns = width // 16
    counts = np.zeros(columns, np.int32)
    between = np.zeros(columns, np.int64)
    within = np.zeros(columns, np.int64)
    along = np.zeros(columns, np.int64)
    for top in range(0, height // 16 * 16, 16):
        counts[:] = 0
        between[:] = 0
        within[:] = 0
        along[:] = 0
        for y in range(max(top, 2), min(top + 16, height - 2)):
            for column in range(columns):
                found = steps = fields = level_steps = np.int32(0)
                for x in range(column * 16, column * 16 + 16):
                    b, c, d = np.int32(luma[y - 1, x]), np.int32(luma[y, x]), np.int32(luma[y + 1, x])
                    a, e = np.int32(luma[y - 2, x]), np.int32(luma[y + 2, x])
                    found += abs(a + 4 * c + e - 3 * (b + d)) > threshold
                    steps += abs(c - b) + abs(c - d)
                    fields += abs(c - a) + abs(c - e)
                    level_steps += abs(c - np.int32(luma[y, x - 1])) if x > column * 16 else np.int32(0)
                counts[column] += found
                between[column] += steps
                within[column] += fields
                along[column] += level_steps
        for column in range(columns):
            level_lines = level > 0 and level * along[column] < between[column]
            ruled = level_lines and between[column] <= level_steeper * within[column]
            blocks += counts[column] > least and between[column] > steeper * within[column] and not ruled
    return blocks


_count = Compiled(_count_combed)


def warm_up() -> None:
    """Compile, or load what was compiled before, for planes of both depths, with and without room behind their rows."""
    for pix_fmt in ("yuv420p", "yuv420p10le"):
        for width in (2 * BLOCK * 4, 2 * BLOCK * 4 + 2):
            is_combed(VideoFrame(width, 2 * BLOCK, pix_fmt))
