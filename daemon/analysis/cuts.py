"""Cuts: frames that differ from the one before by much more than their neighbours do.

The method and its figures are those of PySceneDetect's AdaptiveDetector (B. Castellano, scenedetect.com), for all
frames of a piece at once: a frame's change is the mean difference of hue, saturation and value, and a cut is a
change of at least ``min_content`` that is ``adaptive_threshold`` times the mean of the two before and the two
after it. So fast movement is no cut. A smaller change that stands out much more is taken for one, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

REACH = 2
"""Frames on either side that a change is held against."""
ALONE = 3.0
"""Half the change is a cut where it stands out so many times more."""
_HALF_TURN = 180
_SHIFT = 12
_LEAST = 0.00001
_HIGHEST = 255.0


def _division(scale: float) -> NDArray[np.int32]:
    """Per whole number, ``scale`` divided by it in 4096ths; 0 for 0."""
    numbers = np.arange(1, 256)
    return np.append(0, np.rint((scale * (1 << _SHIFT)) / numbers)).astype(np.int32)


_BY_VALUE, _BY_SPREAD = _division(255.0), _division(_HALF_TURN / 6.0)


def hsv(pictures: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Hue (0 to 179), saturation and value (0 to 255) of RGB, ``(..., 3)``, as OpenCV's 8-bit conversion has them."""
    red, green, blue = (pictures[..., at].astype(np.int32) for at in range(3))
    value = pictures.max(axis=-1).astype(np.int32)
    spread = value - pictures.min(axis=-1)
    half = 1 << (_SHIFT - 1)
    saturation = (spread * _BY_VALUE[value] + half) >> _SHIFT
    sixth = np.where(value == green, blue - red + 2 * spread, red - green + 4 * spread)
    sixth = np.where(value == red, green - blue, sixth)
    hue = (sixth * _BY_SPREAD[spread] + half) >> _SHIFT
    return np.stack([np.where(hue < 0, hue + _HALF_TURN, hue), saturation, value], axis=-1)


class Changes:
    """How much every frame differs from the one before, in codes of 0 to 255; 0 for the first one."""

    def __init__(self) -> None:
        self._last: NDArray[np.int32] | None = None

    def feed(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Of the next pictures, ``(n, height, width, 3)`` RGB."""
        now = hsv(pictures)
        if not len(now):
            return np.zeros(0)
        before = np.concatenate([now[:1] if self._last is None else self._last, now[:-1]])
        self._last = now[-1:]
        channels: Any = np.abs(now - before).sum(axis=(1, 2)) / (now.shape[1] * now.shape[2])
        change: NDArray[np.float64] = (channels[:, 0] + channels[:, 1] + channels[:, 2]) / 3.0
        return change


def stand_out(changes: NDArray[np.float64], *, adaptive_threshold: float, min_content: float) -> NDArray[np.int64]:
    """Places in ``changes`` of those that stand out from the ``REACH`` before and after; never the outermost ones.

    >>> stand_out(np.array([1.0, 1.0, 30.0, 1.0, 1.0]), adaptive_threshold=3.0, min_content=12.0).tolist()
    [2]
    """
    if len(changes) <= 2 * REACH:
        return np.zeros(0, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(changes, 2 * REACH + 1)
    own = windows[:, REACH]
    around = (windows[:, 0] + windows[:, 1] + windows[:, 3] + windows[:, 4]) / (2.0 * REACH)
    ratio = np.minimum(own / np.maximum(around, _LEAST), _HIGHEST)
    plain = (ratio >= adaptive_threshold) & (own >= min_content)
    # Another person before the same wall changes little, but in a moment where nothing else does.
    alone = (ratio >= ALONE * adaptive_threshold) & (own >= min_content / 2)
    found: NDArray[np.int64] = np.flatnonzero(plain | alone) + REACH
    return found
