"""What its film says of a moment: how much happens in it, how much there is to see, how typical it is, and whether
writing covers it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.selection.likeness import GRID, LUMA_CELLS
from daemon.selection.runs import runs_of_one_length

LEAST_MOMENTS = 4
"""Shots of fewer moments have no background."""
LARGEST = 4
"""Cells that differ most from the background, of which the mean is taken: some 3 % of the picture."""
FULL_CODES = 30.0
"""So much more than in the usual moment of the shot is all that can be said."""
MOST_STEPS = 12.0
"""In a shot whose moments usually differ by so much from its background, the camera moves: nothing stands out."""
LEAST_CODES = 6.0
"""What a cell may differ from the background by without standing out."""
AT_EDGE = np.pad(np.zeros((GRID[0] - 1, GRID[1] - 2), np.bool_), ((1, 0), (1, 1)), constant_values=True).ravel()
"""The cells at the upper, left and right edge."""
MUCH_LETTERING = 8.0
"""Cells of lettering more than usual that take all worth from a picture."""
BARE_SHARE = 0.2
"""What of a film must be without lettering for a picture with it to be the lesser one to stand for all."""
LONG_SHARE = 0.2
"""Titles and credits are a smaller share of a film."""
LEVELS, LEVEL_CODES = 24, 16.0
"""The levels that a sketch's numbers, of luma and of colour, are counted in."""


def activity(luma: NDArray[np.float32], shot: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per moment, from 0 (as usual) to 1: how far its largest change stands out from those of its shot; and how much of
    what stands out lies in the cells at the edges, but the lower one: what is cut off there, as a hand before the
    camera or a car that comes, and no person who is seen down to the waist.

    ``luma`` is ``(n, cells)`` in codes, ``shot`` (rising) says of which shot each moment is. The background of a
    shot is the median of every cell over its moments, so that noise and somebody who passes leave it as it is.
    """
    found, cut = np.zeros(len(luma)), np.zeros(len(luma))
    for places in runs_of_one_length(shot, LEAST_MOMENTS):
        part = luma[places]
        change = np.abs(part - np.median(part, axis=1, keepdims=True))
        largest = np.partition(change, -LARGEST, axis=2)[..., -LARGEST:].mean(axis=2)
        # What changes everywhere is light, a fade, the camera.
        everywhere = 3 * np.median(change, axis=2)
        largest = np.maximum(largest - everywhere, 0.0)
        out = np.maximum(change - everywhere[..., None] - LEAST_CODES, 0.0)
        cut[places] = out[..., AT_EDGE].sum(axis=2) / np.maximum(out.sum(axis=2), 1e-6)
        usual = np.median(largest, axis=1, keepdims=True)
        steadiness = np.maximum(1.0 - usual.astype(np.float64) / MOST_STEPS, 0.0).astype(np.float32)
        found[places] = steadiness * np.clip((largest - usual) / FULL_CODES, 0.0, 1.0)
    return found, cut


def appeal(sketches: NDArray[np.float32]) -> NDArray[np.float64]:
    """Per moment, its place from 0 to 1 among all by how much there is to see from afar: light and dark, and colours.

    Grass, an empty page, a head that fills the view, a dark room come last. ``sketches`` are ``features.sketch``.
    """
    count = len(sketches)
    if count < 2:
        return np.ones(count)
    return _places((sketches - sketches.mean(axis=1, keepdims=True)).std(axis=1))


def typicality(sketches: NDArray[np.float32], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Per moment, its place from 0 to 1 among all by how near its levels of light and colour are to the film's.

    FFmpeg's filter ``thumbnail`` goes by this alone. What is spoilt, dark, or shown but once comes last. ``sketches``
    are ``features.sketch``, ``seconds`` how long each moment lasts.
    """
    if len(sketches) < 2:
        return np.ones(len(sketches))
    half = LEVELS // 2
    level = np.clip(
        np.floor(sketches / LEVEL_CODES) + np.where(np.arange(sketches.shape[1]) < LUMA_CELLS, 0, half), 0, LEVELS - 1
    ).astype(np.int64)
    luma, colour = level[:, :LUMA_CELLS], level[:, LUMA_CELLS:]
    away = np.zeros(len(sketches))
    row = np.arange(len(sketches))[:, None] * LEVELS
    for plane in (*np.split(colour, 2, axis=1), luma):
        counts = np.bincount((row + plane).ravel(), minlength=len(sketches) * LEVELS).reshape(-1, LEVELS)
        share = counts / plane.shape[1]
        away += ((share - np.average(share, axis=0, weights=seconds)) ** 2).sum(axis=1)
    return _places(-away)


def uncovered(
    lettering: NDArray[np.float64], shot: NDArray[np.int64], seconds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Per moment, from 1, no more lettering than the film usually has, to 0 where there is much more.

    A film that usually has much, of slides or of a screen, is made of it. What a shot that lasts for ``LONG_SHARE`` of
    the film has throughout is part of what it shows, as a sign is.
    """
    if len(lettering) == 0:
        return lettering
    usual = np.full(len(lettering), np.median(lettering))
    if usual[0] >= MUCH_LETTERING:
        return np.ones(len(lettering))
    for one in np.unique(shot):
        own = shot == one
        if seconds[own].sum() >= LONG_SHARE * seconds.sum():
            usual[own] = np.maximum(usual[own], np.median(lettering[own]))
    return 1.0 - np.clip((lettering - usual) / MUCH_LETTERING, 0.0, 1.0)


def written_over(lettering: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Per moment, from 0 to 1, how much more lettering it has than the barest ``BARE_SHARE`` of the film.

    Up to twice ``MUCH_LETTERING`` is nothing, as the small things of a game; twice that is a caption. In a film without
    bare pictures it is 0.
    """
    if len(lettering) == 0:
        return lettering
    order = np.argsort(lettering, kind="stable")
    shown = np.cumsum(seconds[order])
    bare = lettering[order[np.searchsorted(shown, BARE_SHARE * shown[-1])]]
    if bare >= MUCH_LETTERING:
        return np.zeros(len(lettering))
    found: NDArray[np.float64] = np.clip((lettering - bare) / (2 * MUCH_LETTERING) - 1.0, 0.0, 1.0)
    return found


def _places(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """From 0 for the least to 1 for the largest; equals share the middle of their places, whatever their order."""
    _, which, count = np.unique(np.round(values, 9), return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count + 1) / 2
    found: NDArray[np.float64] = middle[which] / (len(values) - 1)
    return found
