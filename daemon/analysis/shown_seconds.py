"""How long each frame of a film is shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shown_seconds(time_s: NDArray[np.float64], last_s: float | None = None) -> NDArray[np.float64]:
    """To the next frame; the last one as long as ``last_s`` says, or as the others usually are.

    >>> shown_seconds(np.array([0.0, 1.0, 31.0, 32.0])).tolist()
    [1.0, 30.0, 1.0, 1.0]
    """
    if len(time_s) < 2:
        return np.full(len(time_s), last_s or 1.0)
    gaps = np.maximum(np.diff(time_s), 0.0)
    return np.append(gaps, np.median(gaps) if last_s is None else last_s)
