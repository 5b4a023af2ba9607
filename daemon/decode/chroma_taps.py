"""The whole numbers by which swscale turns YUV to RGB: taps that spread chroma over pixels, and matrix factors.

Written after what swscale of FFmpeg 8 computes for ``bicubic`` (Mitchell and Netravali's family with B = 0, C = 0.6:
"Reconstruction Filters in Computer Graphics", SIGGRAPH 1988) with ``accurate_rnd+full_chroma_int``. What is here is
right where its results have the bits of the filter chain, which is compared for the first frames of every film.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

TAPS = 4
ACROSS_ONE, DOWN_ONE = 1 << 14, 1 << 12
"""What the taps of one sample sum up to, along rows and along columns."""

PAIRS, COPIES = 1, 2

_C = 0.6
_WINDOW = 5
_CUT_OFF = 0.002
"""Outer taps that together are no more than this are dropped."""
_UNIT = 1 << 54


@dataclass(frozen=True, slots=True)
class Axis:
    """Per output sample the first source sample, ``(n,)``, and its taps, ``(n, 4)``; both int32.

    ``pattern`` says how all but the outermost samples are made: by two sets of taps by turns (``PAIRS``), or the even
    ones copied and the odd ones by one set (``COPIES``); 0 where each has taps of its own.
    """

    first: NDArray[np.int32]
    taps: NDArray[np.int32]
    pattern: int


@lru_cache(maxsize=16)
def spread(source: int, wanted: int, one: int, place: float = 0.5) -> Axis | None:
    """Taps that make ``wanted`` samples of ``source``, both lying over the same length; None for what is not bicubic.

    A source sample lies between the first (``place`` 0) and the last (1) of the samples that are made of it. Weights
    are computed in whole 2^-54, as the last bit of a tap hangs on how they are rounded.
    """
    if source < _WINDOW + 2 or wanted < source or wanted > 4 * source:
        return None
    step = ((source << 16) + (wanted >> 1)) // wanted
    weights = np.zeros((wanted, _WINDOW), object)
    first = [0] * wanted
    # Places are in 2^-17 of a source sample, whose own is in 2^-8: 128 is its middle. The first output sample's centre
    # is half a step from the edge.
    shared_by = -(-wanted // source)
    at_source = (round(256 * place) * (shared_by - 1) + 128) // shared_by
    at_output = step - (at_source << 9)
    for at in range(wanted):
        first[at] = _toward_zero(at_output - (_WINDOW - 2) * (1 << 16), 1 << 17)
        for tap in range(_WINDOW):
            weights[at, tap] = _weight(abs((first[at] + tap) * (1 << 17) - at_output) << 13)
        at_output += 2 * step
    size = _trim(weights, first)
    if size > TAPS:
        return None
    taps = np.zeros((wanted, TAPS), np.int32)
    for at in range(wanted):
        row = [int(weights[at, tap]) for tap in range(TAPS)]
        first[at] = _within(row, first[at], source)
        taps[at] = _whole(row, one)
    return Axis(np.array(first, np.int32), taps, _pattern(first, taps, one))


def _toward_zero(value: int, by: int) -> int:
    return value // by if value >= 0 else -(-value // by)


def _weight(distance: int) -> int:
    """The kernel at a distance in 2^-30 of a sample, in 2^-54."""
    c = int(_C * (1 << 24))
    square = distance * distance >> 30
    cube = square * distance >> 30
    if distance < 1 << 30:
        return (12 * (1 << 24) - 6 * c) * cube + (-18 * (1 << 24) + 6 * c) * square + 6 * (1 << 24) * (1 << 30)
    if distance < 1 << 31:
        return -6 * c * cube + 30 * c * square - 48 * c * distance + 24 * c * (1 << 30)
    return 0


def _trim(weights: NDArray[np.object_], first: list[int]) -> int:
    """Move near zeros on the left out of the windows, where they stay in order; returns how many taps are left."""
    size, wanted = 0, len(first)
    for at in reversed(range(wanted)):
        dropped = 0
        for _ in range(_WINDOW):
            dropped += abs(weights[at, 0])
            if dropped > _CUT_OFF * _UNIT or (at < wanted - 1 and first[at] >= first[at + 1]):
                break
            weights[at, :-1] = weights[at, 1:]
            weights[at, -1] = 0
            first[at] += 1
        dropped, own = 0, _WINDOW
        for tap in reversed(range(1, _WINDOW)):
            dropped += abs(weights[at, tap])
            if dropped > _CUT_OFF * _UNIT:
                break
            own -= 1
        size = max(size, own)
    return size


def _within(row: list[int], first: int, source: int) -> int:
    """Give what a window has beyond an edge to the sample at the edge; returns where the window begins then."""
    if first < 0:
        for tap in range(1, TAPS):
            weight, row[tap] = row[tap], 0
            row[max(tap + first, 0)] += weight
        return 0
    beyond = first + TAPS - source
    if beyond > 0:
        outside = sum(row[TAPS - beyond :])
        row[:] = [0] * beyond + row[: TAPS - beyond]
        row[TAPS - 1] += outside
        return first - beyond
    return first


def _whole(row: list[int], one: int) -> list[int]:
    """Weights as whole numbers that sum to ``one``: what rounding takes from a tap is given to the next."""
    unit = (sum(row) + one // 2) // one
    taps, carried = [], 0
    for weight in row:
        value = weight + carried
        tap = (value + unit // 2) // unit if value >= 0 else -((-value + unit // 2) // unit)
        taps.append(tap)
        carried = value - tap * unit
    return taps


def _pattern(first: list[int], taps: NDArray[np.int32], one: int) -> int:
    """How all samples but the outer four at each end are made."""
    inner = range(4, len(first) - 4)
    by_turns = len(first) > 16 and all((taps[start:-4:2] == taps[start]).all() for start in (4, 5))
    if not by_turns:
        return 0
    if all(first[at] == (at >> 1) - 2 + (at & 1) for at in inner):
        return PAIRS
    if all(first[at] == (at >> 1) - 1 for at in inner) and taps[4].tolist() == [0, one, 0, 0]:
        return COPIES
    return 0


_MATRICES = {
    "bt709": (117489, 138438, 13975, 34925),
    "smpte170m": (104597, 132201, 25675, 53279),
    "fcc": (104448, 132798, 24759, 53109),
    "smpte240m": (117579, 136230, 16907, 35559),
    "bt2020": (110013, 140363, 12277, 42626),
}
"""Per matrix, in 2^-16: red of V, blue of U, green of U and of V, both negative; for limited range."""


def factors(matrix: str, *, full: bool) -> NDArray[np.int32] | None:
    """Black's place, and the factors of Y, red V, green V, green U and blue U, in swscale's whole numbers."""
    known = _MATRICES.get(matrix)
    if known is None:
        return None
    red_v, blue_u, green_u, green_v = known
    scale = [1 << 16, red_v, -green_v, -green_u, blue_u]
    if full:
        scale[1:] = [_toward_zero(value * 224, 255) for value in scale[1:]]
    else:
        scale[0] = (scale[0] * 255) // 219
    rounded = [(value * (1 << 13) + (1 << 15)) >> 16 for value in scale]
    return np.array([0 if full else 16 << 9, *rounded], np.int32)
