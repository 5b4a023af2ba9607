"""A picture or two that have nothing to do with those right before and after, which are alike: what a coder made of
damaged data without a word, a flash, a splice. Pure functions of figures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.features import CELLS, differences
from daemon.analysis.film_figures import ROWS, Records
from daemon.analysis.witness import NOBODY, Witness

Mask = NDArray[np.bool_]

MOST_FRAMES, MOST_SECONDS = 2, 0.11
"""How many frames it is at most, and how long: what is shown longer is there to be seen."""
LEAST_STEP, COMES_BACK = 2.5, 0.35
"""What the picture changes by before and after it at least, in codes of luma, as the mean over all cells; and which
share of that the frames around it differ by at most."""
AROUND, USUAL, STILL = 12, 6.0, 0.1
"""So many frames before and after, a quarter of the steps from frame to frame are smaller by the factor at least; those
of so few codes tell nothing, as each picture may be shown twice."""


def glitch(records: Records, time_s: NDArray[np.float64], witness: Witness = NOBODY) -> Mask:
    """Which frames are unlike those around them."""
    mask = np.zeros(len(records), np.bool_)
    step = _steps(records)
    after = 0
    for first, end in _likely(step):
        # Where one ends, none begins.
        if first < after or time_s[end] - time_s[first] > MOST_SECONDS:
            continue
        least = float(min(step[first], step[end]))
        near = np.concatenate([step[max(first - AROUND, 1) : first], step[end + 1 : end + 1 + AROUND]])
        moving = np.sort(near[near > STILL])
        if len(moving) and USUAL * float(moving[len(moving) // 4]) > least:
            continue
        around = records[np.array([first - 1, end])]["luma"].astype(np.float32)
        share = float(np.abs(around[1] - around[0]).mean()) / least
        if share > COMES_BACK:
            continue
        mask[first:end] = True
        after = end + 1
        if witness.at is not None and first <= witness.at < end:
            told = "what differs from before to after it, as a share of what it differs from both"
            witness.figure(told, share, COMES_BACK, below=True)
    return mask


def _steps(records: Records) -> NDArray[np.float32]:
    """What each frame differs from the one before, in codes; 0 for the first one."""
    found = np.zeros(len(records), np.float32)
    for start in range(0, len(records), ROWS):
        luma = records[max(start - 1, 0) : start + ROWS]["luma"]
        found[max(start, 1) : start + ROWS] = differences(luma).reshape(-1, CELLS).mean(axis=1, dtype=np.float32)
    return found


def _likely(step: NDArray[np.float32]) -> list[tuple[int, int]]:
    """The first frame, and the one after the last, of what begins and ends with a large step, and has a small one right
    before or after."""
    found = []
    for long in range(1, MOST_FRAMES + 1):
        first = np.arange(2, len(step) - long - 1)
        least = np.minimum(step[first], step[first + long])
        beside = np.minimum(step[first - 1], step[first + long + 1])
        places = first[(least >= LEAST_STEP) & (USUAL * beside <= least)]
        found += [(int(at), int(at) + long) for at in places]
    return sorted(found)
