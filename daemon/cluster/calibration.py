"""A made picture that every worker scores at its start: the same code on another processor may give other digits."""

from __future__ import annotations

import math

import numpy as np

from daemon.errors import Kind, ScorerError
from daemon.model import Picture
from daemon.scoring.batcher import Batcher

HEIGHT, WIDTH = 288, 384
"""Large enough for every metric, small enough for every card."""


def picture() -> Picture:
    """RGB uint8, ``(288, 384, 3)``: waves, edges and noise, made of integers alone, the same on every machine."""
    row, column = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.int64)
    noise = ((row * 7919 + column * 104_729 + row * column * 31) % 65_521) % 48
    waves = (row * row // 90 + column * 3) % 96
    blocks = ((row // 32 + column // 48) % 2) * 64
    planes = [(waves + blocks + noise + 16 * at) % 256 for at in range(3)]
    return np.ascontiguousarray(np.stack(planes, axis=-1).astype(np.uint8))


async def number(batcher: Batcher) -> float:
    """What the scorer gives the picture. Raises ScorerError when it gives none."""
    (outcome,) = await batcher.score([picture()])
    if outcome.score is None or not math.isfinite(outcome.score):
        raise ScorerError(Kind.SCORE, f"the calibration picture has no score ({outcome.note}): choose another metric")
    return outcome.score


def difference(here: float, there: float) -> float:
    """How far two numbers are from each other, as a share of the larger one.

    >>> difference(4.0, 4.0), difference(4.0, 5.0)
    (0.0, 0.2)
    """
    return 0.0 if here == there else abs(here - there) / max(abs(here), abs(there))
