"""Whether there is room in time for as many pictures as are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDING_S = 1e-9


def most_apart(times_s: NDArray[np.float64], taken_s: Sequence[float], gap_s: float, enough: int) -> int:
    """How many of ``times_s`` (rising) are at least ``gap_s`` from each other and from those ``taken_s``.

    It is not counted further than ``enough``. Always taking the earliest that is far enough gives the most.
    """
    if len(taken_s) and len(times_s):
        taken = np.sort(np.asarray(taken_s, np.float64))
        after = np.searchsorted(taken, times_s)
        before = np.maximum(after - 1, 0)
        gaps = np.minimum(
            np.abs(times_s - taken[before]),
            np.abs(taken[np.minimum(after, len(taken) - 1)] - times_s),
        )
        times_s = times_s[gaps >= gap_s - ROUNDING_S]
    found, at = 0, 0
    while at < len(times_s) and found < enough:
        found += 1
        at = max(int(np.searchsorted(times_s, times_s[at] + gap_s - ROUNDING_S)), at + 1)
    return found


def leaves_out(
    time_s: NDArray[np.float64], scene: NDArray[np.int64], bonus: NDArray[np.float64], gap_s: float
) -> NDArray[np.float64]:
    """What each moment costs by what cannot be shown beside it: the bonus of other scenes of which no moment is farther
    away than the gap.

    ``scene`` numbers the scenes from 0, ``bonus`` is by moment, of which the largest of a scene counts. Once such a
    scene is shown, the gap stands against the moment itself, so that its cost is the same whatever was chosen before.
    """
    count = int(scene.max(initial=-1)) + 1
    first, last, best = np.full(count, np.inf), np.full(count, -np.inf), np.zeros(count)
    np.minimum.at(first, scene, time_s)
    np.maximum.at(last, scene, time_s)
    np.maximum.at(best, scene, bonus)
    gap_s -= ROUNDING_S
    # A moment between these leaves no frame of the scene far enough away.
    after, before = last - gap_s, first + gap_s
    short = after < before
    after, before, worth = after[short], before[short], best[short]
    opened, closed = np.argsort(after), np.argsort(before)
    begun = np.concatenate([[0.0], np.cumsum(worth[opened])])[np.searchsorted(after[opened], time_s, "left")]
    ended = np.concatenate([[0.0], np.cumsum(worth[closed])])[np.searchsorted(before[closed], time_s, "right")]
    own = short[scene] & (time_s > (last - gap_s)[scene]) & (time_s < (first + gap_s)[scene])
    found: NDArray[np.float64] = np.maximum(begun - ended - np.where(own, best[scene], 0.0), 0.0)
    return found
