"""What a curve is drawn from: of each column the least and greatest score, the rolling median and the verdict.

As many columns as the picture is wide, whatever the film's length; pure.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.store.review import FilmColumns, OtherScores

ROLLING_FRAMES = 25
MAX_COLUMNS = 6000
CHUNK = 100_000
DENSE = 0.9


@dataclass(frozen=True, slots=True)
class Film:
    """A film's columns and their rolling median over ``ROLLING_FRAMES``, float32, NaN where there is no score.

    ``second`` is what another metric says of it, and ``second_rolling`` the median of that; where only some frames
    have such a score, these scores themselves.
    """

    columns: FilmColumns
    rolling: NDArray[np.float32]
    second: OtherScores | None = None
    second_rolling: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, columns: FilmColumns, second: OtherScores | None) -> Film:
        """A film with its medians."""
        rolling = rolling_median(columns.score)
        if second is None:
            return cls(columns, rolling)
        dense = np.isfinite(second.score).mean() > DENSE if len(second.score) else False
        return cls(columns, rolling, second, rolling_median(second.score) if dense else second.score.astype(np.float32))

    @property
    def frames(self) -> int:
        """How many rows there are."""
        return len(self.columns.frame)


def rolling_median(score: NDArray[np.float64], over: int = ROLLING_FRAMES) -> NDArray[np.float32]:
    """The median of each score and its neighbours, ``over`` in all; the ends are mirrored. NaN are left out.

    >>> rolling_median(np.array([1.0, 9.0, 2.0, 3.0, np.nan]), 3).tolist()
    [1.0, 2.0, 3.0, 2.5, 3.0]
    """
    if len(score) == 0:
        return np.zeros(0, np.float32)
    half = over // 2
    padded = np.pad(score.astype(np.float32), half, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    result = np.empty(len(score), np.float32)
    for start in range(0, len(score), CHUNK):
        part = windows[start : start + CHUNK]
        if np.isfinite(padded[start : start + len(part) + 2 * half]).all():
            result[start : start + len(part)] = np.partition(part, half, axis=1)[:, half]
        else:
            with warnings.catch_warnings():
                # A stretch without any score has none here either.
                warnings.simplefilter("ignore", RuntimeWarning)
                result[start : start + len(part)] = np.nanmedian(part, axis=1)
    return result


def curve(film: Film, first: int, last: int, columns: int) -> dict[str, Any]:
    """The columns of the rows ``first`` to ``last``, both included, as lists for JSON.

    Column ``i`` begins at the row ``starts[i]``. Values outside the film are brought into it.
    """
    count = film.frames
    if count == 0:
        return {"first": 0, "last": -1, "starts": [], "low": [], "high": [], "rolling": [], "verdict": [], "time": []}
    first = min(max(first, 0), count - 1)
    last = min(max(last, first), count - 1)
    width = min(max(columns, 1), MAX_COLUMNS, last - first + 1)
    starts = first + (np.arange(width, dtype=np.int64) * (last - first + 1)) // width
    inside = starts - first
    table = film.columns
    score = table.score[first : last + 1]
    low = np.fmin.reduceat(score, inside)
    high = np.fmax.reduceat(score, inside)
    ends = np.append(starts[1:], last + 1)
    return {
        "first": first,
        "last": last,
        "starts": starts.tolist(),
        "low": _numbers(low),
        "high": _numbers(high),
        "rolling": _numbers(film.rolling[(starts + ends - 1) // 2]),
        "verdict": _commonest(table.verdict[first : last + 1], inside, len(table.words)).tolist(),
        "time": [round(value, 3) for value in table.time_s[starts].tolist()],
        "second": _second(film, slice(first, last + 1), inside),
    }


def _second(film: Film, part: slice, starts: NDArray[np.int64]) -> dict[str, Any] | None:
    """The second metric's curve: of each column the mean of its medians."""
    if film.second is None or film.second_rolling is None:
        return None
    values = film.second_rolling[part].astype(np.float64)
    known = np.isfinite(values)
    counts = np.add.reduceat(known.astype(np.int64), starts)
    sums = np.add.reduceat(np.where(known, values, 0.0), starts)
    means = np.divide(sums, counts, out=np.full(len(starts), np.nan), where=counts > 0)
    return {"metric": film.second.metric, "lowerBetter": film.second.lower_better, "score": _numbers(means)}


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
