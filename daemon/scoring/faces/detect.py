"""Where faces are: BlazeFace's boxes and key points (Bazarevsky et al., "BlazeFace", 2019), decoded.

::

    picture -> letterbox of 192 x 192 -> network -> per anchor a score, a box and six points -> the best, no overlaps

Numbers of the anchors are those of MediaPipe's graph for the full-range model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.scoring.faces.sampling import letterbox

SIDE = 192
STRIDE = 4
LEAST_SCORE = 0.6
OVERLAP = 0.3
"""Of two boxes that share more than this of their union, the better one is kept."""
MOST_FACES = 12


@dataclass(frozen=True, slots=True)
class Box:
    """A face: centre, width and height, and its two eyes, in pixels of the picture; ``score`` from 0 to 1."""

    x: float
    y: float
    width: float
    height: float
    eyes: NDArray[np.float64]
    score: float


def network_input(picture: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float, tuple[float, float]]:
    """The whole picture for the network, -1 to 1, its scale, and where its corner lies in the network's square."""
    square, scale, corner = letterbox(picture, SIDE)
    return (square / np.float32(127.5) - 1)[None], scale, corner


def boxes(
    raw: NDArray[np.float32], scores: NDArray[np.float32], scale: float, corner: tuple[float, float]
) -> list[Box]:
    """The faces in the network's answer, ``raw`` ``(2304, 16)`` and ``scores`` ``(2304,)``, the surest first."""
    sure = 1 / (1 + np.exp(-np.clip(scores.astype(np.float64), -100, 100)))
    places = np.flatnonzero(sure >= LEAST_SCORE)
    cells = SIDE // STRIDE
    anchors = np.stack([(places % cells + 0.5) * STRIDE, (places // cells + 0.5) * STRIDE], axis=1)
    found = raw[places].astype(np.float64).reshape(-1, 8, 2)
    centre, size = found[:, 0] + anchors, found[:, 1]
    points = found[:, 2:] + anchors[:, None]
    order = np.argsort(-sure[places], kind="stable")
    kept: list[int] = []
    for at in order.tolist():
        if len(kept) == MOST_FACES:
            break
        if all(_overlap(centre[at], size[at], centre[other], size[other]) <= OVERLAP for other in kept):
            kept.append(at)
    origin = np.array(corner)
    in_picture, sizes = (centre - origin) / scale, size / scale
    return [
        Box(
            x=float(in_picture[at, 0]),
            y=float(in_picture[at, 1]),
            width=float(sizes[at, 0]),
            height=float(sizes[at, 1]),
            eyes=(points[at, :2] - origin) / scale,
            score=float(sure[places[at]]),
        )
        for at in kept
    ]


def _overlap(
    one: NDArray[np.float64], size: NDArray[np.float64], other: NDArray[np.float64], other_size: NDArray[np.float64]
) -> float:
    low = np.maximum(one - size / 2, other - other_size / 2)
    high = np.minimum(one + size / 2, other + other_size / 2)
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / max(float(np.prod(size) + np.prod(other_size)) - shared, 1e-9)
