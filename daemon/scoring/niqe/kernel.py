"""The arithmetic of ``niqe.py``: compiled by numba, without the interpreter's lock and without torch.

Two functions are for others, ``to_gray`` and ``score_gray``. A picture is worked on block by block: a block and
its scratch space stay in the processor's own cache, and no block needs another one's result, so that a score
has the same bits wherever and beside whatever it is computed. A variance is the small difference of two large
numbers, so the window's moments are those of ``value - centre``, a whole number in the middle of the block, for which
float32 is enough but in pictures of few blocks. Its taps sum to 1 exactly: a flat area is its own mean to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.media.gray import gray_of
from daemon.runtime import jit

# Side of a block in pixels; half of it in the half-size image.
BLOCK, FEATURES = 96, 36

# The window: 7 taps of a Gaussian with a standard deviation of 7/6 pixels.
_GAUSS = np.exp(-(np.arange(4) ** 2) / (2 * (7 / 6) ** 2))
_GAUSS_TAPS = [float(tap) for tap in _GAUSS / (_GAUSS[0] + 2 * _GAUSS[1:].sum())]
# pyiqa's window is rounded to float32: its 49 weights sum to a little more than 1. See niqe.py on flat areas.
WINDOW_GAIN = float.fromhex("0x1.86p-27")
_EPSILON = float(np.finfo(np.float64).eps)
# Bicubic (a = -0.5) at half size, widened against aliasing: 8 taps, all of them whole 256ths.
_HALF0, _HALF1, _HALF2, _HALF3 = (np.float32(tap / 256) for tap in (111, 29, -9, -3))
_u = np.uintp
_ZERO, _ONE = np.float32(0), np.float32(1)
# A step of one shape moves the score of so few blocks, or of so few complete ones: their moments are float64.
_FEW_BLOCKS, _FEW_COMPLETE = 32, 64
# Rows whose sums are added in float32 before they go to the block's float64; they fill both sizes of block.
_ROWS = 24

Array = NDArray[Any]
# Sums may be reordered, so that they vectorise; not-a-number and infinity keep their meaning.
_SUMMING = {"reassoc", "contract", "nsz"}
_IN_ORDER = {"contract", "nsz"}


def _to_gray(picture: Array, white: Any, gray: Array) -> None:
    height, width = gray.shape
    inverse = _ONE / white
    for y in range(height):
        row, target = picture[y], gray[y]
        for x in range(width):
            target[x] = gray_of(row[3 * x], row[3 * x + 1], row[3 * x + 2], white, inverse)


def _taps(kind: Any) -> list[float]:
    """The window's taps, the middle one first: they sum to 1, and the type holds their products with whole codes."""
    unit = 1 << (16 if kind is np.float32 else 32)
    outer = [round(tap * unit) / unit for tap in _GAUSS_TAPS[1:]]
    return [1 - 2 * sum(outer), *outer]


