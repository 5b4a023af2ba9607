"""What is known of the faces in a picture. Nobody is recognised, and nothing but the numbers leaves this file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.model import Face, Picture
from daemon.scoring.faces import detect, landmarks
from daemon.scoring.faces.detect import Box
from daemon.scoring.faces.runtime import Network
from daemon.scoring.faces.sampling import turned
from daemon.scoring.faces.weights import Models, require

LEAST_HEIGHT = 20.0
"""Faces of fewer pixels are too small to tell anything of their eyes."""
LEAST_PRESENCE = 0.5
HAIR, BESIDE = 0.35, 0.1
"""What belongs to a head above its face's highest point, and on its other sides, in heights of the face."""
SHARP_SIDE = 96
"""Pixels across the eyes' part of a face, at most, when its sharpness is measured."""


class FaceReader:
    """Looks at pictures, one after another; from one thread only."""

    def __init__(self, models: Models) -> None:
        self.identity = models.identity
        self._detector = Network(models.detector)
        self._mesh = Network(models.mesh)
        self._blend = Network(models.blend)

    @classmethod
    def open(cls) -> FaceReader:
        """With the models that are on this host. Raises ScorerError where the extra or a model is missing."""
        return cls(require())

    def look(self, picture: Picture) -> tuple[Face, ...]:
        """The faces of a picture, the surest first."""
        seen = (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture.astype(np.uint8, copy=False)
        square, scale, corner = detect.network_input(seen)
        answer = self._detector(square)
        raw = next(one for one in answer if one.shape[-1] == 16)
        scores = next(one for one in answer if one.shape[-1] == 1)
        found = detect.boxes(raw.reshape(-1, 16), scores.reshape(-1), scale, corner)
        faces = [self._face(seen, box) for box in found if box.height >= LEAST_HEIGHT]
        return tuple(face for face in faces if face is not None)

    def _face(self, picture: NDArray[np.uint8], box: Box) -> Face | None:
        across = box.eyes[1] - box.eyes[0]
        centre, angle = np.array([box.x, box.y]), float(np.arctan2(across[1], across[0]))
        points, presence = self._points(picture, centre, max(box.width, box.height) * landmarks.AROUND, angle)
        if presence < LEAST_PRESENCE:
            return None
        # Once more in the square around what was found: the box is only roughly where the face is.
        points, presence = self._points(picture, *landmarks.around(points))
        if presence < LEAST_PRESENCE:
            return None
        blend = self._blend(landmarks.blend_input(points))[0].reshape(-1)
        height = float(np.ptp(points[:, 1]))
        return Face(
            size=round(height / picture.shape[0], 4),
            blink=round(float(np.mean([blend[at] for at in landmarks.BLINKS])), 3),
            facing=round(landmarks.facing(points), 3),
            sharp=round(_sharpness(picture, points), 5),
            cut=round(_cut(points, picture.shape), 3),
        )

    def _points(
        self, picture: NDArray[np.uint8], centre: NDArray[np.float64], size: float, angle: float
    ) -> tuple[NDArray[np.float64], float]:
        part = turned(picture, centre, size, angle, landmarks.SIDE)
        answer = self._mesh((part / np.float32(255))[None])
        raw = next(one for one in answer if one.size == 478 * 3)
        flag = next(one for one in answer if one.size == 1 and one.ndim == 4)
        presence = float(1 / (1 + np.exp(-np.clip(float(flag.reshape(-1)[0]), -100, 100))))
        return landmarks.in_picture(raw.reshape(-1), centre, size, angle), presence


def _cut(points: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """The share of a head's box that lies beyond the picture's edges."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    height = float(high[1] - low[1])
    low, high = low - [BESIDE * height, HAIR * height], high + BESIDE * height
    inside = np.minimum(high, [shape[1], shape[0]]) - np.maximum(low, 0)
    return 1 - float(np.prod(np.maximum(inside, 0)) / max(float(np.prod(high - low)), 1e-9))


def _sharpness(picture: NDArray[np.uint8], points: NDArray[np.float64]) -> float:
    """The mean squared step of luma between neighbours around the eyes, over its variance."""
    corners = points[[*landmarks.RIGHT_EYE, *landmarks.LEFT_EYE], :2]
    across = corners[2] - corners[0]
    width = float(np.linalg.norm(across)) * 1.3
    if width < 4:
        return 0.0
    side = int(min(max(width, 8), SHARP_SIDE))
    part = turned(picture, corners.mean(axis=0), width, float(np.arctan2(across[1], across[0])), side)
    # The eyes' part alone, a third of the square in the middle: hair and clothes have edges whatever the focus.
    luma = part[side // 3 : side - side // 3] @ np.array([0.299, 0.587, 0.114], np.float32)
    steps = (np.diff(luma, axis=1) ** 2).mean() + (np.diff(luma, axis=0) ** 2).mean()
    return float(steps / max(float(luma.var()), 1.0))
