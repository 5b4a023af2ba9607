"""Which of two frames that follow each other has the coder's grid: the blocks that it leaves where it saves.

A grid is in sharp pictures, too, and blur takes it away: what tells them apart is that a coder rounds colours, makes
neighbouring pixels alike, and adds edges both ways.
"""

from __future__ import annotations

import numpy as np

from daemon.analysis.features import by_cell
from daemon.analysis.film_figures import Records

GROSS_GRID, GROSS_STILL, GROSS_SHARP, GROSS_EDGES, STRONGEST = 2.6, 0.1, 2.2, 14.0, 0.25
"""A side with a stronger grid has it from a coder if the grid is so many times stronger or so many more pixels are like
their neighbours; else not if it is so many times as sharp, nor if the strongest share of cells gains so much."""
RECOLOURED, TINTED, GRID_SHARP = 0.9, 12, 1.4
"""By how many codes a coder changes red and blue beside green, in the mean of large cells, and how much more of them
there is in a picture whose colours tell; a coder's grid makes a picture sharper by no more than so many times what it
grows by."""
ONE_WAY, OTHER_WAY = 1.27, (0.85, 1.07)
"""How many times as sharp across one is at least, while along it is as sharp but for so much: movement takes the one
alone, and the columns of a grid with it; a coder changes both."""
DOUBLED = 1.8
"""A grid that grows so much, and by more than the square of what the picture gets sharper by, is no matter of blur."""


def from_coder(records: Records, at: int) -> bool:
    """Whether of the frames before ``at`` and at it the one with the stronger grid has it from a coder: what is sharp
    has more of a grid, too, that was in the picture before.

    A coder that leaves a grid rounds colours as well, which blur leaves as they are.
    """
    less, more = sorted((records[at - 1], records[at]), key=lambda one: float(one["blocks"]))
    stronger = float(more["blocks"]) / max(float(less["blocks"]), 1e-6)
    across, along = (float(more[name]) / max(float(less[name]), 1e-6) for name in ("sharp_x", "sharp_y"))
    sharper = max(across, along)
    if _recoloured(records, at) and (stronger >= GROSS_GRID or sharper <= GRID_SHARP * stronger):
        return True
    if stronger >= max(DOUBLED, sharper**2):
        return True
    smoother = float(more["still"]) - float(less["still"])
    if smoother <= 0:
        return False
    if stronger >= GROSS_GRID:
        return True
    if across >= ONE_WAY and OTHER_WAY[0] <= along <= OTHER_WAY[1]:
        return False
    if sharper >= GROSS_SHARP and np.abs(less["tint"]).max() >= TINTED:
        return False
    if smoother >= GROSS_STILL:
        return True
    if sharper >= GROSS_SHARP or not by_cell(less, more):
        return False
    gains = []
    for way in range(2):
        one, other = (side["edges"][..., way].ravel().astype(np.float64) for side in (less, more))
        strongest = np.argsort(one, kind="stable")[-int(STRONGEST * len(one)) :]
        gains.append(float(np.median(other[strongest] - one[strongest])))
    return max(gains) <= GROSS_EDGES


def _recoloured(records: Records, at: int) -> bool:
    """Whether colours change from the frame before ``at`` to that one more than they do around it."""
    tint = records[max(at - 2, 0) : at + 2]["tint"].astype(np.float64)
    change = np.abs(np.diff(tint, axis=0)).mean(axis=(1, 2, 3))
    own = at - 1 - max(at - 2, 0)
    around = np.delete(change, own)
    return bool(change[own] >= RECOLOURED + (around.mean() if len(around) else 0.0))
