"""Other frames of the same moment: what can stand in for a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAME_MOMENT_SECONDS = 2.0
BETWEEN_SECONDS = 0.12
"""Closer ones hardly differ."""


def alternatives(
    time_s: NDArray[np.float64],
    score: NDArray[np.float64],
    usable: NDArray[np.bool_],
    at: int,
    *,
    lower_better: bool,
    count: int,
) -> list[int]:
    """Places of usable frames within ``SAME_MOMENT_SECONDS`` of the one at ``at``, the best first, not all neighbours.

    ``usable`` leaves out what is in another shot.

    >>> times = np.arange(6) * 0.1
    >>> alternatives(times, np.array([1.0, 2, 3, 9, 5, 6]), np.ones(6, bool), 0, lower_better=False, count=2)
    [3, 5]
    """
    near = np.abs(time_s - time_s[at]) <= SAME_MOMENT_SECONDS
    places = np.flatnonzero(near & usable & np.isfinite(score))
    places = places[places != at]
    keys = score[places] if lower_better else -score[places]
    found: list[int] = []
    for place in places[np.argsort(keys, kind="stable")].tolist():
        if np.abs(time_s[[at, *found]] - time_s[place]).min() >= BETWEEN_SECONDS:
            found.append(place)
        if len(found) == count:
            break
    return found
