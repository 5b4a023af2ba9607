"""Runs of equal numbers, as of the frames of a shot, of which a long film has thousands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

ROWS = 4096
"""Rows that are worked on at once."""


def runs_of_one_length(number: NDArray[np.int64], least: int = 1) -> Iterator[NDArray[np.int64]]:
    """The places ``(runs, rows)`` of runs of equal ``number`` with ``least`` rows or more: those of one length at once.

    >>> [places.tolist() for places in runs_of_one_length(np.array([5, 7, 7, 8, 9, 9]))]
    [[[0], [3]], [[1, 2], [4, 5]]]
    """
    starts = np.flatnonzero(np.append(True, number[1:] != number[:-1]))[: len(number)]
    sizes = np.diff(np.append(starts, len(number)))
    for size in np.unique(sizes[sizes >= least]).tolist():
        own = starts[sizes == size]
        together = max(ROWS // size, 1)
        for at in range(0, len(own), together):
            yield own[at : at + together, None] + np.arange(size)
