"""Wipes: transitions in which every part of one picture gives way to the other at its own moment.

before    after      Each cell of a frame between is either that of the frame before or that of the frame after,
A A A A   B B A A    and the share of the latter rises from none to all. In a dissolve all cells are a mix, in a
A A A A   B B A A    pan they are neither.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.features import GRID
from daemon.model import Shot, ShotKind

REACHES = (8, 16)
"""Frames before and after that a frame is held against."""
CELL_CODES = 24.0
"""A cell differs by so much, in the mean of its channels, where the picture before and the one after are told apart."""
TOLD_SHARE, CLEAR_SHARE = 0.5, 0.8
"""The share of cells that have to differ, and the share of those that have to be the one or the other."""
NEAR, NEAR_CODES = 0.2, 3.0
"""How near a cell is to the one that it is, as a share of the difference, and in codes."""
FIRST = 0.06
"""Shares nearer to 0 or 1 are the pictures themselves."""
LEAST_FRAMES, MOST_FRAMES, LEAST_RISE, STRAIGHT = 4, 60, 0.5, 0.85
"""How long a wipe is, by how much the share rises, and how well it lies on a line (correlation with time)."""
EDGE_FRAMES, EDGE_SHARE = 2, 0.15
"""How much longer a wipe is at both ends, where little of the picture is left to change."""


class WipeFinder:
    """Takes a film's thumbnails in order, and says where its wipes are."""

    def __init__(self) -> None:
        self._thumbnails = np.zeros((0, *GRID, 3), np.uint8)
        self._base = 0
        self._next = 0
        self._shares: list[tuple[int, float]] = []

    def feed(self, thumbnails: NDArray[np.uint8]) -> None:
        """The next frames, ``(n, 9, 16, 3)``."""
        self._thumbnails = np.concatenate([self._thumbnails, thumbnails])
        self._look(self._base + len(self._thumbnails) - REACHES[-1])
        past = max(self._next - REACHES[-1] - self._base, 0)
        self._thumbnails = self._thumbnails[past:]
        self._base += past

    def found(self) -> list[Shot]:
        """The wipes, in order."""
        self._look(self._base + len(self._thumbnails))
        spans: list[Shot] = []
        run: list[tuple[int, float]] = []
        for one in [*self._shares, (1 << 62, 0.0)]:
            if run and one[0] - run[-1][0] > 2:
                spans += _wipe(run, self._next)
                run = []
            run.append(one)
        return spans

    def _look(self, until: int) -> None:
        if until <= self._next:
            return
        frames = np.arange(self._next, until) - self._base
        last = len(self._thumbnails) - 1
        share = np.full(len(frames), np.nan)
        for reach in REACHES:
            before = self._thumbnails[np.maximum(frames - reach, 0)].astype(np.int16)
            after = self._thumbnails[np.minimum(frames + reach, last)].astype(np.int16)
            apart = np.abs(after - before).sum(axis=-1) / 3.0
            told = apart >= CELL_CODES
            rows = np.flatnonzero(told.mean(axis=(1, 2)) >= TOLD_SHARE)
            middle = self._thumbnails[frames[rows]].astype(np.int16)
            near = NEAR * apart[rows] + NEAR_CODES
            is_before = np.abs(middle - before[rows]).sum(axis=-1) / 3.0 <= near
            is_after = np.abs(middle - after[rows]).sum(axis=-1) / 3.0 <= near
            among = told[rows].sum(axis=(1, 2))
            clear = ((is_before | is_after) & told[rows]).sum(axis=(1, 2)) / among
            part = (is_after & told[rows]).sum(axis=(1, 2)) / among
            found = (clear >= CLEAR_SHARE) & (part > FIRST) & (part < 1 - FIRST)
            share[rows[found]] = part[found]
        self._shares += [(int(frames[at]) + self._base, float(share[at])) for at in np.flatnonzero(~np.isnan(share))]
        self._next = until


def _wipe(run: list[tuple[int, float]], count: int) -> list[Shot]:
    """The wipe that a run of frames belongs to; none where their share does not rise from end to end."""
    times = np.array([frame for frame, _ in run], np.float64)
    shares = np.array([share for _, share in run])
    if not LEAST_FRAMES <= len(run) <= MOST_FRAMES or shares.std() == 0:
        return []
    if shares[-1] - shares[0] < LEAST_RISE or np.corrcoef(times, shares)[0, 1] < STRAIGHT:
        return []
    edge = EDGE_FRAMES + int(np.ceil(EDGE_SHARE * len(run)))
    first, last = max(run[0][0] - edge, 0), min(run[-1][0] + edge, count - 1)
    return [Shot(ShotKind.DISSOLVE, first, last)]
