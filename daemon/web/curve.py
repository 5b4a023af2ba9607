"""What a curve is drawn from: of each column the least and greatest score, the rolling median and the verdict.

As many columns as the picture is wide, whatever the film's length; pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.store.review import FilmColumns, OtherScores
from daemon.web import shown

ROLLING_FRAMES = 25
MAX_COLUMNS = 6000
DENSE = 0.9
"""From this share of frames on, a second metric has a curve of medians; with less, its scores are points of a line."""


@dataclass(frozen=True, slots=True)
class Film:
    """A film's columns, and what another metric says of it."""

    columns: FilmColumns
    second: OtherScores | None = None

    @property
    def frames(self) -> int:
        """How many rows there are."""
        return len(self.columns.frame)


def rolling_median(
    score: NDArray[np.float64], rows: NDArray[np.int64], over: int = ROLLING_FRAMES
) -> NDArray[np.float64]:
    """The median of the scores around each of ``rows``, ``over`` in all; the ends are mirrored. NaN are left out.

    >>> rolling_median(np.array([1.0, 9.0, 2.0, 3.0, np.nan]), np.arange(5), 3).tolist()
    [1.0, 2.0, 3.0, 2.5, 3.0]
    """
    half = over // 2
    around = (rows[:, None] + np.arange(-half, half + 1)) % (2 * len(score))
    # NaN are sorted to the end.
    values = np.sort(score[np.minimum(around, 2 * len(score) - 1 - around)], axis=1)
    known = np.count_nonzero(~np.isnan(values), axis=1)
    row = np.arange(len(rows))
    middle: NDArray[np.float64] = (values[row, np.maximum(known - 1, 0) // 2] + values[row, known // 2]) / 2
    return middle


def curve(film: Film, first: int, last: int, columns: int) -> dict[str, Any]:
    """The columns of the rows ``first`` to ``last``, both included, as lists for JSON.

    Column ``i`` begins at the row ``starts[i]``, and ``verdict[i]`` is a place in ``words``; ``labels`` are these in
    plain words, ``counts`` how many frames of the whole film have them. Values outside the film are brought into it.
    """
    count = film.frames
    if count == 0:
        return {"first": 0, "last": -1, "starts": [], "low": [], "high": [], "rolling": [], "verdict": [], "time": [],
                "words": [], "labels": [], "counts": []}  # fmt: skip
    first = min(max(first, 0), count - 1)
    last = min(max(last, first), count - 1)
    width = min(max(columns, 1), MAX_COLUMNS, last - first + 1)
    starts = first + (np.arange(width, dtype=np.int64) * (last - first + 1)) // width
    inside = starts - first
    table = film.columns
    score = table.score[first : last + 1]
    low = np.fmin.reduceat(score, inside)
    high = np.fmax.reduceat(score, inside)
    middle = (starts + np.append(starts[1:], last + 1) - 1) // 2
    return {
        "first": first,
        "last": last,
        "starts": starts.tolist(),
        "low": _numbers(low),
        "high": _numbers(high),
        "rolling": _numbers(rolling_median(table.score, middle)),
        "verdict": _commonest(table.verdict[first : last + 1], inside, len(table.words)).tolist(),
        "time": [round(value, 3) for value in table.time_s[starts].tolist()],
        "second": _second(film.second, slice(first, last + 1), inside, middle),
        "words": list(table.words),
        "labels": [shown.VERDICTS.get(word, word) for word in table.words],
        "counts": np.bincount(table.verdict, minlength=len(table.words)).tolist(),
    }


def _second(
    second: OtherScores | None, part: slice, inside: NDArray[np.int64], middle: NDArray[np.int64]
) -> dict[str, Any] | None:
    """The second metric's curve: medians as of the first; of each column the mean where only some frames have one."""
    if second is None:
        return None
    known = np.isfinite(second.score)
    if known.mean() > DENSE:
        values = rolling_median(second.score, middle)
    else:
        counts = np.add.reduceat(known[part].astype(np.int64), inside)
        sums = np.add.reduceat(np.where(known[part], second.score[part], 0.0), inside)
        values = np.divide(sums, counts, out=np.full(len(inside), np.nan), where=counts > 0)
    return {"metric": second.metric, "lowerBetter": second.lower_better, "score": _numbers(values)}


def _commonest(verdict: NDArray[np.uint8], starts: NDArray[np.int64], words: int) -> NDArray[np.int64]:
    """Of each column the verdict that most of its frames have."""
    column = np.zeros(len(verdict), np.int64)
    column[starts[1:]] = 1
    cells = np.bincount(np.cumsum(column) * words + verdict, minlength=len(starts) * words)
    result: NDArray[np.int64] = cells.reshape(len(starts), words).argmax(axis=1)
    return result


def _numbers(values: NDArray[Any]) -> list[float | None]:
    return [None if value != value else round(value, 4) for value in values.tolist()]


def percentile(score: NDArray[np.float64], value: float, *, lower_better: bool) -> float:
    """The share of scores, 0 to 100, that are no better than ``value``.

    >>> percentile(np.array([3.0, 1.0, 2.0, np.nan]), 2.0, lower_better=True)
    66.7
    """
    known = score[np.isfinite(score)]
    if len(known) == 0:
        return 0.0
    return round(100 * float((known >= value if lower_better else known <= value).mean()), 1)
