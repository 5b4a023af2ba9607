"""Pictures brought to a network's size: whole ones into a square, and turned parts of them. Plain numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def letterbox(picture: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float32], float, tuple[float, float]]:
    """A picture ``(h, w, 3)`` in the middle of a black square: float32 ``(side, side, 3)`` of 0 to 255.

    Also its scale, and where its upper left corner lies in the square (x, y). Each pixel is the mean of what it covers.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
    small = _averaged(_averaged(picture, rows, 0), columns, 1)
    top, left = (side - rows) // 2, (side - columns) // 2
    square = np.zeros((side, side, 3), np.float32)
    square[top : top + rows, left : left + columns] = small
    return square, scale, (float(left), float(top))


def turned(
    picture: NDArray[np.uint8], centre: NDArray[np.float64], size: float, angle: float, side: int
) -> NDArray[np.float32]:
    """The square of ``size`` pixels around ``centre`` (x, y), turned by ``angle`` radians, as ``(side, side, 3)``.

    Bilinear; black beyond the picture's edges. A part that is much larger than ``side`` is made smaller first.
    """
    step = max(int(size / (2 * side)), 1)
    if step > 1:
        height, width = (length // step * step for length in picture.shape[:2])
        parts = picture[:height, :width].reshape(height // step, step, width // step, step, 3)
        picture, centre, size = parts.mean(axis=(1, 3)).astype(np.uint8), centre / step, size / step
    grid = ((np.arange(side) + 0.5) / side - 0.5) * size
    across, down = np.meshgrid(grid, grid)
    x = centre[0] + across * np.cos(angle) - down * np.sin(angle) - 0.5
    y = centre[1] + across * np.sin(angle) + down * np.cos(angle) - 0.5
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right_share, lower_share = (x - left)[..., None], (y - top)[..., None]
    upper = _at(picture, top, left) * (1 - right_share) + _at(picture, top, left + 1) * right_share
    lower = _at(picture, top + 1, left) * (1 - right_share) + _at(picture, top + 1, left + 1) * right_share
    found: NDArray[np.float32] = (upper * (1 - lower_share) + lower * lower_share).astype(np.float32)
    return found


def _at(picture: NDArray[np.uint8], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    found: NDArray[np.float32] = picture[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)].astype(
        np.float32
    )
    found *= inside[..., None]
    return found


def _averaged(picture: NDArray[np.generic], length: int, axis: int) -> NDArray[np.float32]:
    """``picture`` with ``length`` places along an axis: means of what each covers, or the nearest."""
    count = picture.shape[axis]
    edges = np.linspace(0, count, length + 1)
    if length >= count:
        nearest: NDArray[np.float32] = np.take(picture, edges[:-1].astype(np.int64), axis=axis).astype(np.float32)
        return nearest
    starts = np.floor(edges[:-1]).astype(np.int64)
    sums: NDArray[np.float32] = np.add.reduceat(picture, starts, axis=axis, dtype=np.float32)
    sizes = np.diff(np.append(starts, count)).astype(np.float32)
    sums /= sizes.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    return sums
