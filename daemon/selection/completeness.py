"""Which pictures show no more than a part of another one: a slide that is half typed, a drawing that is half drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.selection.likeness import LUMA_CELLS

AROUND = 24
"""Moments on either side among which the whole picture is looked for."""
EMPTY_DETAIL, EMPTY_SHARE = 16.0, 0.3
"""Detail of a cell up to which there is nothing in it, and which share of the cells is like that where something can
still be added: a page, a drawing."""
LOSS = 0.35
"""The share of the difference that tells pictures apart, or of what is new, up to which nothing is gone."""
ADDED = 0.4
"""The share of the difference that tells pictures apart from which there is something more: the end of a line."""

PLAINLY = 64.0
"""So much more in a cell is something new in it, and not the coder's grid or noise: four octaves of energy."""


def missing(details: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """What of each picture's detail ``other`` has not, root mean square over the cells: other rows, or one for all."""
    more = np.maximum(details - other, 0)
    found: NDArray[np.float64] = np.sqrt((more * more).mean(axis=-1)).astype(np.float64)
    return found


def unfinished(
    sketches: NDArray[np.float32], details: NDArray[np.float32], difference: float, least_detail: float
) -> NDArray[np.bool_]:
    """Per moment, whether one near by has all that it has, in the same places and looking the same, and more.

    ``difference`` is that of sketches, ``least_detail`` that of details from which pictures are not alike.
    """
    found = np.zeros(len(details), np.bool_)
    roomy = (details <= EMPTY_DETAIL).mean(axis=1) >= EMPTY_SHARE
    for off in range(1, min(AROUND, len(details) - 1) + 1) if roomy.any() else ():
        offs = sketches[:-off] - sketches[off:]
        alike = np.sqrt((offs * offs).mean(axis=1)) < difference
        here = np.flatnonzero(alike & (roomy[:-off] | roomy[off:]))
        there = here + off
        for some, others in ((here, there), (there, here)):
            gone, new = missing(details[some], details[others]), missing(details[others], details[some])
            more = (new >= least_detail) | (_added(details[some], details[others]) >= ADDED * least_detail)
            less = roomy[some] & more & (gone < LOSS * np.minimum(new, least_detail))
            some, others = some[less], others[less]
            filled = details[some] > EMPTY_DETAIL
            kept = _over(filled, sketches[some, :LUMA_CELLS] - sketches[others, :LUMA_CELLS]) < difference
            found[some[kept]] = True
    return found


def _added(details: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """What ``others`` have where there is plainly more in them, root mean square over the cells."""
    more = others - details
    more[more < PLAINLY] = 0
    found: NDArray[np.float64] = np.sqrt((more * more).mean(axis=-1)).astype(np.float64)
    return found


def _over(cells: NDArray[np.bool_], off: NDArray[np.float32]) -> NDArray[np.float64]:
    """Root mean square over some cells of each row; 0 where there are none."""
    count = np.maximum(cells.sum(axis=1), 1)
    found: NDArray[np.float64] = np.sqrt((off * off * cells).sum(axis=1) / count).astype(np.float64)
    return found
