"""From a decoder's planes to gray, and to RGB for some rows: swscale's whole numbers repeated, compiled by numba.

One row after the other: chroma is spread along it, then over the rows, then Y, U and V become red, green and blue,
then gray. A row and what it is made of stay in the processor's cache, and no picture in RGB is written to memory.
Every step is of 32 bits: numba would widen what is not put back into ``int32``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daemon.decode.chroma_taps import COPIES
from daemon.media.gray import gray_of
from daemon.media.scorable import FLAT_CODES
from daemon.runtime import jit

_i = np.int32
_TOP = _i((1 << 30) - 1)
_SMALLEST_UNROLLED = 16
MOST_PRODUCT = 1_450_000_000
"""A colour difference whose product is larger leaves black or white anyway; more would not fit beside luma."""


@jit.part()
def _spread_some(source: Any, first: Any, taps: Any, shift: Any, most: Any, start: Any, stop: Any, line: Any) -> None:
    for x in range(start, stop):
        at = first[x]
        total = _i(0)
        for tap in range(4):
            total = _i(total + _i(_i(source[at + tap]) * taps[x, tap]))
        line[x] = min(_i(total >> shift), most)


@jit.part()
def _spread(source: Any, first: Any, taps: Any, pattern: Any, shift: Any, most: Any, line: Any) -> None:
    """One row of chroma over all pixels of the row."""
    width = line.shape[0]
    if pattern == 0 or width < _SMALLEST_UNROLLED:
        _spread_some(source, first, taps, shift, most, 0, width, line)
        return
    end = (width - 4) // 2 * 2
    _spread_some(source, first, taps, shift, most, 0, 4, line)
    _spread_some(source, first, taps, shift, most, end, width, line)
    odd0, odd1, odd2, odd3 = taps[5, 0], taps[5, 1], taps[5, 2], taps[5, 3]
    pairs = end // 2 - 2
    here, target = source[: pairs + 4], line[4:end]
    if pattern == COPIES:
        whole = taps[4, 1]
        for x in range(pairs):
            a, b, c, d = _i(here[x + 1]), _i(here[x + 2]), _i(here[x + 3]), _i(here[x + 4])
            odd = _i(_i(_i(a * odd0) + _i(b * odd1)) + _i(_i(c * odd2) + _i(d * odd3)))
            target[2 * x] = min(_i(_i(b * whole) >> shift), most)
            target[2 * x + 1] = min(_i(odd >> shift), most)
        return
    even0, even1, even2, even3 = taps[4, 0], taps[4, 1], taps[4, 2], taps[4, 3]
    for x in range(pairs):
        a, b, c = _i(here[x]), _i(here[x + 1]), _i(here[x + 2])
        d, e = _i(here[x + 3]), _i(here[x + 4])
        even = _i(_i(_i(a * even0) + _i(b * even1)) + _i(_i(c * even2) + _i(d * even3)))
        odd = _i(_i(_i(b * odd0) + _i(c * odd1)) + _i(_i(d * odd2) + _i(e * odd3)))
        target[2 * x] = min(_i(even >> shift), most)
        target[2 * x + 1] = min(_i(odd >> shift), most)


@jit.part()
def _widen(source: Any, shift: Any, line: Any) -> None:
    """A row that has a sample of chroma for every pixel."""
    for x in range(line.shape[0]):
        line[x] = _i(_i(source[x]) << shift)


@jit.part()
def _same(line: Any, out: Any) -> None:
    for x in range(out.shape[0]):
        out[x] = _i(_i(line[x]) << 12)


@jit.part()
def _to_rgb8(luma: Any, us: Any, vs: Any, factor: Any, rgb: Any) -> None:
    black, of_y, red_v, green_v, green_u, blue_u = factor[0], factor[1], factor[2], factor[3], factor[4], factor[5]
    red, green, blue = rgb[0], rgb[1], rgb[2]
    for x in range(luma.shape[0]):
        u = _i(_i(us[x] + _i(512 - (128 << 19))) >> 10)
        v = _i(_i(vs[x] + _i(512 - (128 << 19))) >> 10)
        y = _i(_i(_i(_i(_i(luma[x]) << 9) - black) * of_y) + _i(1 << 21))
        r = _i(y + _i(v * red_v))
        g = _i(y + _i(_i(v * green_v) + _i(u * green_u)))
        b = _i(y + _i(u * blue_u))
        red[x] = _i(max(min(r, _TOP), _i(0)) >> 22)
        green[x] = _i(max(min(g, _TOP), _i(0)) >> 22)
        blue[x] = _i(max(min(b, _TOP), _i(0)) >> 22)


@jit.part()
def _to_rgb16(luma: Any, us: Any, vs: Any, factor: Any, shift: Any, rgb: Any) -> None:
    black, of_y, red_v, green_v, green_u, blue_u = factor[0], factor[1], factor[2], factor[3], factor[4], factor[5]
    most_v, most_u = _i(MOST_PRODUCT // red_v), _i(MOST_PRODUCT // blue_u)
    red, green, blue = rgb[0], rgb[1], rgb[2]
    for x in range(luma.shape[0]):
        u = _i(_i(us[x] - _i(1 << 30)) >> 14)
        v = _i(_i(vs[x] - _i(1 << 30)) >> 14)
        y = _i(_i(_i(_i(_i(luma[x]) << shift) - black) * of_y) + _i((1 << 13) - (1 << 29)))
        r = _i(y + _i(max(min(v, most_v), _i(-most_v)) * red_v))
        g = _i(y + _i(_i(v * green_v) + _i(u * green_u)))
        b = _i(y + _i(max(min(u, most_u), _i(-most_u)) * blue_u))
        red[x] = max(min(_i(_i(r >> 14) + _i(32768)), _i(65535)), _i(0))
        green[x] = max(min(_i(_i(g >> 14) + _i(32768)), _i(65535)), _i(0))
        blue[x] = max(min(_i(_i(b >> 14) + _i(32768)), _i(65535)), _i(0))


@jit.part()
def _stretch(line: Any, high: Any, inverse: Any) -> None:
    """``high`` becomes 65535, what lies between is rounded to the nearest."""
    half = high // 2 + 0.5
    for x in range(line.shape[0]):
        line[x] = min(_i((np.float64(line[x]) * 65535.0 + half) * inverse), _i(65535))


@jit.part()
def _span(line: Any, ends: Any) -> None:
    low, high = _i(ends[0]), _i(ends[1])
    for x in range(line.shape[0]):
        value = _i(line[x])
        low, high = min(low, value), max(high, value)
    ends[0], ends[1] = low, high


@jit.part()
def _gray_row(rgb: Any, white: Any, gray: Any) -> None:
    red, green, blue = rgb[0], rgb[1], rgb[2]
    inverse = np.float32(1) / white
    for x in range(gray.shape[0]):
        gray[x] = gray_of(_i(red[x]), _i(green[x]), _i(blue[x]), white, inverse)


@jit.part()
def _fill_lines(planes: Any, across: Any, depth: Any, first: Any, last: Any, ready: Any, lines: Any) -> Any:
    """Spread rows of chroma up to ``last`` along their rows, as far as they are of use from ``first`` on."""
    # What a row is spread to has 15 bits for samples of 8, else 19.
    deep = depth > 8
    shift, most = (_i(depth - 5), _i((1 << 19) - 1)) if deep else (_i(7), _i((1 << 15) - 1))
    whole = _i(19 - depth) if deep else _i(7)
    places, taps, pattern = across
    for row in range(max(ready, first), last + 1):
        for plane in range(2):
            source, line = planes[plane + 1][row], lines[plane, row % 4]
            if places.shape[0] == 0:
                _widen(source, whole, line)
            else:
                _spread(source, places, taps, pattern, shift, most, line)
    return max(ready, last + 1)


@jit.part()
def _chroma_row(lines: Any, first: Any, taps: Any, out: Any) -> None:
    """U or V of a row of pixels from the rows of chroma, or from the one that is its own."""
    if taps.shape[0] == 0:
        _same(lines[first % 4], out)
        return
    one, two, three, four = lines[first % 4], lines[(first + 1) % 4], lines[(first + 2) % 4], lines[(first + 3) % 4]
    tap0, tap1, tap2, tap3 = taps[0], taps[1], taps[2], taps[3]
    for x in range(out.shape[0]):
        upper = _i(_i(_i(one[x]) * tap0) + _i(_i(two[x]) * tap1))
        out[x] = _i(upper + _i(_i(_i(three[x]) * tap2) + _i(_i(four[x]) * tap3)))


@jit.part()
def _colours(luma: Any, us: Any, vs: Any, factor: Any, depth: Any, high: Any, rgb: Any) -> None:
    """Red, green and blue of one row of pixels."""
    if depth == 8:
        _to_rgb8(luma, us, vs, factor, rgb)
        return
    _to_rgb16(luma, us, vs, factor, _i(17 - depth), rgb)
    for channel in range(3):
        _stretch(rgb[channel], high, 1.0 / high)


@jit.part(inline=True)
def _row(
    planes: Any,
    across: Any,
    down: Any,
    factor: Any,
    depth: Any,
    high: Any,
    y: Any,
    ready: Any,
    lines: Any,
    us: Any,
    vs: Any,
    rgb: Any,
) -> Any:
    """Fill ``rgb`` with row ``y``; returns up to which row chroma is spread."""
    places, taps = down
    shared = places.shape[0] > 0
    first = places[y] if shared else y
    ready = _fill_lines(planes, across, depth, first, first + 3 if shared else y, ready, lines)
    _chroma_row(lines[0], first, taps[y : y + 1].ravel(), us)
    _chroma_row(lines[1], first, taps[y : y + 1].ravel(), vs)
    _colours(planes[0][y, : us.shape[0]], us, vs, factor, depth, high, rgb)
    return ready


@jit.part()
def _is_flat(rgb: Any, ends: Any, limit: Any) -> Any:
    """Widen what the channels span by one row."""
    for channel in range(3):
        _span(rgb[channel], ends[channel])
        if ends[channel, 1] - ends[channel, 0] > limit:
            return False
    return True


def _to_gray(
    planes: Any,
    across: Any,
    down: Any,
    factor: Any,
    depth: Any,
    high: Any,
    wanted: Any,
    lines: Any,
    gray: Any,
    rows: Any,
) -> Any:
    height, width = gray.shape
    white, limit = (np.float32(65535), FLAT_CODES * 257) if depth > 8 else (np.float32(255), FLAT_CODES)
    us, vs = np.empty(width, np.int32), np.empty(width, np.int32)
    rgb, ends = np.empty((3, width), rows.dtype), np.empty((3, 2), np.int32)
    ends[:, 0], ends[:, 1] = 65535, 0
    flat, ready, at = True, 0, 0
    for y in range(height):
        # Made where it is wanted: copying a row of three channels costs more than making it.
        row = rgb
        if at < wanted.shape[0] and wanted[at] == y:
            row = rows[at]
            at += 1
        ready = _row(planes, across, down, factor, depth, high, y, ready, lines, us, vs, row)
        _gray_row(row, white, gray[y])
        flat = flat and _is_flat(row, ends, limit)
    return flat


def _to_rgb(planes: Any, across: Any, down: Any, factor: Any, depth: Any, high: Any, lines: Any, picture: Any) -> None:
    height, width = picture.shape[0], picture.shape[1] // 3
    us, vs = np.empty(width, np.int32), np.empty(width, np.int32)
    rgb = np.empty((3, width), picture.dtype)
    ready = 0
    for y in range(height):
        ready = _row(planes, across, down, factor, depth, high, y, ready, lines, us, vs, rgb)
        _pack(rgb[0], rgb[1], rgb[2], picture[y])


@jit.part()
def _pack(red: Any, green: Any, blue: Any, row: Any) -> None:
    for x in range(red.shape[0]):
        row[3 * x], row[3 * x + 1], row[3 * x + 2] = red[x], green[x], blue[x]


def _reduce(planes: Any, side: Any, step: Any, factor: Any, depth: Any, out: Any) -> None:
    luma, u_plane, v_plane = planes
    height, width = out.shape[0], out.shape[1]
    wide = width * side
    chroma_wide = max(wide // step[0], 1)
    ys = np.empty(wide, np.int32)
    us, vs = np.empty(chroma_wide, np.int32), np.empty(chroma_wide, np.int32)
    tall, across = max(side // step[1], 1), max(side // step[0], 1)
    black, of_y, red_v, green_v, green_u, blue_u = factor[0], factor[1], factor[2], factor[3], factor[4], factor[5]
    # In 2^-9 of a code of 8 bits, as the factors want them.
    mean = np.float32(512.0 / (side * side << (depth - 8)))
    chroma_mean = np.float32(512.0 / (tall * across << (depth - 8)))
    unit, none = np.float32(1.0 / (1 << 22)), np.float32(128 << 9)
    for y in range(height):
        _add_rows(luma, y * side, side, ys)
        top = y * side // step[1]
        _add_rows(u_plane, top, tall, us)
        _add_rows(v_plane, top, tall, vs)
        for x in range(width):
            total, u_total, v_total = _i(0), _i(0), _i(0)
            for at in range(x * side, x * side + side):
                total += ys[at]
            left = min(x * side // step[0], chroma_wide - across)
            for at in range(left, left + across):
                u_total += us[at]
                v_total += vs[at]
            level = (np.float32(total) * mean - np.float32(black)) * np.float32(of_y)
            u = np.float32(u_total) * chroma_mean - none
            v = np.float32(v_total) * chroma_mean - none
            out[y, x, 0] = _code((level + v * np.float32(red_v)) * unit)
            out[y, x, 1] = _code((level + v * np.float32(green_v) + u * np.float32(green_u)) * unit)
            out[y, x, 2] = _code((level + u * np.float32(blue_u)) * unit)


@jit.part()
def _code(value: Any) -> Any:
    return np.uint8(min(max(_i(value + np.float32(0.5)), _i(0)), _i(255)))


@jit.part()
def _add_rows(plane: Any, top: Any, count: Any, sums: Any) -> None:
    for x in range(sums.shape[0]):
        sums[x] = 0
    for y in range(top, top + count):
        row = plane[y]
        for x in range(sums.shape[0]):
            sums[x] += _i(row[x])


to_gray = jit.Compiled(_to_gray)
"""``to_gray(planes, across, down, factor, depth, high, wanted, lines, gray, rows)``: whether the frame is flat.

``planes`` are Y, U and V, ``(rows, samples or more)``, uint8 or uint16; ``across`` and ``down`` the chroma taps (see
``chroma_taps``), with no samples where chroma is not shared that way; ``factor`` the six of ``chroma_taps.factors``.
``depth`` is in bits a sample; above 8, what swscale makes of white, ``high``, becomes 65535. ``lines`` is room for
``(2, 4, width)``, int16 for 8 bits, else int32. Filled: ``gray`` ``(height, width)`` uint8, and ``rows``
``(n, 3, width)``, uint8 or uint16, with the rows ``wanted`` (rising) in RGB.
"""
to_rgb = jit.Compiled(_to_rgb)
"""``to_rgb(planes, across, down, factor, depth, high, lines, picture)``: the same as RGB, ``(height, 3 * width)``."""
reduce_planes = jit.Compiled(_reduce)
"""``reduce_planes(planes, side, step, factor, depth, out)``: each ``side`` x ``side`` pixels become one of RGB, uint8.

``step`` is how many pixels share a sample of chroma along a row and down a column. For people to look at: the means of
Y, U and V are turned to RGB.
"""
