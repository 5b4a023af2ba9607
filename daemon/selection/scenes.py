"""Which shots show the same: a shot that comes back, the two sides of a conversation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROWS = 512
"""Rows of the table of likenesses that are held at once."""
MOST_SHOTS = 12_000
"""With more shots the table of who is seen where would be too large; each is then a scene of its own."""


def scenes(shot: NDArray[np.int64], views: NDArray[np.float32], *, alike: float, share: float) -> dict[int, int]:
    """The scene of each shot: shots of which ``share`` of the moments are seen in another belong together.

    ``views`` are ``features.view`` of moments evenly through every shot, ``shot`` (rising) says of which. Two
    moments are alike from a correlation of ``alike`` on. Scenes are named by their first shot.
    """
    names, starts, number = np.unique(shot, return_index=True, return_inverse=True)
    if not 0 < len(names) <= MOST_SHOTS:
        return {int(name): int(name) for name in names}
    size = np.bincount(number)
    seen = np.zeros((len(names), len(names)), np.uint16)
    for first in range(0, len(shot), ROWS):
        found = np.logical_or.reduceat(views[first : first + ROWS] @ views.T >= alike, starts, axis=1)
        own = number[first : first + ROWS]
        breaks = np.flatnonzero(np.append(True, own[1:] != own[:-1]))
        seen[own[breaks]] += np.add.reduceat(found.astype(np.uint16), breaks, axis=0)
    parent = list(range(len(names)))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for one, other in zip(*np.nonzero(seen >= share * size[:, None]), strict=True):
        first_root, second_root = sorted((root(int(one)), root(int(other))))
        parent[second_root] = first_root
    return {int(name): int(names[root(at)]) for at, name in enumerate(names)}
