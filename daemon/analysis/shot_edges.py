"""What lies at the edges of shots: fades, dissolves, and the frames beside them and beside cuts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.witness import NOBODY, Witness, away
from daemon.config.selection import GatesConfig
from daemon.model import Shot, ShotKind

Mask = NDArray[np.bool_]

LEAST_FRAMES = 5
"""No shot beside a fade or dissolve is shorter."""
EDGE_SECONDS = 0.2
"""Frames farther apart are no blend of what is on either side of a cut."""
MIX_SECONDS = 0.5
"""So near to a fade or dissolve a frame may have some of it left."""


def transition(
    time_s: NDArray[np.float64], shots: Sequence[Shot], config: GatesConfig, witness: Witness = NOBODY
) -> Mask:
    """Frames of fades and dissolves, and those next to them or to a cut; the film's own ends are no cut.

    A shot keeps at least its middle half, and all of its frames where they are far apart, as those of a slide show.
    What lies beside a transition and is shorter than any shot belongs to it.
    """
    count = len(time_s)
    mask = np.zeros(count, np.bool_)
    for shot in shots:
        if shot.kind is not ShotKind.SHOT:
            mask[shot.first : shot.last + 1] = True
            continue
        seconds = abs(float(time_s[shot.last] - time_s[shot.first])) / max(shot.last - shot.first, 1)
        edge = min(config.edge_frames, (shot.last - shot.first + 1) // 4) if seconds <= EDGE_SECONDS else 0
        if seconds <= EDGE_SECONDS and shot.last - shot.first + 1 < LEAST_FRAMES and _beside_mix(shot, shots):
            mask[shot.first : shot.last + 1] = True
        if shot.first > 0:
            mask[shot.first : shot.first + edge] = True
        if shot.last < count - 1:
            mask[shot.last + 1 - edge : shot.last + 1] = True
    if witness.at is not None:
        kind, frames = away(shots, witness.at, count)
        witness.figure(f"frames to the nearest {kind}", frames, config.edge_frames + 1, below=True)
    return mask


def _beside_mix(shot: Shot, shots: Sequence[Shot]) -> bool:
    """Whether a fade or dissolve ends or begins beside a shot."""
    return any(
        one.kind is not ShotKind.SHOT and (one.last == shot.first - 1 or one.first == shot.last + 1) for one in shots
    )


def beside_mixes(time_s: NDArray[np.float64], shots: Sequence[Shot]) -> Mask:
    """Frames within ``MIX_SECONDS`` of a fade or dissolve."""
    mask = np.zeros(len(time_s), np.bool_)
    for mix in shots:
        if mix.kind in (ShotKind.FADE, ShotKind.DISSOLVE) and mix.last < len(time_s):
            first_s, last_s = sorted((time_s[mix.first], time_s[mix.last]))
            mask[slice(*np.searchsorted(time_s, (first_s - MIX_SECONDS, last_s + MIX_SECONDS)))] = True
    return mask
