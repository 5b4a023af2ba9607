"""What faces make of a picture's worth: open eyes, a face that looks this way, sharp, with nothing of the head cut off.

A preference among pictures that are chosen from anyway: it makes none of them worthless, and none without faces worse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daemon.model import Face

LEAST_SIZE = 0.05
"""Smaller faces, in shares of the picture's height, do not count."""
OPEN, CLOSED = 0.35, 0.7
"""Up to this blink eyes are open, from that on they are closed; small faces have higher figures with open eyes."""
ASIDE, FRONT = 0.3, 0.8
CUT = 0.4
"""The share of a head that is cut off with which as good as nothing is left of it."""
SOFT, SHARP = 0.3, 0.8
"""A face's sharpness, as a share of the sharpest that it has near by."""
EYES, TURNED, WHOLE, FOCUS = 0.6, 0.5, 0.5, 0.5
"""How much of a face's worth each takes at most."""
GAIN, LARGE = 0.25, 0.25
"""What good faces add to a picture's worth, and how high they must be together for all of it."""
AROUND_SECONDS = 0.6
"""How far from the best frame of a moment others are looked at."""
LOOKED = 7
"""Frames of a moment that are looked at."""
EQUAL = 0.5
"""The share of their worth in which they are equal whatever their quality: ranks make much of small differences."""


def face_worth(face: Face, sharpest: float) -> float:
    """From 0 to 1; ``sharpest`` is the sharpest face of the frames that this one is compared with."""
    closed = _rise(face.blink, OPEN, CLOSED)
    aside = 1 - _rise(face.facing, ASIDE, FRONT)
    soft = 1 - _rise(face.sharp / sharpest, SOFT, SHARP) if sharpest > 0 else 0.0
    lost = _rise(face.cut, 0.0, CUT)
    return (1 - EYES * closed) * (1 - TURNED * aside) * (1 - FOCUS * soft) * (1 - WHOLE * lost)


def worth(faces: Sequence[Face], sharpest: float = 0.0) -> float:
    """What a picture's worth is multiplied with: 1 without faces that count, more with good ones, less with bad ones.

    Faces count by the area that they take.
    """
    counted = _counted(faces)
    if not counted:
        return 1.0
    weights = np.array([face.size**2 for face in counted])
    mean = float(np.average([face_worth(face, sharpest) for face in counted], weights=weights))
    large = min(math.sqrt(float(weights.sum())) / LARGE, 1.0)
    return mean * (1 + GAIN * large)


def any_counts(pictures: Sequence[Sequence[Face]]) -> bool:
    """Whether one of these pictures has a face that counts."""
    return any(_counted(faces) for faces in pictures)


def sharpest_of(pictures: Sequence[Sequence[Face]]) -> float:
    """The sharpness of the sharpest largest face of some pictures."""
    largest = [max(faces, key=lambda face: face.size) for faces in pictures if faces]
    return max((face.sharp for face in largest), default=0.0)


def candidates(
    time_s: NDArray[np.float64], shot: NDArray[np.int64], usable: NDArray[np.int64], good: NDArray[np.float64], at: int
) -> NDArray[np.int64]:
    """Places among ``usable`` of the frames to look at instead of the one at ``at``, itself included, in order.

    The window of ``AROUND_SECONDS`` on either side within its shot is cut into equal parts, and of each the best by
    ``good`` is taken. ``usable`` are places in the film, in order; ``good`` is by place in ``usable``.
    """
    place = int(np.searchsorted(usable, at))
    near = np.flatnonzero(
        (np.abs(time_s[usable] - time_s[at]) <= AROUND_SECONDS) & (shot[usable] == shot[at]) & (usable != at)
    )
    part = np.floor((time_s[usable[near]] - time_s[at] + AROUND_SECONDS) * (LOOKED - 1) / (2 * AROUND_SECONDS))
    part = np.minimum(part, LOOKED - 2)
    best = [near[part == one][np.argmax(good[near[part == one]])] for one in np.unique(part)]
    return np.sort(np.array([place, *best], np.int64))


def _counted(faces: Sequence[Face]) -> list[Face]:
    return [face for face in faces if face.size >= LEAST_SIZE]


def _rise(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)
