"""Which shots show the same: a shot that comes back, the two sides of a conversation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROWS, PAIRS = 128, 8192
"""Moments whose likenesses to all others are held at once, and pairs that are looked at cell by cell."""
LARGEST, MOST_APART = 6, 1.0
"""The cells that differ most, and what they may differ by in the mean, in standard deviations of the picture."""


def same_throughout(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Per pair of ``features.view``, whether no part of one differs much from the other."""
    apart = np.abs(some - others)
    largest = np.partition(apart, -LARGEST, axis=1)[:, -LARGEST:].mean(axis=1)
    same: NDArray[np.bool_] = largest * apart.shape[1] ** 0.5 <= MOST_APART
    return same


def scenes(shot: NDArray[np.int64], views: NDArray[np.float32], *, alike: float, share: float) -> dict[int, int]:
    """The scene of each shot: shots of which ``share`` of the moments are seen in another belong together.

    ``views`` are ``features.view`` of moments evenly through every shot, ``shot`` (rising) says of which. Two
    moments are alike from a correlation of ``alike`` on, where no part of them differs much: one person is not another
    before the same wall. Scenes are named by their first shot.
    """
    if len(shot) == 0:
        return {}
    names, starts = np.unique(shot, return_index=True)
    sizes = np.diff(np.append(starts, len(shot)))
    owner = np.repeat(np.arange(len(names)), sizes)
    # Whole numbers, as the table has: it is compared without being made one of fractions.
    enough = np.ceil(share * sizes).astype(np.int32)
    parent = list(range(len(names)))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    first = 0
    while first < len(names):
        after = max(int(np.searchsorted(starts, starts[first] + ROWS, side="right")) - 1, first + 1)
        begin, end = int(starts[first]), int(starts[after - 1] + sizes[after - 1])
        seen = np.zeros((after - first, len(names)), np.int32)
        for row in range(begin, end, ROWS):
            rows = views[row : min(row + ROWS, end)]
            own = owner[row : row + len(rows)]
            ones, others = np.divmod(np.flatnonzero(rows @ views.T >= alike), len(views))
            apart = own[ones] != owner[others]
            ones, others = ones[apart], others[apart]
            same = np.zeros(len(ones), np.bool_)
            for part in range(0, len(ones), PAIRS):
                pair = slice(part, part + PAIRS)
                same[pair] = same_throughout(rows[ones[pair]], views[others[pair]])
            # A moment counts once for each shot: its pairs follow each other, and in them those of one shot.
            ones, shots = ones[same], owner[others[same]]
            new = np.append(True, (ones[1:] != ones[:-1]) | (shots[1:] != shots[:-1]))[: len(ones)]
            np.add.at(seen.reshape(-1), (own[ones[new]] - first) * len(names) + shots[new], 1)
        for one, other in zip(*np.nonzero(seen >= enough[first:after, None]), strict=True):
            first_root, second_root = sorted((root(first + int(one)), root(int(other))))
            parent[second_root] = first_root
        first = after
    return {int(name): int(names[root(at)]) for at, name in enumerate(names)}
