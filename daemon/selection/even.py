"""One frame of each of equal stretches: for photogrammetry, splatting and training, where a hole is worse than blur.

stretches  |         |         |         |         |
worth       ..-^^-..  ..-^^-..  ..-^^-..  ..-^^-..    quality times nearness to the middle
picks           1          2        3          4      so two never meet at a border
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.model import Reason
from daemon.selection.best import Choice
from daemon.selection.quality import Film, percentiles

LEAST_WORTH = 0.25
"""What the worst frame of a stretch is worth, where the best is worth 1: so that the middle counts for something."""
MOST_STRETCHES = 100_000
LEAST_NEARNESS = 1e-6


def stretches(film: Film, *, count: int, every_seconds: float | None) -> NDArray[np.int64]:
    """Per frame the number of its stretch: ``count`` equal ones, or as many of ``every_seconds`` as there are."""
    if len(film.time_s) == 0:
        return np.zeros(0, np.int64)
    start, length = _extent(film)
    seconds = every_seconds if every_seconds is not None else length / count
    most = MOST_STRETCHES if every_seconds is not None else count
    return np.clip(np.floor((film.time_s - start) / max(seconds, 1e-9)), 0, most - 1).astype(np.int64)


def _extent(film: Film) -> tuple[float, float]:
    """When the film begins, and how long it is, its last frame included; seconds."""
    start, last = float(film.time_s.min()), float(film.time_s.max())
    return start, last - start + float(np.median(film.seconds))


def choose_evenly(film: Film, *, count: int, every_seconds: float | None = None) -> tuple[Choice, int]:
    """The best frame of each stretch, in order of time, and how many of them had no good one.

    A frame's worth is its rank by the metric in its stretch, times its nearness to the middle. Where a stretch has
    no good frame, the best of the others is taken; where no frame has a score, there is none.
    """
    number = stretches(film, count=count, every_seconds=every_seconds)
    scored = np.flatnonzero(np.isfinite(film.score))
    wanted = int(number.max()) + 1 if every_seconds is not None and len(number) else count
    if len(scored) == 0:
        return Choice((), f"none of the {len(film.frame)} frames has a score"), 0
    good = film.usable[scored] & (~film.spared[scored] if film.spared is not None else True)
    start, length = _extent(film)
    seconds = every_seconds if every_seconds is not None else length / count
    middle = start + (number[scored] + 0.5) * seconds
    nearness = 1 - np.abs(film.time_s[scored] + film.seconds[scored] / 2 - middle) / (seconds / 2)
    # Good ones among themselves: what is spoilt must not make them look better.
    rank = percentiles(film.score[scored], 2 * number[scored] + good, lower_better=film.lower_better)
    worth = (LEAST_WORTH + (1 - LEAST_WORTH) * rank) * np.maximum(nearness, LEAST_NEARNESS)
    order = np.lexsort((scored, -worth, ~good, number[scored]))
    first = order[np.flatnonzero(np.append(True, np.diff(number[scored][order]) > 0))]
    chosen = scored[first]
    held = np.bincount(number, minlength=wanted)
    lasting = np.bincount(number, weights=film.seconds, minlength=wanted)
    reasons = tuple(
        Reason(
            shot=int(film.shot[at]) if film.shot[at] >= 0 else None,
            percentile=round(100 * float(share), 1),
            frames=int(held[number[at]]),
            seconds=round(float(lasting[number[at]]), 2),
        )
        for at, share in zip(chosen, rank[first], strict=True)
    )
    shortfall = None
    if len(chosen) < wanted:
        shortfall = f"{wanted - len(chosen)} of the {wanted} stretches have no frame that could be scored"
    return Choice(tuple(film.frame[chosen].tolist()), shortfall, reasons), int((~good[first]).sum())
