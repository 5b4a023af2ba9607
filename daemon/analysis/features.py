"""What is kept of a picture to choose by: a tiny colour thumbnail and a few figures, as one short record.

A record depends on its picture alone, never on its neighbours or on what was decoded before, so that it is the
same after a restart. ``measure`` makes records, this module says what is in them and reads them back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

VERSION = 1
"""Raised whenever a record's layout or the meaning of a figure changes; older records count as missing."""

GRID = (9, 16)
"""Rows and columns of the thumbnail, whatever the picture's shape."""

RECORD = np.dtype(
    [
        ("version", "u1"),
        ("thumbnail", "u1", (*GRID, 3)),
        ("mean", "<f4"),
        ("contrast", "<f4"),
        ("low", "u1"),
        ("high", "u1"),
        ("dark", "<f4"),
        ("light", "<f4"),
        ("entropy", "<f4"),
        ("plain", "<f4"),
        ("still", "<f4"),
        ("sharp_x", "<f4"),
        ("sharp_y", "<f4"),
        ("blocks", "<f4"),
    ]
)
"""One frame's record. Luma is BT.601's in codes of 0 to 255, whatever the picture's depth.

``thumbnail``: RGB, each cell the mean of its part of the picture. ``mean``, ``contrast``: mean and standard
deviation of luma. ``low``, ``high``: its first and 99th percentile. ``dark``, ``light``: the share of pixels
clipped at black (at most 5) and at white (from 250). ``entropy``: of luma in 32 classes, in bits (0 to 5).
``plain``: the largest share of pixels within five neighbouring codes. ``still``: the share of pixels that
differ from the ones to the right and below by at most one code. ``sharp_x``, ``sharp_y``: mean squared
difference of luma to the right and downwards, over the variance of luma: Tenengrad's idea (Krotkov, "Focusing",
1987) made independent of exposure. ``blocks``: how much larger the steps are at every eighth column than in
between, 1 where there is no grid (after Wang, Bovik, Evans, "Blind measurement of blocking artifacts", 2000).
"""

Records = NDArray[np.void]


def unpack(blobs: Sequence[bytes | None]) -> Records:
    """Records from their stored form; those that are missing or of another version have ``version`` 0."""
    size = RECORD.itemsize
    blank = bytes(size)
    whole = b"".join(blob if blob is not None and len(blob) == size else blank for blob in blobs)
    records = np.frombuffer(whole, RECORD)
    if not (records["version"] == VERSION).all():
        records = records.copy()
        records["version"][records["version"] != VERSION] = 0
    return records


SKETCH = 168
"""Numbers in a sketch: 144 of luma, 24 of colour."""


def sketch(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Thumbnails ``(n, 9, 16, 3)`` as vectors ``(n, 168)`` whose distance says how unlike they look.

    Luma of every cell, and the two colour differences of 3 x 4 larger ones, each plane with the same weight, so
    that the root mean square over all numbers is in codes of 0 to 255.
    """
    rgb = thumbnails.astype(np.float32)
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    count = len(thumbnails)
    coarse = rgb.reshape(count, 3, 3, 4, 4, 3).mean(axis=(2, 4))
    level = coarse @ np.array([0.299, 0.587, 0.114], np.float32)
    blue, red = coarse[..., 2] - level, coarse[..., 0] - level
    planes = (luma.reshape(count, -1), blue.reshape(count, -1), red.reshape(count, -1))
    # A plane's weight is the sum over its numbers; chroma's 12 stand for as many as luma's 144.
    scaled = [plane * np.float32((SKETCH / 3 / plane.shape[1]) ** 0.5) for plane in planes]
    return np.concatenate(scaled, axis=1)


def view(sketches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sketches without their level and contrast, of length 1: the dot product of two is their correlation.

    What is seen stays when only the light changes. A sketch without any contrast becomes zero.
    """
    luma = sketches[:, : GRID[0] * GRID[1]]
    centred = luma - luma.mean(axis=1, keepdims=True)
    rest = sketches[:, GRID[0] * GRID[1] :]
    whole = np.concatenate([centred, rest - rest.mean(axis=1, keepdims=True)], axis=1)
    length = np.linalg.norm(whole, axis=1, keepdims=True)
    empty = length < 2.0 * SKETCH**0.5
    return np.where(empty, 0, whole / np.maximum(length, 1e-6)).astype(np.float32)


class ViewFinder:
    """Divides a film into stretches in which one thing is seen, whatever the light: a still camera gives long ones.

    Every frame of a stretch correlates with its first one by ``SAME`` or more.
    """

    SAME = 0.96

    def __init__(self) -> None:
        self._first = np.zeros(SKETCH, np.float32)
        self._number = -1
        self._numbers: list[NDArray[np.int64]] = []

    def feed(self, sketches: NDArray[np.float32]) -> None:
        """The next frames."""
        views = view(sketches)
        numbers = np.empty(len(views), np.int64)
        at = 0
        while at < len(views):
            other = np.flatnonzero(views[at : at + 256] @ self._first < self.SAME)
            end = at + int(other[0]) if len(other) else min(at + 256, len(views))
            numbers[at:end] = self._number
            if len(other):
                self._number += 1
                self._first = views[end]
                numbers[end] = self._number
                end += 1
            at = end
        self._numbers.append(numbers)

    def found(self) -> NDArray[np.int64]:
        """Per frame the number of its stretch, rising with time."""
        return np.concatenate(self._numbers) if self._numbers else np.zeros(0, np.int64)
