"""How much happens in each moment, beside what is usual in its shot, and how much there is to see in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST_MOMENTS = 4
"""Shots of fewer moments have no background."""
LARGEST = 4
"""Cells that differ most from the background, of which the mean is taken: some 3 % of the picture."""
FULL_CODES = 30.0
"""So much more than in the usual moment of the shot is all that can be said."""
MOST_STEPS = 12.0
"""In a shot whose moments usually differ by so much from its background, the camera moves: nothing stands out."""


def activity(luma: NDArray[np.float32], shot: NDArray[np.int64]) -> NDArray[np.float64]:
    """Per moment, from 0 (as usual) to 1: how far its largest change stands out from those of its shot.

    ``luma`` is ``(n, cells)`` in codes, ``shot`` (rising) says of which shot each moment is. The background of a
    shot is the median of every cell over its moments, so that noise and somebody who passes leave it as it is.
    """
    found = np.zeros(len(luma))
    if len(luma) == 0:
        return found
    starts = np.flatnonzero(np.append(True, shot[1:] != shot[:-1]))
    for first, after in zip(starts, np.append(starts[1:], len(shot)), strict=True):
        if after - first < LEAST_MOMENTS:
            continue
        part = luma[first:after]
        change = np.abs(part - np.median(part, axis=0))
        largest = np.partition(change, -LARGEST, axis=1)[:, -LARGEST:].mean(axis=1)
        # What changes everywhere is light, a fade, the camera.
        largest = np.maximum(largest - 3 * np.median(change, axis=1), 0.0)
        usual = float(np.median(largest))
        steadiness = max(1.0 - usual / MOST_STEPS, 0.0)
        found[first:after] = steadiness * np.clip((largest - usual) / FULL_CODES, 0.0, 1.0)
    return found


def appeal(sketches: NDArray[np.float32]) -> NDArray[np.float64]:
    """Per moment, its place from 0 to 1 among all by how much there is to see from afar: light and dark, and colours.

    Grass, an empty page, a head that fills the view, a dark room come last. ``sketches`` are ``features.sketch``.
    """
    count = len(sketches)
    if count < 2:
        return np.ones(count)
    variety = (sketches - sketches.mean(axis=1, keepdims=True)).std(axis=1)
    order = np.argsort(np.argsort(variety, kind="stable"), kind="stable")
    found: NDArray[np.float64] = order / (count - 1)
    return found
