"""How good a frame is among its like: ranks instead of scores, so that a metric's scale says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

OWN_SHOT = 0.75
"""How much a frame's place in its own shot counts; the rest is its place in the film."""

SPARED = 0.01
"""The most that a spared frame's quality is of what it would be."""


@dataclass(frozen=True)
class Film:
    """A film's frames as columns, in order.

    ``frame`` int64; ``time_s`` float64, seconds; ``score`` float64, NaN where there is none; ``good`` bool: no
    gate refuses the frame; ``shot`` int64: its number, -1 in a transition; ``lower_better``: the metric's
    direction; ``spared`` bool: frames that are good, but come after all others (None: there are none); ``last_s`` how
    long the last frame is shown (None: not known); ``calm`` and ``sharp`` float64: what a frame's worth in its moment,
    and in the film, is multiplied with, as ``calm_and_sharp`` has it (None: not known); ``away`` float64: the same of
    how far it is from a fade or dissolve, of which it may have some left (None: there is none); ``damaged`` bool:
    frames that show damage, or refer to such (None: there are none).
    """

    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    score: NDArray[np.float64]
    good: NDArray[np.bool_]
    shot: NDArray[np.int64]
    lower_better: bool
    spared: NDArray[np.bool_] | None = None
    last_s: float | None = None
    calm: NDArray[np.float64] | None = None
    sharp: NDArray[np.float64] | None = None
    away: NDArray[np.float64] | None = None
    damaged: NDArray[np.bool_] | None = None

    def where(self, mask: NDArray[np.bool_]) -> Film:
        """Some of the frames."""
        if mask.all():
            return self
        return Film(
            frame=self.frame[mask],
            time_s=self.time_s[mask],
            score=self.score[mask],
            good=self.good[mask],
            shot=self.shot[mask],
            lower_better=self.lower_better,
            spared=None if self.spared is None else self.spared[mask],
            last_s=self.last_s if len(mask) and mask[-1] else None,
            calm=None if self.calm is None else self.calm[mask],
            sharp=None if self.sharp is None else self.sharp[mask],
            away=None if self.away is None else self.away[mask],
            damaged=None if self.damaged is None else self.damaged[mask],
        )

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Frames that may be chosen."""
        return _fixed(self.good & np.isfinite(self.score) & (self.shot >= 0))

    @cached_property
    def seconds(self) -> NDArray[np.float64]:
        """How long each frame is shown: to the next one; the last as long as the file says or others are usually."""
        if len(self.time_s) < 2:
            return _fixed(np.full(len(self.time_s), self.last_s or 1.0))
        gaps = np.maximum(np.diff(self.time_s), 0.0)
        return _fixed(np.append(gaps, np.median(gaps) if self.last_s is None else self.last_s))


def _fixed(column: NDArray[Any]) -> NDArray[Any]:
    """The column, of which nothing can be changed: all who ask get the same."""
    column.flags.writeable = False
    return column


def percentiles(
    score: NDArray[np.float64],
    group: NDArray[np.int64],
    *,
    lower_better: bool,
    worst_first: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Per row, the share of its group's rows (itself included) that are no better; 1 for the best.

    ``worst_first`` are the rows in order, where who asks twice has it.

    >>> percentiles(np.array([3.0, 1.0, 2.0, 9.0]), np.array([0, 0, 0, 1]), lower_better=True).round(2).tolist()
    [0.33, 1.0, 0.67, 1.0]
    """
    if len(score) == 0:
        return np.zeros(0)
    order = _worst_first(score, lower_better=lower_better) if worst_first is None else worst_first
    # Numbers of 16 bits are sorted many times as fast.
    small = int(group.min()) >= 0 and int(group.max()) <= np.iinfo(np.uint16).max
    order = order[np.argsort((group.astype(np.uint16) if small else group)[order], kind="stable")]
    sorted_group, sorted_score = group[order], score[order]
    new_group = sorted_group[1:] != sorted_group[:-1]
    new_score = new_group | (sorted_score[1:] != sorted_score[:-1])
    # A film of ten hours has a million rows: what is not needed any more makes room.
    del sorted_group, sorted_score
    starts = np.flatnonzero(np.append(True, new_group))
    sizes = np.diff(np.append(starts, len(order)))
    # Equal scores share the place of the last of them.
    ends = np.flatnonzero(np.append(new_score, True))
    place = np.repeat(ends, np.diff(ends, prepend=-1)) + 1.0
    del ends
    place -= np.repeat(starts, sizes)
    place /= np.repeat(sizes, sizes)
    share = np.empty(len(score))
    share[order] = place
    return share


def _worst_first(score: NDArray[np.float64], *, lower_better: bool) -> NDArray[np.int64]:
    """The rows in order, equals in any: they have one percentile, and a sort that may mix them takes a third."""
    return np.argsort(-score if lower_better else score)


def quality(film: Film, positions: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of usable frames: how good they are, 0 to 1, and their percentile in their own shot, 0 to 1.

    What was spared is a little good, in its order, and less so than all else.
    """
    score = film.score[positions]
    lower, order = film.lower_better, _worst_first(score, lower_better=film.lower_better)
    own = percentiles(score, film.shot[positions], lower_better=lower, worst_first=order)
    whole = percentiles(score, np.zeros(len(positions), np.int64), lower_better=lower, worst_first=order)
    good = OWN_SHOT * own + (1 - OWN_SHOT) * whole
    if film.sharp is not None:
        good *= film.sharp[positions]
    if film.away is not None:
        good *= film.away[positions]
    if film.spared is not None:
        good = np.where(film.spared[positions], good * min(float(good.min(initial=1.0)), SPARED), good)
    return good, own


def median_difference(pairs: NDArray[np.float32] | None) -> float:
    """Of rows, each second one beside the one before, the median of their root mean square differences; 0 where they
    are not known."""
    if pairs is None:
        return 0.0
    return float(np.median(np.sqrt(((pairs[::2] - pairs[1::2]) ** 2).mean(axis=1))))
