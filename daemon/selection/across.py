"""What other films gave already, and how near a film's pictures come to it, by the measure of the choice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROWS = 1024
"""Given pictures that are compared at once: some MiB for a long film."""
DETAIL_DIFFERENCE = 24.0
"""Pictures whose details differ by so much are not alike, whatever is seen from afar: one and a half octaves."""
ABOVE_NOISE = 4.0
"""What differs plainly differs by so many times what neighbouring frames do."""


@dataclass(frozen=True, slots=True)
class Given:
    """Pictures that other films gave, as columns.

    ``video_id`` and ``frame`` int64; ``sketch`` float16 ``(n, 168)``, see ``features.sketch``; ``detail`` uint8 ``(n,
    144)``, see ``features.detail``; ``detailed`` bool: the detail is known.
    """

    video_id: NDArray[np.int64]
    frame: NDArray[np.int64]
    sketch: NDArray[np.float16]
    detail: NDArray[np.uint8]
    detailed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.frame)


def nearest(
    sketches: NDArray[np.float32],
    details: NDArray[np.float32] | None,
    given: Given,
    least_detail: float,
    limit: float = np.inf,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Per picture, how far the nearest given one is, in codes of their sketches, and its place; infinity without any
    that is nearer than ``limit``.

    Pictures whose details differ by ``least_detail`` or more are not alike, however near their sketches are; where the
    detail of either is not known, the sketches decide.
    """
    distance, place = np.full(len(sketches), np.inf), np.full(len(sketches), -1, np.int64)
    for start in range(0, len(given), ROWS):
        rows = slice(start, start + ROWS)
        table = _differences(sketches, given.sketch[rows].astype(np.float32))
        some = np.flatnonzero((table < limit).any(axis=1))
        if len(some) == 0:
            continue
        if details is not None:
            unlike = _differences(details[some], given.detail[rows].astype(np.float32)) >= least_detail
            table[some] = np.where(unlike & given.detailed[rows], np.inf, table[some])
        best = table.argmin(axis=1)
        found = table[np.arange(len(table)), best]
        nearer = found < np.minimum(distance, limit)
        distance[nearer], place[nearer] = found[nearer], best[nearer] + start
    return distance, place


def least_detail_difference(noise: float) -> float:
    """From which difference on two pictures' details are not alike, where neighbouring frames differ by ``noise``."""
    return max(DETAIL_DIFFERENCE, ABOVE_NOISE * noise)


def _differences(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each pair of rows, the root mean square of their difference."""
    table: NDArray[np.float32] = some @ others.T
    table *= -2
    table += (some * some).sum(axis=1)[:, None]
    table += (others * others).sum(axis=1)
    np.maximum(table, 0, out=table)
    table /= max(some.shape[1], 1)
    return np.sqrt(table, out=table)
