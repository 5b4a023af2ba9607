"""Pictures brought to a network's size: whole ones into a square, and turned parts of them. Plain numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def letterbox(picture: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float32], float, tuple[float, float]]:
    """A picture ``(h, w, 3)`` in the middle of a black square: float32 ``(side, side, 3)`` of 0 to 255.

    Also its scale, and where its upper left corner lies in the square (x, y). Each pixel is a mean of what it covers,
    in a large picture of some of it.
    """
    height, width = picture.shape[:2]
    step = max(max(height, width) // (3 * side), 1)
    scale = side / max(height, width)
    rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
    small = _averaged(_averaged(picture[::step, ::step], rows, 0), columns, 1)
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
    picture, centre = _part(picture, centre, size)
    step = max(int(size / (2 * side)), 1)
    if step > 1:
        height, width = (length // step * step for length in picture.shape[:2])
        parts = picture[:height, :width].reshape(height // step, step, width // step, step, 3)
        picture, centre, size = parts.mean(axis=(1, 3)).astype(np.uint8), centre / step, size / step
    grid = (((np.arange(side) + 0.5) / side - 0.5) * size).astype(np.float32)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x = np.float32(centre[0] - 0.5) + cosine * grid - sine * grid[:, None]
    y = np.float32(centre[1] - 0.5) + sine * grid + cosine * grid[:, None]
    # One black pixel around the picture is all that lies beyond its edges.
    edged = np.pad(picture, ((1, 1), (1, 1), (0, 0)))
    height, width = edged.shape[:2]
    x, y = np.clip(x + 1, 0, width - 1.001), np.clip(y + 1, 0, height - 1.001)
    left, top = x.astype(np.int32), y.astype(np.int32)
    right_share, lower_share = (x - left)[..., None], (y - top)[..., None]
    flat, first = edged.reshape(-1, 3), top * width + left
    upper = flat[first] * (1 - right_share) + flat[first + 1] * right_share
    lower = flat[first + width] * (1 - right_share) + flat[first + width + 1] * right_share
    found: NDArray[np.float32] = (upper * (1 - lower_share) + lower * lower_share).astype(np.float32)
    return found


def _part(
    picture: NDArray[np.uint8], centre: NDArray[np.float64], size: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """As much of a picture as a square of ``size`` around ``centre`` can need, however it is turned; and its centre."""
    height, width = picture.shape[:2]
    reach = size * 0.71 + 2
    left, top = int(np.clip(centre[0] - reach, 0, width - 1)), int(np.clip(centre[1] - reach, 0, height - 1))
    right, bottom = int(np.clip(centre[0] + reach, left, width)), int(np.clip(centre[1] + reach, top, height))
    return picture[top : bottom + 1, left : right + 1], centre - [left, top]


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
