"""What is said of a choice: what each still stands for, and why there are no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from daemon.model import Reason
from daemon.selection.moments import Moments


def reasons(likeness: NDArray[np.float32], moments: Moments, chosen: Sequence[int]) -> tuple[Reason, ...]:
    """What each choice stands for: the moments that it is most like, those of its own shot first.

    ``likeness`` is that of ``likeness.likenesses``, ``chosen`` are places in ``moments``.
    """
    best = np.full(len(moments.position), -1.0)
    owner = np.zeros(len(best), np.int64)
    for number, at in enumerate(chosen):
        near = likeness[at] + (moments.shot == moments.shot[at])
        better = near > best
        owner[better], best[better] = number, near[better]
    held = best > 0
    frames = np.bincount(owner[held], weights=moments.frames[held], minlength=len(chosen))
    seconds = np.bincount(owner[held], weights=moments.seconds[held], minlength=len(chosen))
    return tuple(
        Reason(
            shot=int(moments.shot[at]),
            percentile=round(100 * float(moments.percentile[at]), 1),
            frames=int(frames[number]),
            seconds=round(float(seconds[number]), 2),
        )
        for number, at in enumerate(chosen)
    )


def shortfall(chosen: int, refused: Mapping[str, int], gap_s: float) -> str:
    """Why there are only so many; ``refused`` is how many frames had something against them, by what it was."""
    one = "the chosen one" if chosen == 1 else f"one of the {chosen} chosen ones"
    parts = []
    if refused["alike"]:
        parts.append(f"looks like {one} (select.min_difference: 0 gives such ones, too)")
    if refused["scene"]:
        parts.append("shows a scene that has its still (select.strategy)")
    if refused["gap"]:
        parts.append(f"is less than {gap_s:g} s away from {one} (select.min_gap_seconds)")
    if refused["given"]:
        parts.append("looks like a still of another film (select.across)")
    if not parts:
        return f"the film has only {chosen} good moment{'' if chosen == 1 else 's'}"
    return f"every other good frame {' or '.join(parts)}"