@jit.part()
def _typical(plane: Array, top: int, left: int, size: int) -> Any:
    """A whole number in the middle of a block's values."""
    total = 0.0
    for y in range(4):
        for x in range(4):
            total += plane[top + (2 * y + 1) * size // 8, left + (2 * x + 1) * size // 8]
    return math.floor(total / 16 + 0.5)


@jit.part(fastmath=_SUMMING)
def _to_half(gray: Array, line: Array, half: Array) -> None:
    """Half-size image; beyond an edge the picture is mirrored, the edge pixel itself included."""
    height, width = 2 * half.shape[0], 2 * half.shape[1]
    last = 2 * height - 1
    for y in range(height // 2):
        m = 2 * y
        inner, below = gray[m], gray[m + 1]
        inner1, below1 = gray[max(m - 1, -m)], gray[min(m + 2, last - m - 2)]
        inner2, below2 = gray[max(m - 2, 1 - m)], gray[min(m + 3, last - m - 3)]
        inner3, below3 = gray[max(m - 3, 2 - m)], gray[min(m + 4, last - m - 4)]
        middle = line[3 : 3 + width]
        for x in range(width):
            pair0 = np.float32(inner[x]) + np.float32(below[x])
            pair1 = np.float32(inner1[x]) + np.float32(below1[x])
            pair2 = np.float32(inner2[x]) + np.float32(below2[x])
            pair3 = np.float32(inner3[x]) + np.float32(below3[x])
            middle[x] = _HALF0 * pair0 + _HALF1 * pair1 + _HALF2 * pair2 + _HALF3 * pair3
        for x in range(3):
            line[2 - x], line[3 + width + x] = middle[x], middle[width - 1 - x]
        for x in range(width // 2):
            pair0, pair1 = line[2 * x + 3] + line[2 * x + 4], line[2 * x + 2] + line[2 * x + 5]
            pair2, pair3 = line[2 * x + 1] + line[2 * x + 6], line[2 * x] + line[2 * x + 7]
            half[y, x] = _HALF0 * pair0 + _HALF1 * pair1 + _HALF2 * pair2 + _HALF3 * pair3


@jit.part(fastmath=_SUMMING)
def _gather(a: Array, b: Array | None, sums: Array) -> None:
    """Add up the values of ``a``, or its products with ``b``, value by value.

    To ``sums``: how many are below and above 0, the squares of those below and above, and all magnitudes.
    """
    below = above = squares_below = squares_above = magnitudes = _ZERO
    for i in range(a.size):
        value = a[i] if b is None else a[i] * b[i]
        low = value if value < _ZERO else _ZERO
        high = value if value > _ZERO else _ZERO
        below += _ONE if value < _ZERO else _ZERO
        above += _ONE if value > _ZERO else _ZERO
        squares_below += low * low
        squares_above += high * high
        magnitudes += abs(value)
    sums[0] += below
    sums[1] += above
    sums[2] += squares_below
    sums[3] += squares_above
    sums[4] += magnitudes


@jit.part()
def _nearest(table: Array, value: float) -> int:
    """Index of the entry of the rising ``table`` that is nearest to ``value``; 0 for what is not a number."""
    low, high = 0, table.size - 1
    if not value > table[low]:
        return low
    if value >= table[high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if table[middle] < value:
            low = middle
        else:
            high = middle
    return low if value - table[low] <= table[high] - value else high


@jit.part()
def _fit(sums: Array, count: int, shapes: Array) -> tuple[float, float, float, float]:
    """Shape, mean, left and right scale of the asymmetric generalised Gaussian with these moments.

    A side without a single value has no scale: not a number, and the first shape of the table.
    """
    left, right = math.sqrt(sums[2] / sums[0]), math.sqrt(sums[3] / sums[1])
    skew = left / right
    ratio = (sums[4] / count) ** 2 / ((sums[2] + sums[3]) / count)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    i = _nearest(shapes[1], ratio) if math.isfinite(ratio) else 0
    left, right = left * shapes[2, i], right * shapes[2, i]
    return shapes[0, i], (right - left) * shapes[3, i], left, right


def _window_kernels(size: int, kind: Any) -> tuple[Callable[..., None], ...]:
    """The code that turns rows of ``size`` pixels, which the compiler is to know, into rows of a map.

    ``kind`` is the type of the moments: those of ``value - centre``, so that float32 holds them.
    """
    tap0, tap1, tap2, tap3 = (kind(tap) for tap in _taps(kind))
    gain, epsilon = kind(WINDOW_GAIN), kind(_EPSILON)

    @jit.part(fastmath=_IN_ORDER)
    def across(
        plane: Array,
        extent: Any,
        top: int,
        left: int,
        centre: Any,
        start: int,
        lines: Array,
        rows: Array,
        first: Array,
        second: Array,
    ) -> None:
        """Rows from ``start`` on less ``centre``, and the window's horizontal pass: their weighted sums, then those of
        their squares.

        Row 0 is three rows above ``top``; beyond the edges of the plane the outermost pixels are repeated.
        """
        height, width = extent
        # Indices without a sign: numba would look from the end for those below 0.
        count, wide, pitch, edge = _u(first.size // size), _u(size), _u(size + 6), _u(size + 3)
        for at in range(count):
            y, place, line = _u(min(max(top + start + np.int64(at) - 3, 0), height - 1)), at * wide, at * pitch
            for x in range(wide):
                value = kind(plane[y, _u(left) + x]) - centre
                lines[line + x + _u(3)] = value
                rows[place + x] = value
            for x in range(3):
                lines[line + _u(x)] = kind(plane[y, _u(max(left - 3 + x, 0))]) - centre
                lines[line + edge + _u(x)] = kind(plane[y, _u(min(left + size + x, width - 1))]) - centre
        for at in range(count):
            place, line = at * wide, at * pitch
            for x in range(wide):
                i = line + x
                a3, a2, a1, a0 = lines[i], lines[i + _u(1)], lines[i + _u(2)], lines[i + _u(3)]
                b1, b2, b3 = lines[i + _u(4)], lines[i + _u(5)], lines[i + _u(6)]
                first[place + x] = tap0 * a0 + tap1 * (a1 + b1) + tap2 * (a2 + b2) + tap3 * (a3 + b3)
                power = tap0 * (a0 * a0) + tap1 * (a1 * a1 + b1 * b1)
                second[place + x] = power + tap2 * (a2 * a2 + b2 * b2) + tap3 * (a3 * a3 + b3 * b3)

    @jit.part(fastmath=_IN_ORDER)
    def normalise(rows: Array, first: Array, second: Array, centre: Any, values: Array, turned: Array) -> None:
        """The window's vertical pass over rows of sums, six more than there are here, then
        ``(value - mean) / (deviation + 1)``.

        To ``values``, and with its columns turned by one to the right to ``turned``.
        """
        s1, s2, s3, s4, s5, s6 = size, 2 * size, 3 * size, 4 * size, 5 * size, 6 * size
        for x in range(values.size):
            mean = tap0 * first[x + s3] + tap1 * (first[x + s2] + first[x + s4])
            mean += tap2 * (first[x + s1] + first[x + s5]) + tap3 * (first[x] + first[x + s6])
            power = tap0 * second[x + s3] + tap1 * (second[x + s2] + second[x + s4])
            power += tap2 * (second[x + s1] + second[x + s5]) + tap3 * (second[x] + second[x + s6])
            # A window whose weights sum to 1 + gain: the mean is more by that, the variance less.
            whole = mean + centre
            more = gain * whole
            variance = (power - mean * mean) - more * whole
            deviation = np.float32(math.sqrt(np.float32(abs(variance) + epsilon)))
            value = np.float32((rows[x] - mean) - more) / (deviation + _ONE)
            values[x] = value
            turned[x + 1] = value
        for x in range(0, values.size, size):
            turned[x] = values[x + size - 1]

    return across, normalise


def _block_kernel(size: int, kind: Any) -> Callable[..., Array]:
    """The code for blocks of ``size`` pixels a side."""
    across, normalise = _window_kernels(size, kind)
    parts = size // _ROWS

    @jit.part(fastmath=_SUMMING)
    def block(
        plane: Array, extent: Any, top: int, left: int, room: tuple[Array, Array, Array, Array], shapes: Array
    ) -> Array:
        """The 18 features of one block."""
        lines, rows, moments, maps = room
        first, second, values, turned = moments[0], moments[1], maps[0], maps[1]
        sums = np.zeros((5, 5))
        features = np.empty(18)
        centre = kind(_typical(plane, top, left, size))
        for part in range(parts + 1):
            if part == parts:
                # Row 0 of the maps is the block's last row, the one above its first: part 0 comes last.
                last = slice(size * size, size * size + size)
                values[:size], turned[:size] = values[last], turned[last]
            else:
                # All but the first of the parts take over the last six rows of sums.
                begin, end, kept = part * _ROWS * size, (part + 1) * _ROWS * size, min(part, 1) * 6
                new = begin + kept * size
                across(
                    plane,
                    extent,
                    top,
                    left,
                    centre,
                    part * _ROWS + kept,
                    lines,
                    rows[new:],
                    first[new : end + 6 * size],
                    second[new:],
                )
                normalise(
                    rows[begin + 3 * size :],
                    first[begin : end + 6 * size],
                    second[begin : end + 6 * size],
                    centre,
                    values[begin + size : end + size],
                    turned[begin + size : end + size + 1],
                )
            if part > 0:
                start = (part % parts * _ROWS + 1) * size
                stop = start + _ROWS * size
                here, beside = values[start:stop], turned[start:stop]
                # Products with the right neighbour in the row above are taken from that neighbour's side.
                above, corner = values[start - size : stop - size], turned[start - size : stop - size]
                _gather(here, None, sums[0])
                _gather(here, beside, sums[1])
                _gather(here, above, sums[2])
                _gather(here, corner, sums[3])
                _gather(beside, above, sums[4])
        for k in range(5):
            shape, mean, low, high = _fit(sums[k], size * size, shapes)
            if k == 0:
                features[0], features[1] = shape, (low + high) / 2
            else:
                features[4 * k - 2], features[4 * k - 1] = shape, mean
                features[4 * k], features[4 * k + 1] = low, high
        return features

    return block


@jit.part(fastmath=_SUMMING)
def _model(features: Array, mean: Array, covariance: Array) -> int:
    """Mean and covariance of the blocks' features; returns how many blocks have them all.

    A feature's mean is over the blocks that have it, the covariance over those that have all of them.
    """
    blocks, size = features.shape
    complete = np.empty(blocks, np.bool_)
    for b in range(blocks):
        complete[b] = not np.isnan(features[b]).any()
    count = complete.sum()
    centre = np.zeros(size)
    for i in range(size):
        total, known = 0.0, 0
        for b in range(blocks):
            if not np.isnan(features[b, i]):
                total += features[b, i]
                known += 1
            if complete[b]:
                centre[i] += features[b, i] / count
        mean[i] = total / known
    covariance[:] = 0
    for b in range(blocks):
        if complete[b]:
            for i in range(size):
                scaled = (features[b, i] - centre[i]) / max(count - 1, 1)
                for j in range(i + 1):
                    covariance[i, j] += scaled * (features[b, j] - centre[j])
    return int(count)


@jit.part(fastmath=_SUMMING)
def _length(offset: Array, matrix: Array) -> float:
    """``sqrt(offset' matrix^-1 offset)`` by Cholesky's decomposition, in place, of the lower half of ``matrix``."""
    total = 0.0
    for i in range(offset.size):
        for j in range(i + 1):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            if i > j:
                matrix[i, j] /= matrix[j, j]
        if not matrix[i, i] > 0:
            return math.nan
        matrix[i, i] = math.sqrt(matrix[i, i])
        for k in range(i):
            offset[i] -= matrix[i, k] * offset[k]
        offset[i] /= matrix[i, i]
        total += offset[i] * offset[i]
    return math.sqrt(total)


def _features_kernel(kind: Any) -> Callable[..., None]:
    """The code for all blocks of a picture, with moments of this type."""
    whole_block, half_block = _block_kernel(BLOCK, kind), _block_kernel(BLOCK // 2, kind)

    @jit.part()
    def room(size: int) -> tuple[Array, Array, Array, Array]:
        """Space to work in for blocks of ``size``: rows with margins, rows, their sums, two maps."""
        tall = (size + 6) * size
        lines, rows, moments = np.empty((_ROWS + 6) * (size + 6), kind), np.empty(tall, kind), np.empty((2, tall), kind)
        return lines, rows, moments, np.empty((2, (size + 1) * size + 1), np.float32)

    @jit.part()
    def fill(gray: Array, half: Array, features: Array, shapes: Array) -> None:
        """The 36 features of each block."""
        height, width = 2 * half.shape[0], 2 * half.shape[1]
        whole_room, half_room = room(BLOCK), room(BLOCK // 2)
        columns = width // BLOCK
        for b in range(features.shape[0]):
            top, left = b // columns * BLOCK, b % columns * BLOCK
            features[b, :18] = whole_block(gray, (height, width), top, left, whole_room, shapes)
            features[b, 18:] = half_block(half, half.shape, top // 2, left // 2, half_room, shapes)

    return fill


_fill_fast, _fill_exactly = _features_kernel(np.float32), _features_kernel(np.float64)


def _score_gray(gray: Array, half: Array, features: Array, shapes: Array, mean: Array, covariance: Array) -> float:
    _to_half(gray, np.empty(2 * half.shape[1] + 6, np.float32), half)
    own_mean, own_covariance = np.empty_like(mean), np.empty_like(covariance)
    complete, blocks = 0, features.shape[0]
    if blocks >= _FEW_BLOCKS:
        _fill_fast(gray, half, features, shapes)
        complete = _model(features, own_mean, own_covariance)
    if complete < min(_FEW_COMPLETE, blocks):
        _fill_exactly(gray, half, features, shapes)
        complete = _model(features, own_mean, own_covariance)
    if complete == 0:
        return math.nan
    return _length(mean - own_mean, (covariance + own_covariance) / 2)


to_gray = jit.Compiled(_to_gray)
"""``to_gray(picture, white, gray)``: the Y of YIQ, rounded to 0-255, into ``gray`` (uint8, whole blocks).

``picture`` is ``(height, 3 * width or more)``, uint8 or uint16, C order; ``white`` its brightest code as float32.
"""
score_gray = jit.Compiled(_score_gray)
"""``score_gray(gray, half, features, shapes, mean, covariance)``: the score of a gray picture, uint8 in C order.

``half`` (float32, half the size of the whole blocks, which are all that is looked at) and ``features`` (float64, one
row of 36 per block) are filled on the way; ``shapes`` is the table of ``niqe.shape_table``, ``mean`` and ``covariance``
are the model of good pictures.
"""
