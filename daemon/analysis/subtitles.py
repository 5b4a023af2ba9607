"""Subtitles, seen by how they come and go: from one frame to the next a line, in the lower part of the picture as a
rule, has far more edges, or far fewer, and nothing else changes. Whatever the letters look like, and whatever is behind
them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.features import differences, stronger
from daemon.analysis.film_figures import ROWS, Records
from daemon.model import Shot

Mask = NDArray[np.bool_]

LOWER = 6
"""The first of the rows of cells that subtitles are usually set in."""
CHANGE = 48
"""What a cell's edges change by where letters come or go, in sixteenths of an octave of energy: by three octaves."""
LEAST_CELLS, MOST_ROWS, HOLES = 4, 3, 1
"""Cells of a line that change at once, in how many rows cells do at most, and how many in between that do not."""
SLIGHT = 16
"""What it changes by in between at least, by an octave: there it may be over edges."""
PLAIN_CELLS = 13
"""What is longer is said less plainly: it may be an edge of the picture."""
SHORT_CELLS = 2
"""The same of a word or two, which is believed where longer lines come and go in that row, or many such words."""
OFF_CENTRE, SHORT_OFF_CENTRE = 3, 1
"""Cells that the margins of such a line differ by at most, and those of a short one."""
ELSEWHERE, ELSEWHERE_SHARE, SAME_LIGHT = 8, 0.03, 3
"""What the edges of other cells change by, as the median; which share of them changes as letters do; and their light,
in codes, as the median."""
AROUND, STANDS_OUT = 2, 0.4
"""So many frames before and after, the same cells change by that share of it at most."""
MOST_OF_SHOT = 0.75
"""Where a subtitle is there for more of a shot, too little is left without."""
LEAST_CHANGES, MORE_CHANGES, SAME_CELLS = 2, 4, 0.7
"""A row has subtitles in which so many changes are plain to see, or in which a long line comes and goes so many times
in cells of which it has this share in common; with fewer, something has popped up. Above the lower rows, it is the
second number of changes; in the lower ones so many are enough of words of any length, if each has its cells in common
with the last one."""


@dataclass(frozen=True, slots=True)
class Change:
    """From frame ``at`` on a line in this row of cells is there (``comes``), or is not any more.

    ``edges`` are what the cells in these ``columns`` have at least while it is there, as the median. One that is
    ``plain`` to see is long, and changes all of its cells; others are believed where such ones are, or they are many.
    """

    at: int
    row: int
    comes: bool
    columns: tuple[int, ...]
    edges: float
    plain: bool


def subtitled(records: Records, shots: Sequence[Shot]) -> Mask:
    """Frames with a subtitle over them, of shots that have others without."""
    mask = np.zeros(len(records), np.bool_)
    found = _believed(list(changes(records)))
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


def _believed(found: list[Change]) -> list[Change]:
    """Of changes those in rows in which some are plain to see, or the same cells come and go again and again.

    Words may be so short that all of them lie in the same cells, and not each is seen to come and to go.
    """
    believed = set()
    for row in {change.row for change in found}:
        own = [change for change in found if change.row == row]
        long = [change for change in own if len(change.columns) >= LEAST_CELLS]
        again = sum(one.comes != other.comes and _same(one, other) for one, other in itertools.pairwise(long))
        plain, low = sum(change.plain for change in own), row >= LOWER
        words = sum(_same(one, other) for one, other in itertools.pairwise(own)) if low else 0
        if words >= MORE_CHANGES or max(plain, again) >= (LEAST_CHANGES if low else MORE_CHANGES):
            believed.add(row)
    return [change for change in found if change.row in believed]


def _same(one: Change, other: Change) -> bool:
    """Whether two lines lie in the same cells."""
    cells, others = set(one.columns), set(other.columns)
    return len(cells & others) >= SAME_CELLS * len(cells | others)


def changes(records: Records) -> Iterator[Change]:
    """Where a line comes or goes, in the order of frames."""
    for start in range(0, max(len(records) - 1, 0), ROWS):
        some = records[max(start - AROUND, 0) : start + ROWS + AROUND + 1]
        changed = np.count_nonzero(differences(stronger(some["edges"])) >= CHANGE, axis=2)
        many = changed.max(axis=1, initial=0) >= SHORT_CELLS
        base = max(start - AROUND, 0)
        for step in np.flatnonzero(many[start - base : start - base + ROWS]).tolist():
            if (change := _change(some, step + start - base)) is not None:
                yield replace(change, at=start + step + 1)


def _change(records: Records, step: int) -> Change | None:
    """The line that comes or goes between a frame and the next."""
    first, last = max(step - AROUND, 0), min(step + AROUND + 2, len(records))
    edges = stronger(records[first:last]["edges"]).astype(np.int16)
    gains = np.diff(edges, axis=0)
    here = gains[step - first]
    for comes in (True, False):
        gain = here if comes else -here
        line = gain >= CHANGE
        row = int(line.sum(axis=1).argmax())
        # What moves elsewhere meanwhile is no part of the line.
        rest = np.ones_like(line)
        rest[max(row - 1, 0) : row + 2] = False
        line &= ~rest
        if not _is_line(line, row, gain >= SLIGHT):
            continue
        light = records[step : step + 2]["luma"].astype(np.int16)
        others = np.abs(here[rest])
        if np.median(others) > ELSEWHERE or (others >= CHANGE).mean() > ELSEWHERE_SHARE:
            continue
        if np.median(np.abs(light[1] - light[0])[rest]) > SAME_LIGHT:
            continue
        beside = np.abs(np.delete(gains, step - first, axis=0)[:, line]).mean(axis=1)
        if beside.max(initial=0.0) <= STANDS_OUT * gain[line].mean():
            columns = np.flatnonzero(line[row])
            there = float(np.median(edges[step - first + comes, row, columns]))
            plain = LEAST_CELLS <= len(columns) <= PLAIN_CELLS and int(np.ptp(columns)) + 1 - len(columns) <= HOLES
            return Change(step + 1, row, comes, tuple(columns.tolist()), there - CHANGE / 2, plain)
    return None


def _there(records: Records, change: Change) -> Mask:
    """Of frames before a line goes, or after it comes, those that have it: up to where its cells lose their edges."""
    level = np.zeros(len(records))
    for start in range(0, len(records), ROWS):
        part = slice(start, start + ROWS)
        cells = stronger(records[part]["edges"])[:, change.row, list(change.columns)]
        level[part] = np.median(cells, axis=1)
    kept = level >= change.edges
    found: Mask = np.logical_and.accumulate(kept if change.comes else kept[::-1])
    return found if change.comes else found[::-1]


def _is_line(cells: Mask, row: int, slight: Mask) -> bool:
    """Whether cells that change are mostly one centred line, with a margin: what reaches from side to side is an edge
    of the picture itself. Between its ends it changes at least ``slight``ly, as over what has edges itself."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells[row])
    if not SHORT_CELLS <= len(columns) < cells.shape[1] or rows[-1] - rows[0] >= MOST_ROWS:
        return False
    left, right = int(columns[0]), cells.shape[1] - 1 - int(columns[-1])
    off_centre = OFF_CENTRE if len(columns) >= LEAST_CELLS else SHORT_OFF_CENTRE
    between = slight[max(row - 1, 0) : row + 2, columns[0] : columns[-1] + 1].any(axis=0)
    return int((~between).sum()) <= HOLES and abs(left - right) <= off_centre
