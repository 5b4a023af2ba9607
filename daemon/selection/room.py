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
