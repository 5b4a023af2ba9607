"""The best frames by score and gap alone."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.model import Reason


@dataclass(frozen=True, slots=True)
class Choice:
    """Frames by rank, the best first, why there are fewer than asked for, and per frame the reason for it.

    ``difference`` is the least difference that was kept to in the end, None where there is none.
    """

    frames: tuple[int, ...]
    shortfall: str | None
    reasons: tuple[Reason, ...] = ()
    difference: float | None = None


def ranked(score: NDArray[np.float64], usable: NDArray[np.bool_], *, lower_better: bool) -> NDArray[np.int64]:
    """Positions of the usable scores, the best first; equal scores keep their order in time.

    A position is usable when its mask is set and its score is finite.

    >>> ranked(np.array([3.0, 1.0, np.nan, 2.0]), np.array([True, True, True, False]), lower_better=True)
    array([1, 0])
    """
    positions = np.flatnonzero(usable & np.isfinite(score))
    keys = score[positions] if lower_better else -score[positions]
    return positions[np.argsort(keys, kind="stable")]


def choose(
    *,
    frame: NDArray[np.int64],
    time_s: NDArray[np.float64],
    score: NDArray[np.float64],
    usable: NDArray[np.bool_],
    lower_better: bool,
    count: int,
    min_gap_seconds: float,
) -> Choice:
    """Take the best frames that keep ``min_gap_seconds`` from everything better that was taken.

    Greedy by score in the metric's direction; a gap of exactly ``min_gap_seconds`` is allowed.

    >>> times = np.array([0.0, 0.5, 1.0, 2.0])
    >>> choose(frame=np.arange(4), time_s=times, score=np.array([4.0, 9.0, 8.0, 1.0]),
    ...        usable=np.ones(4, bool), lower_better=False, count=3, min_gap_seconds=1.0).frames
    (1, 3)
    """
    order = ranked(score, usable, lower_better=lower_better)
    picked: list[int] = []
    taken_times: list[float] = []
    for position in _spaced(order, time_s, taken_times, min_gap_seconds):
        picked.append(int(frame[position]))
        if len(picked) == count:
            break
    return Choice(tuple(picked), _shortfall(len(picked), count, len(order), len(frame), min_gap_seconds))


def _spaced(order: NDArray[np.int64], time_s: NDArray[np.float64], taken: list[float], gap: float) -> Iterator[int]:
    for position in order:
        moment = float(time_s[position])
        at = bisect_left(taken, moment)
        # Times are sums of a time base; a nanosecond keeps an exact gap exact.
        near = [abs(moment - taken[i]) for i in (at - 1, at) if 0 <= i < len(taken)]
        if near and min(near) < gap - 1e-9:
            continue
        insort(taken, moment)
        yield int(position)


def _shortfall(chosen: int, count: int, scored: int, total: int, gap: float) -> str | None:
    if chosen >= count:
        return None
    if total == 0:
        return "the video has no frames"
    if scored == 0:
        return f"none of the {total} frames has a score: all are flat or could not be scored"
    if chosen == scored == total:
        return f"the video has only {total} frames"
    if chosen == scored:
        return f"only {scored} of {total} frames could be scored"
    return f"no further frame is {_seconds(gap)} s away from the {chosen} chosen ones (select.min_gap_seconds)"


def _seconds(value: float) -> str:
    return str(math.floor(value)) if value == math.floor(value) else f"{value:g}"
