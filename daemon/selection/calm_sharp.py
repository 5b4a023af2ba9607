"""Which frames are sharp and calm, not in the middle of a move, compared with those around them.

A metric of quality knows little of either: a drawing that is smeared by its move scores as a soft photograph does.
What is seen is much the same within so short a time, so what differs is focus and movement. A frame in which more
happens than usual is compared with those in which as much does: a car that passes is no less calm than the
empty road, a hand on its way up is less so than the hand that is up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.selection.runs import ROWS, runs_of_one_length

AROUND_SECONDS = 1.0
"""A frame is compared with the usable ones of its shot that are no farther away."""
MOST_AROUND = 64
"""And with no more than so many on either side."""
NEIGHBOURS_SECONDS = 0.5
"""Frames farther apart than this differ by what happens between them, not by a move."""
BACKGROUND_SECONDS = 4.0
"""The median of some so long a stretch is what a frame's content stands out from."""
LARGEST_CELLS = 4
"""Cells that change most, of which the mean is taken: some 3 % of the picture."""
SHARPEST_CELLS = 36
"""Cells with the most detail, of which the mean is taken: a quarter of the picture, so that a subject counts."""
NOISE_CODES = 6.0
"""What a cell may differ from the background by without standing out."""
AS_MUCH, LITTLE = 0.7, 1.0
"""As much happens where so large a share of it stands out; so many codes per cell are nothing."""
FULL_MOVE = 24.0
"""So many codes more from frame to frame than in the calmest one around say all that can be said."""
CALM_MOVE = 12.0
"""Up to so many codes from frame to frame, a frame is not in a move that could smear it."""
NO_LOSS, FULL_LOSS = 4.0, 18.0
"""Sharpness, in sixteenths of an octave of energy: so much less says nothing, and so much more all that can be said."""
MOVE, LOSS = 0.35, 0.85
"""What a frame loses at most of its worth by either: of movement less, as the first frames of a dissolve are calm."""


def movement(luma: NDArray[np.float32], time_s: NDArray[np.float64], run: NDArray[np.int64]) -> NDArray[np.float32]:
    """Per frame, how much it differs from its neighbours of the same ``run`` where most changes, in codes.

    ``luma`` is ``(n, cells)``. Of the two neighbours the less alike one counts: drawings are often shown twice.
    """
    step = np.zeros(max(len(luma) - 1, 0), np.float32)
    for start in range(0, len(step), ROWS):
        stop = min(start + ROWS, len(step))
        change = np.abs(luma[start + 1 : stop + 1] - luma[start:stop])
        step[start:stop] = np.partition(change, -LARGEST_CELLS, axis=1)[:, -LARGEST_CELLS:].mean(axis=1)
    step[(run[1:] != run[:-1]) | (np.diff(time_s) > NEIGHBOURS_SECONDS)] = 0
    found: NDArray[np.float32] = np.maximum(np.append(step, 0), np.append(0, step)).astype(np.float32)
    return found[: len(luma)]


def standing_out(luma: NDArray[np.float32], stretch: NDArray[np.int64]) -> NDArray[np.float32]:
    """Per frame, how much stands out from the background of its ``stretch``: the mean over all cells, in codes."""
    found = np.zeros(len(luma), np.float32)
    for places in runs_of_one_length(stretch):
        part = luma[places]
        change = np.abs(part - np.median(part, axis=1, keepdims=True))
        found[places] = np.maximum(change - NOISE_CODES, 0).mean(axis=2)
    return found


def sharpness(detail: NDArray[np.float32]) -> NDArray[np.float32]:
    """Per frame, how sharp its sharpest quarter is, and the next one, in sixteenths of an octave: ``(n, 2)``.

    ``detail`` is ``features.detail``. Of a calm frame the next quarter counts: a subtitle that comes is among the
    sharpest cells, and makes the same picture no sharper.
    """
    count = SHARPEST_CELLS
    parted = np.partition(detail, [-2 * count, -count], axis=1)
    found: NDArray[np.float32] = np.stack(
        [parted[:, -count:].mean(axis=1), parted[:, -2 * count : -count].mean(axis=1)], axis=1
    )
    return found


def calm_and_sharp(
    luma: NDArray[np.float32],
    sharp: NDArray[np.float32],
    time_s: NDArray[np.float64],
    run: NDArray[np.int64],
    stretch: NDArray[np.int64],
    usable: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per frame, how calm and how sharp it is among those around it: from 1 down to ``1 - MOVE``, and to ``1 - LOSS``.

    ``luma`` is ``(n, cells)`` in codes, ``sharp`` their ``sharpness``. ``run`` (rising) says which frames are
    compared: neighbours of one shot; ``stretch`` (rising) which of them have one background.
    """
    move = movement(luma, time_s, run)
    out = standing_out(luma, stretch)
    calmest, sharpest = move.copy(), sharp.copy()
    for off in range(1, min(MOST_AROUND, len(luma) - 1) + 1):
        near = (run[off:] == run[:-off]) & (time_s[off:] - time_s[:-off] <= AROUND_SECONDS)
        if not near.any():
            break
        for here, there in ((slice(None, -off), slice(off, None)), (slice(off, None), slice(None, -off))):
            other = near & usable[there]
            sharpest[here] = np.where(other[:, None], np.maximum(sharpest[here], sharp[there]), sharpest[here])
            other &= out[there] >= AS_MUCH * out[here] - LITTLE
            calmest[here] = np.where(other, np.minimum(calmest[here], move[there]), calmest[here])
    moved = np.clip((move - calmest) / FULL_MOVE, 0.0, 1.0)
    less = sharpest - sharp
    lost = np.clip((np.where(move > CALM_MOVE, less[:, 0], less[:, 1]) - NO_LOSS) / FULL_LOSS, 0.0, 1.0)
    return (1.0 - MOVE * moved).astype(np.float64), (1.0 - LOSS * lost).astype(np.float64)
