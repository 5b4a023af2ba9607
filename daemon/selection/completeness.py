"""Which pictures show no more than a part of another one: a slide that is half typed, a drawing that is half drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AROUND = 24
"""Moments on either side among which the whole picture is looked for."""
EMPTY_DETAIL, EMPTY_SHARE = 16.0, 0.3
"""Detail of a cell up to which there is nothing in it, and which share of the cells is like that where something can
still be added: a page, a drawing."""
LOSS = 0.35
"""The share of the difference that tells pictures apart up to which nothing is gone."""


def missing(details: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """What of each picture's detail ``other`` has not, root mean square over the cells: other rows, or one for all."""
    more = np.maximum(details - other, 0)
    found: NDArray[np.float64] = np.sqrt((more * more).mean(axis=-1)).astype(np.float64)
    return found


def unfinished(
    sketches: NDArray[np.float32], details: NDArray[np.float32], difference: float, least_detail: float
) -> NDArray[np.bool_]:
    """Per moment, whether one near by has all that it has, and more.

    ``difference`` is that of sketches, ``least_detail`` that of details from which pictures are not alike.
    """
    found = np.zeros(len(details), np.bool_)
    roomy = (details <= EMPTY_DETAIL).mean(axis=1) >= EMPTY_SHARE
    for off in range(1, min(AROUND, len(details) - 1) + 1) if roomy.any() else ():
        offs = sketches[:-off] - sketches[off:]
        alike = np.sqrt((offs * offs).mean(axis=1)) < difference
        here = np.flatnonzero(alike & (roomy[:-off] | roomy[off:]))
        there = here + off
        gone, new = missing(details[here], details[there]), missing(details[there], details[here])
        few, more = LOSS * least_detail, least_detail
        found[here[roomy[here] & (gone < few) & (new >= more)]] = True
        found[there[roomy[there] & (new < few) & (gone >= more)]] = True
    return found
