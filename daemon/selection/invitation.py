"""How inviting a picture is by itself among those of its film: what makes somebody look at the one still for it.

The figures are those that went with marks for stills of one film that were seen beside each other, unlabelled:
structure as seen from afar, in light and in colour, many shades, and detail that lies inside of the picture and is
not cut off by its edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.selection.likeness import LUMA_CELLS, LUMA_WEIGHT

ROWS, COLUMNS = 9, 16
"""Cells of luma in a sketch, and of details."""
COLOUR_ROWS, COLOUR_COLUMNS = 3, 4
"""Cells of each of the two colours in a sketch."""
COLOUR_WEIGHT = (14 / 3) ** 0.5
"""What a code of colour counts in a sketch."""
SHADES, SHADE_CODES = 16, 16.0
"""The shades of luma that are told apart."""
LEAST_CODES = 0.5
"""Smaller steps from cell to cell are none."""
STRUCTURE_SPREAD, VARIETY_SPREAD, MIDDLE_SPREAD, EDGE_SPREAD = 0.6, 0.8, 1.6, 12.8
"""What a film's pictures differ by at least, before all is made of it that can be: octaves, bits, cells, and sixteenths
of an octave."""
STRUCTURE, VARIETY, COLOUR, PLACEMENT = 1.0, 1.5, 0.5, 0.75
"""What each figure counts; there are two of where detail lies."""
RICHER = 75.0
"""The percentile of a film's pictures by all of their detail that others are compared with."""
NO_LACK, FULL_LACK = 12.0, 60.0
"""Detail, in sixteenths of an octave of energy: so much less says nothing, and so much more all that can be said."""
LACK = 0.7
"""What a picture that lacks it loses of its worth at most."""


def invitation(sketches: NDArray[np.float32], details: NDArray[np.float32] | None) -> NDArray[np.float64]:
    """Per moment, from 0 to 1, and 0.5 for one that is as all others are.

    ``sketches`` are ``features.sketch``, ``details`` their ``features.detail`` (None: not known).
    """
    count = len(sketches)
    if count == 0:
        return np.zeros(0)
    luma = (sketches[:, :LUMA_CELLS] / np.float32(LUMA_WEIGHT)).reshape(count, ROWS, COLUMNS)
    colour = (sketches[:, LUMA_CELLS:] / np.float32(COLOUR_WEIGHT)).reshape(count, 2, COLOUR_ROWS, COLOUR_COLUMNS)
    coloured = _steps(colour).mean(axis=1)
    found = STRUCTURE * _among(_octaves(_steps(luma) + coloured), STRUCTURE_SPREAD)
    found += COLOUR * _among(_octaves(coloured), STRUCTURE_SPREAD)
    found += VARIETY * _among(_variety(luma), VARIETY_SPREAD)
    if details is None:
        return found / (STRUCTURE + COLOUR + VARIETY)
    middle, edge = _inside(details)
    found += PLACEMENT * (_among(middle, MIDDLE_SPREAD) + _among(edge, EDGE_SPREAD))
    return found / (STRUCTURE + COLOUR + VARIETY + 2 * PLACEMENT)


def detailed(details: NDArray[np.float32] | None, count: int) -> NDArray[np.float64]:
    """Per moment of ``count``, from 1 down to ``1 - LACK``: whether it has the detail that the film's pictures have.

    One that is soft all over, or of which a blurred thing hides the most, has less.
    """
    if details is None or len(details) == 0:
        return np.ones(count)
    whole = details.mean(axis=1).astype(np.float64)
    lack = np.clip((np.percentile(whole, RICHER) - whole - NO_LACK) / (FULL_LACK - NO_LACK), 0.0, 1.0)
    found: NDArray[np.float64] = 1.0 - LACK * lack
    return found


def _among(figure: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Where each lies among all, from 0 to 1, the median at 0.5, in shares of their spread: ``least`` or more."""
    low, median, high = np.percentile(figure, (10, 50, 90))
    found: NDArray[np.float64] = np.clip(0.5 + (figure - median) / max(high - low, least), 0.0, 1.0)
    return found


def _octaves(squared: NDArray[np.float32]) -> NDArray[np.float64]:
    """The root of a mean square in octaves."""
    found: NDArray[np.float64] = np.log2(np.maximum(np.sqrt(squared.astype(np.float64)), LEAST_CODES))
    return found


def _steps(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean squared step between neighbouring cells, along both axes, over the last two axes of ``plane``."""
    along: NDArray[np.float32] = (np.diff(plane, axis=-1) ** 2).mean(axis=(-2, -1))
    down: NDArray[np.float32] = (np.diff(plane, axis=-2) ** 2).mean(axis=(-2, -1))
    return along + down


def _variety(luma: NDArray[np.float32]) -> NDArray[np.float64]:
    """The entropy of the cells' shades, in bits."""
    shade = np.clip(np.floor(luma.reshape(len(luma), -1) / SHADE_CODES), 0, SHADES - 1)
    share = np.stack([(shade == one).mean(axis=1) for one in range(SHADES)], axis=1)
    found: NDArray[np.float64] = -(share * np.log2(np.maximum(share, 1e-9))).sum(axis=1)
    return found


def _inside(details: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How near the middle detail lies, from left to right, and how much less of it is at the edges than all over."""
    cells = details.reshape(len(details), ROWS, COLUMNS).astype(np.float64)
    more = np.maximum(cells - np.median(details, axis=1)[:, None, None], 0)
    column = np.arange(COLUMNS) - (COLUMNS - 1) / 2
    away = np.abs((more.sum(axis=1) * column).sum(axis=1)) / np.maximum(more.sum(axis=(1, 2)), 1e-6)
    edge = np.ones((ROWS, COLUMNS), np.bool_)
    edge[1:-1, 1:-1] = False
    return -away, cells.mean(axis=(1, 2)) - cells[:, edge].mean(axis=1)
