"""Subtitles, seen by how they come and go: from one frame to the next a line in the lower part of the picture has far
more edges, or far fewer, and nothing else changes. Whatever the letters look like, and whatever is behind them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.film_figures import Records
from daemon.model import Shot

Mask = NDArray[np.bool_]

LOWER = 6
"""The first of the rows of cells that subtitles are set in."""
CHANGE = 48
"""What a cell's edges change by where letters come or go, in sixteenths of an octave of energy: by three octaves."""
LEAST_CELLS, MOST_ROWS, HOLES = 5, 3, 1
"""Cells of a line that change at once, in how many rows cells do at most, and how many in between that do not."""
OFF_CENTRE = 3
"""Cells that the margins of such a line differ by at most."""
ELSEWHERE, ELSEWHERE_SHARE, SAME_LIGHT = 8, 0.03, 3
"""What the edges of other cells change by, as the median; which share of them changes as letters do; and their light,
in codes, as the median."""
AROUND, STANDS_OUT = 2, 0.4
"""So many frames before and after, the same cells change by that share of it at most."""
MOST_OF_SHOT = 0.75
"""Where a subtitle is there for more of a shot, too little is left without."""
LEAST_CHANGES = 2
"""A film with fewer such changes in one row has no subtitles: something has popped up."""
ROWS = 4096


@dataclass(frozen=True, slots=True)
class Change:
    """From frame ``at`` on a line in this row of cells is there (``comes``), or is not any more."""

    at: int
    row: int
    comes: bool


def subtitled(records: Records, shots: Sequence[Shot]) -> Mask:
    """Frames with a subtitle over them, of shots that have others without."""
    mask = np.zeros(len(records), np.bool_)
    found = list(changes(records))
    rows = [change.row for change in found]
    found = [change for change in found if rows.count(change.row) >= LEAST_CHANGES]
    for shot in shots:
        own = [change for change in found if shot.first < change.at <= shot.last]
        for place, change in enumerate(own):
            before = own[place - 1].at if place else shot.first
            after = own[place + 1].at if place + 1 < len(own) else shot.last + 1
            first, end = (change.at, after) if change.comes else (before, change.at)
            mask[first:end] = True
        if mask[shot.first : shot.last + 1].mean() > MOST_OF_SHOT:
            mask[shot.first : shot.last + 1] = False
    return mask


def changes(records: Records) -> Iterator[Change]:
    """Where a line comes or goes, in the order of frames."""
    for start in range(0, max(len(records) - 1, 0), ROWS):
        some = records[max(start - AROUND, 0) : start + ROWS + AROUND + 1]
        lower = some["edges"][:, LOWER:].max(axis=-1).astype(np.int16)
        many = (np.abs(np.diff(lower, axis=0)) >= CHANGE).sum(axis=2).max(axis=1, initial=0) >= LEAST_CELLS
        base = max(start - AROUND, 0)
        for step in np.flatnonzero(many[start - base : start - base + ROWS]).tolist():
            if (change := _change(some, step + start - base)) is not None:
                row, comes = change
                yield Change(start + step + 1, row, comes)


def _change(records: Records, step: int) -> tuple[int, bool] | None:
    """The row of a line that comes or goes between a frame and the next, and whether it comes."""
    first, last = max(step - AROUND, 0), min(step + AROUND + 2, len(records))
    steps = np.diff(records[first:last]["edges"].max(axis=-1).astype(np.int16), axis=0)
    here = steps[step - first]
    for comes in (True, False):
        gain = here if comes else -here
        line = gain >= CHANGE
        row = int(line.sum(axis=1).argmax())
        if row < LOWER or not _is_line(line, row):
            continue
        rest = ~line
        rest[row - 1 : row + 2] = False
        light = records[step : step + 2]["luma"].astype(np.int16)
        others = np.abs(here[rest])
        if np.median(others) > ELSEWHERE or (others >= CHANGE).mean() > ELSEWHERE_SHARE:
            continue
        if np.median(np.abs(light[1] - light[0])[rest]) > SAME_LIGHT:
            continue
        beside = np.abs(np.delete(steps, step - first, axis=0)[:, line]).mean(axis=1)
        if beside.max(initial=0.0) <= STANDS_OUT * gain[line].mean():
            return row, comes
    return None


def _is_line(cells: Mask, row: int) -> bool:
    """Whether cells that change are mostly one centred line."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells[row])
    if len(columns) < LEAST_CELLS or rows[-1] - rows[0] >= MOST_ROWS:
        return False
    left, right = int(columns[0]), cells.shape[1] - 1 - int(columns[-1])
    return len(cells[row, columns[0] : columns[-1] + 1]) - len(columns) <= HOLES and abs(left - right) <= OFF_CENTRE
