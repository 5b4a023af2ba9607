"""Bicubic enlarging in numpy, bit for bit what torch's ``interpolate`` gives on x86.

Keys' kernel with a = -0.75 (Keys: Cubic Convolution Interpolation for Digital Image Processing, IEEE Transactions on
Acoustics, Speech, and Signal Processing 29, 1981), samples at pixel centres, edges repeated: torch's ``bicubic`` with
``align_corners=False``. Scores of small pictures depend on every bit of it, so each step is rounded where torch rounds:
it computes in float32, with some steps fused (one rounding for ``a * b + c``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from daemon.model import Picture

_A = np.float32(-0.75)
_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
TAPS = (-1, 0, 1, 2)
"""Source samples that one sample is made of, counted from the one at or before its place."""
WHITE = 65535.0
STRIP_ROWS = 64

Samples = NDArray[np.float32]
Axis = tuple[tuple[NDArray[np.intp], ...], tuple[Samples, ...]]
"""Per tap, the source index and the weight of every sample along one axis."""


def enlarge(picture: Picture, rows: int, columns: int) -> NDArray[np.uint16]:
    """The picture, ``(height, width, 3)`` of uint8 or uint16, at ``(rows, columns, 3)``; white is 65535."""
    white = np.float32(np.iinfo(picture.dtype).max)
    height, width, _ = picture.shape
    across = _axis(width, columns)
    wide = np.empty((height, columns, 3), np.float32)
    for strip in _strips(height):
        wide[strip] = _along(picture[strip].astype(np.float32) / white, across, axis=1)
    indices, weights = _axis(height, rows)
    enlarged = np.empty((rows, columns, 3), np.uint16)
    for strip in _strips(rows):
        down = tuple(index[strip] for index in indices), tuple(weight[strip] for weight in weights)
        enlarged[strip] = np.round(np.clip(_along(wide, down, axis=0), 0.0, 1.0) * np.float32(WHITE))
    return enlarged


def _strips(rows: int) -> Iterator[slice]:
    """What is computed is held in float64 for a moment: for a few rows at once."""
    return (slice(start, start + STRIP_ROWS) for start in range(0, rows, STRIP_ROWS))


def _along(samples: Samples, places: Axis, axis: int) -> Samples:
    indices, weights = places
    taps = [np.take(samples, index, axis=axis) for index in indices]
    shape = (1, -1, 1) if axis else (-1, 1, 1)
    return _weighted(taps, [weight.reshape(shape) for weight in weights])


def _weighted(taps: Sequence[Samples], weights: Sequence[Samples]) -> Samples:
    """The sum of four products in torch's order: the second first, then the others fused to it."""
    total = taps[1] * weights[1]
    for tap in (0, 2, 3):
        total = _fused(taps[tap], weights[tap], total)
    return total


@lru_cache(maxsize=8)
def _axis(source: int, wanted: int) -> Axis:
    scale = np.float32(source) / np.float32(wanted)
    places = _fused(scale, np.arange(wanted, dtype=np.float32) + _HALF, -_HALF)
    before = np.floor(places)
    after = places - before
    indices = tuple(np.clip(before.astype(np.intp) + tap, 0, source - 1) for tap in TAPS)
    ahead = _ONE - after
    return indices, (_outer(after + _ONE), _inner(after), _inner(ahead), _outer(ahead + _ONE))


def _inner(distance: Samples) -> Samples:
    """The kernel up to a distance of one sample: ``(a + 2) x³ - (a + 3) x² + 1``."""
    two, three = np.float32(2.0), np.float32(3.0)
    return _fused(_A + two, distance, -(_A + three)) * distance * distance + _ONE


def _outer(distance: Samples) -> Samples:
    """The kernel from one to two samples: ``a x³ - 5a x² + 8a x - 4a``."""
    four, five, eight = np.float32(4.0), np.float32(5.0), np.float32(8.0)
    cubic = _fused(_fused(_A, distance, -five * _A), distance, eight * _A)
    return cubic * distance - four * _A


def _fused(a: np.float32 | Samples, b: Samples, c: np.float32 | Samples) -> Samples:
    """``a * b + c`` with a single rounding: the product of two float32 is exact in float64."""
    return (np.multiply(a, b, dtype=np.float64) + c).astype(np.float32)
