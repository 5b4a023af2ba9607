"""What a face does, from 478 points on it: MediaPipe's face mesh (Kartynnik et al., 2019) and its blend shapes.

The points that the network for blend shapes takes, and the places of the eyes' two in its answer, are those of
MediaPipe's ``face_blendshapes_graph.cc``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 256
AROUND = 1.5
"""How much larger than the face the square is that the network sees."""
RIGHT_EYE, LEFT_EYE = (33, 133), (263, 362)
"""The corners of the eyes, outer and inner."""
CHEEKS, FOREHEAD, CHIN = (234, 454), 10, 152
BLINKS = (9, 10)
"""The places of eyeBlinkLeft and eyeBlinkRight among the blend shapes."""
BLEND_POINTS = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
])  # fmt: skip


def in_picture(raw: NDArray[np.float32], centre: NDArray[np.float64], size: float, angle: float) -> NDArray[np.float64]:
    """The network's points ``(478, 3)``, in pixels of its square, as pixels of the picture; depth in the same unit."""
    points = (raw.astype(np.float64).reshape(-1, 3) - [SIDE / 2, SIDE / 2, 0]) * (size / SIDE)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points[:, :2] = points[:, :2] @ turn.T + centre
    return points


def around(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """The square around a face's points: centre, side length and the angle at which its eyes are level."""
    across = points[LEFT_EYE[0], :2] - points[RIGHT_EYE[0], :2]
    angle = float(np.arctan2(across[1], across[0]))
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    level = points[:, :2] @ back.T
    low, high = level.min(axis=0), level.max(axis=0)
    return back.T @ ((low + high) / 2), float((high - low).max()) * AROUND, angle


def facing(points: NDArray[np.float64]) -> float:
    """1 for a face that looks at the camera, 0 for one that is seen from the side: the cosine of the angle."""
    across = points[CHEEKS[1]] - points[CHEEKS[0]]
    down = points[CHIN] - points[FOREHEAD]
    normal = np.cross(across, down)
    return float(abs(normal[2]) / max(float(np.linalg.norm(normal)), 1e-9))


def blend_input(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the network for blend shapes takes: ``(1, 146, 2)``, pixels of the picture."""
    return points[BLEND_POINTS, :2].astype(np.float32)[None]
