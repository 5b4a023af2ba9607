"""What each moment is worth whatever else is shown: its quality, what happens in it, and how much there is to see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.selection.activity import activity, appeal, typicality, uncovered, written_over
from daemon.selection.completeness import unfinished
from daemon.selection.invitation import invitation
from daemon.selection.likeness import LUMA_CELLS, LUMA_WEIGHT, gain
from daemon.selection.moments import Moments

COVERED_BONUS = 0.25
"""What a new scene is worth all the same where writing takes all other worth from its picture."""
QUALITY = 0.5
"""What the best frame is worth more than the worst, in average scenes shown."""
EVENT = 0.5
"""What a moment in which much happens is worth more than one in which nothing does, in average scenes shown."""
APPEAL = 0.3
"""What the moment with the most to see in it is worth more than the one with the least, in average scenes shown."""
FIRST_QUALITY, FIRST_EVENT, INVITING, WHATEVER = 1.0, 2.0, 3.0, 0.6
"""What the first still, which is used where only one is, is worth for its quality, if much happens in it (as much less
if all of that is cut off by the edges), and if it is inviting by itself: that share of it whatever its quality is."""
TYPICAL = 0.8
"""What the first still is worth more if its light and colours are those of the film."""
WRITTEN = 0.6
"""What the first still loses of its worth by writing over it, where the film has pictures without."""
UNFINISHED = 0.4
"""What is left of the worth of a picture that is a part of another one."""


def worth(
    moments: Moments,
    sketches: NDArray[np.float32],
    details: NDArray[np.float32] | None,
    lettering: NDArray[np.float64] | None,
    difference: float,
    least_detail: float,
) -> tuple[float, NDArray[np.float32], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What holds for all terms: the sketches' gain, they with it, and what each moment is worth whatever else is shown.

    Of the worth: what writing leaves of a new scene's, what the moment adds to a choice, and what it is worth alone,
    where a caption over it costs ``WRITTEN``.
    ``difference`` and ``least_detail`` are those from which pictures are not alike.
    """
    amplified = gain(sketches)
    louder = sketches * np.float32(amplified)
    luma = louder[:, :LUMA_CELLS] / np.float32(LUMA_WEIGHT)
    event, cut = activity(luma, moments.shot)
    rich = APPEAL * appeal(sketches)
    clear = np.ones(len(sketches)) if lettering is None else uncovered(lettering, moments.shot, moments.seconds)
    value = clear * moments.quality * (QUALITY + EVENT * event * (1 - cut) + rich)
    by_itself = moments.quality if moments.away is None else moments.quality / moments.away
    inviting = INVITING * (WHATEVER + (1 - WHATEVER) * by_itself) * invitation(sketches, details)
    alone = FIRST_QUALITY * by_itself + clear * (FIRST_EVENT * event * (1 - 2 * cut) + inviting)
    alone = np.maximum(alone, 0.0) + TYPICAL * typicality(sketches, moments.seconds)
    if lettering is not None:
        alone *= 1.0 - WRITTEN * written_over(lettering, moments.seconds)
    if details is not None:
        part = unfinished(louder, details, difference, least_detail)
        value[part] *= UNFINISHED
        alone[part] *= UNFINISHED
    return amplified, louder, COVERED_BONUS + (1 - COVERED_BONUS) * clear, value, alone
