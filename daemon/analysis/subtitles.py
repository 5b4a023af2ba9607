"""Subtitles, seen by how they come and go: from one frame to the next a line in the lower part of the picture has far
more edges, or far fewer, and nothing else changes. Whatever the letters look like, and whatever is behind them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.film_figures import Records
from daemon.model import Shot

Mask = NDArray[np.bool_]

LOWER = 6
"""The first of the rows of cells that subtitles are set in."""
CHANGE = 48
"""What a cell's edges change by where letters come or go, in sixteenths of an octave of energy: by three octaves."""
LEAST_CELLS, MOST_ROWS, HOLES = 4, 3, 1
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
    """From frame ``at`` on a line in this row of cells is there (``comes``), or is not any more.

    ``edges`` are what the cells in these ``columns`` have at least while it is there, as the median.
    """

    at: int
    row: int
    comes: bool
    columns: tuple[int, ...]
    edges: float


def subtitled(records: Records, shots: Sequence[Shot]) -> Mask:
    """Frames with a subtitle over them, of shots that have others without."""
    mask = np.zeros(len(records), np.bool_)
    found = list(changes(records))
    rows = [change.row for change in found]
    found = [change for change in found if rows.count(change.row) >= LEAST_CHANGES]
    for shot in shots:
        own = [change for change in found if shot.first < change.at <= shot.last]
        for place, change in enumerate(own):
            other = own[place + 1 : place + 2] if change.comes else own[max(place - 1, 0) : place]
            far = other[0].at if other else shot.last + 1 if change.comes else shot.first
            first, end = sorted((change.at, far))
            part = slice(first, end)
            # Where the same happens twice, what lies between, a line that faded in, say, was not seen.
            mask[part] |= True if not other or other[0].comes != change.comes else _there(records[part], change)
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
                yield replace(change, at=start + step + 1)


def _change(records: Records, step: int) -> Change | None:
    """The line that comes or goes between a frame and the next."""
    first, last = max(step - AROUND, 0), min(step + AROUND + 2, len(records))
    edges = records[first:last]["edges"].max(axis=-1).astype(np.int16)
    steps = np.diff(edges, axis=0)
    here = steps[step - first]
    for comes in (True, False):
        gain = here if comes else -here
        line = gain >= CHANGE
        row = int(line.sum(axis=1).argmax())
        # What moves elsewhere meanwhile is no part of the line.
        rest = np.ones_like(line)
        rest[max(row - 1, 0) : row + 2] = False
        line &= ~rest
        if row < LOWER or not _is_line(line, row):
            continue
        light = records[step : step + 2]["luma"].astype(np.int16)
        others = np.abs(here[rest])
        if np.median(others) > ELSEWHERE or (others >= CHANGE).mean() > ELSEWHERE_SHARE:
            continue
        if np.median(np.abs(light[1] - light[0])[rest]) > SAME_LIGHT:
            continue
        beside = np.abs(np.delete(steps, step - first, axis=0)[:, line]).mean(axis=1)
        if beside.max(initial=0.0) <= STANDS_OUT * gain[line].mean():
            columns = np.flatnonzero(line[row])
            there = float(np.median(edges[step - first + comes, row, columns]))
            return Change(step + 1, row, comes, tuple(columns.tolist()), there - CHANGE / 2)
    return None


def _there(records: Records, change: Change) -> Mask:
    """Of frames before a line goes, or after it comes, those that have it: up to where its cells lose their edges."""
    level = np.zeros(len(records))
    for start in range(0, len(records), ROWS):
        part = slice(start, start + ROWS)
        cells = records[part]["edges"].max(axis=-1)[:, change.row, list(change.columns)]
        level[part] = np.median(cells, axis=1)
    kept = level >= change.edges
    found: Mask = np.logical_and.accumulate(kept if change.comes else kept[::-1])
    return found if change.comes else found[::-1]


def _is_line(cells: Mask, row: int) -> bool:
    """Whether cells that change are mostly one centred line, with a margin: what reaches from side to side is an edge
    of the picture itself."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells[row])
    if not LEAST_CELLS <= len(columns) < cells.shape[1] or rows[-1] - rows[0] >= MOST_ROWS:
        return False
    left, right = int(columns[0]), cells.shape[1] - 1 - int(columns[-1])
    return len(cells[row, columns[0] : columns[-1] + 1]) - len(columns) <= HOLES and abs(left - right) <= OFF_CENTRE
