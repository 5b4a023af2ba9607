"""How well one picture stands for another, by their sketches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FAR_CODES = 40.0
"""Pictures that differ by so much say nothing of each other (root mean square of their sketches)."""
GRID, LUMA_CELLS = (9, 16), 144
"""Rows and columns of the cells of luma, which are the first numbers of a sketch."""
LUMA_WEIGHT = 0.62
"""What a code of luma counts in a sketch."""
USUAL_SPREAD, BRIGHT, MOST_GAIN = 25.0, 110.0, 16.0
"""A sketch's usual contrast, to which those of a darker film are raised, unless its brightest cell then exceeds what
it has in a bright film, and by how much at most."""
NEARNESS, NEAR_SHARE = 0.4, 0.25
"""How much less a picture says of one that looks alike but is far off in time; which share of the film is far."""
LEAST_WEIGHT = 0.01
"""What less is left of says nothing of the difference."""
ROUNDING_CODES = 0.01
"""More than what is rounded of a difference once it is squared, summed, and taken apart again."""
ROWS = 64
"""Rows of a table that are worked on at once: they stay in the processor's cache."""
FEW_ROWS = 16
"""The same, of numbers of 64 bits, of which there are several such tables at once."""


def gain(sketches: NDArray[np.float32]) -> float:
    """What brings sketches of a dark film to the contrast of others: what is dark throughout differs all the same.

    No more than a better exposure would have given: a gray road in daylight is no dark film.
    """
    if len(sketches) == 0:
        return 1.0
    luma = sketches[:, :LUMA_CELLS]
    spread, brightest = float(np.median(luma.std(axis=1))), float(np.median(luma.max(axis=1)))
    most = float(np.clip(BRIGHT / max(brightest, 1e-6), 1.0, MOST_GAIN))
    return float(np.clip(USUAL_SPREAD / max(spread, 1e-6), 1.0, most))


def likenesses(
    sketches: NDArray[np.float32], time: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How well each picture (row) stands for each (column): 1 for the same, 0 from ``FAR_CODES`` on.

    Of those that look alike, the nearer in time does better; times are in shares of the film. ``weight`` is what each
    row counts.
    """
    # All at once: a table times itself is half the work, and what follows is done where the table lies.
    table: NDArray[np.float32] = sketches @ sketches.T
    squares = (sketches * sketches).sum(axis=1)
    for start in range(0, len(table), ROWS):
        rows = slice(start, start + ROWS)
        part = table[rows]
        part *= -2
        part += squares[rows, None]
        part += squares
        np.maximum(part, 0, out=part)
        np.sqrt(part, out=part)
        part *= -1 / (FAR_CODES * max(sketches.shape[1], 1) ** 0.5)
        part += 1
        np.maximum(part, 0, out=part)
        part *= _nearness(time[rows, None] - time)
        part *= weight[rows, None]
    return table


def rows_apart(table: NDArray[np.float32], at: int, others: list[int]) -> NDArray[np.float32]:
    """The root mean squares of the differences between a row and others."""
    offs = table[others] - table[at]
    found: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", offs, offs) / np.float32(table.shape[1]))
    return found


def codes_apart(
    row: NDArray[np.float32], time: NDArray[np.float32], at: int, weight: np.float32
) -> NDArray[np.float32]:
    """How far pictures are from the one at ``at``, by its row of ``likenesses``, in codes, as far as that is rounded.

    Those that are farther off than can be told by it are at ``FAR_CODES``, and all are at 0 where it counts next to
    nothing. ``surely_more`` says what a difference is at least.
    """
    if weight < LEAST_WEIGHT:
        return np.zeros_like(row)
    found = FAR_CODES * (1 - row / (_nearness(time - time[at]) * weight))
    return found.astype(np.float32, copy=False)


def rounded_squares(sketches: NDArray[np.float32]) -> float:
    """By how much the mean of squared differences may be wrong in ``likenesses``, in codes squared: at most.

    There it is the sum of two squared lengths and a product, each a sum of n rounded terms, of which the error is at
    most n units of rounding of what is summed (Higham, "Accuracy and Stability of Numerical Algorithms", 3.1).
    """
    count = max(sketches.shape[1], 1)
    largest = float(np.einsum("ij,ij->i", sketches, sketches).max(initial=0.0)) / count
    return float(4 * largest * (count + 4) * np.finfo(np.float32).eps / 2)


def surely_more(codes: float, rounded: float) -> float:
    """From which difference by ``codes_apart`` on pictures are at least ``codes`` apart.

    ``rounded`` is what ``rounded_squares`` says of them.
    """
    return float((codes * codes + rounded) ** 0.5) + ROUNDING_CODES


def shown_more(
    likeness: NDArray[np.float32], rows: NDArray[np.int64], shown: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What some rows of ``likenesses`` have more than is ``shown`` of each picture, in sum, by its ``weight``."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), FEW_ROWS):
        part = slice(start, start + FEW_ROWS)
        more = likeness[rows[part]] - shown
        np.maximum(more, 0.0, out=more)
        found[part] = np.einsum("ij,j->i", more, weight)  # without threads, which cost more here than they save
    return found


def nearest_codes(table: NDArray[np.float32], rows: NDArray[np.int64], others: Sequence[int]) -> NDArray[np.float64]:
    """How far each of some rows of a table is from the nearest of its rows ``others``: root mean square.

    Wrong by less than ``ROUNDING_CODES``, as a product is taken apart again: in 64 bits little of it is rounded.
    """
    some, few = table[rows].astype(np.float64), table[list(others)].astype(np.float64)
    squares = np.einsum("ij,ij->i", few, few) - 2 * (some @ few.T)
    nearest = squares.min(axis=1, initial=np.inf) + np.einsum("ij,ij->i", some, some)
    found: NDArray[np.float64] = np.sqrt(np.maximum(nearest, 0.0) / max(table.shape[1], 1))
    return found


def _nearness(apart: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much less a picture says of one so far off in time."""
    away = np.abs(apart)
    np.minimum(away, NEAR_SHARE, out=away)
    away *= -NEARNESS / NEAR_SHARE
    away += 1
    return away
