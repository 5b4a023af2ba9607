"""Titles and logos that fade in or out where they stand, over a picture that stays as it is.

Letters too large for strokes: some cells in one block become brighter, or darker, all by the same share at the same
time, and gain edges, while nothing else changes. What moves into a picture changes one cell after another, what is put
there is there at once, and a light makes edges grow by as much as it makes luma.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.features import stronger
from daemon.analysis.film_figures import ROWS, Records
from daemon.model import Shot, ShotKind

Mask = NDArray[np.bool_]

FADE_SECONDS = (0.5, 1.0)
"""How far apart frames are compared: fades take about so long."""
SLOWEST_SECONDS, LONGER = 0.12, 1.5
"""Of films with fewer frames, too few lie within a fade; where time is missing, it is as many times longer."""
CODES = 24
"""What a cell changes by at least."""
LEAST_CELLS, MOST_CELLS, FILLED = 6, 72, 0.6
"""How many cells do, and how much of their bounding box, which leaves out the picture's left and right edge."""
ELSEWHERE, MOST_ELSEWHERE = 5.0, 10
"""What all other cells change by at most, as the mean, in codes; so much of each counts."""
MORE_EDGES, OTHER_EDGES = 12, 6
"""What these cells' edges grow by, and what those of the others change by at most: medians, sixteenths of an octave."""
PICTURE_EDGES = 48
"""The edges, as the median, of what an overlay is laid over: on a plain ground nothing can be told from a thing."""
LIGHT, LIT_EDGES, OCTAVE = 0.5, 6, 32
"""From such a correlation on of what is gained with what was there, it is light that falls on it; so it is where edges
grow by as many octaves as luma, but for so many sixteenths of one of their energy, which is its square."""
STANDS_SECONDS, STANDS, LEFT = 0.3, 0.06, 0.3
"""For so long before or after they stay as they are, but for so much of that change; on the other side, some of the
fade may be left."""
OFF_COURSE, BACK = 0.04, 0.06
"""What the cells are off their common course at most, as a share of the change, and how far that may go back."""
SEEN, STAYS = 0.1, 0.3
"""The share of the change from which an overlay is there, and that is left where it still is."""
BETWEEN, LEAST_BETWEEN = 0.15, 3
"""Frames that are farther than this from both ends of the course; with fewer, something is there at once."""
MOST_OF_SHOT = 0.85
"""Where an overlay is there for more of a shot, too little is left without."""


@dataclass(frozen=True, slots=True)
class Fade:
    """Between two frames something fades in (``comes``) or out.

    ``ground`` and ``change`` are what the ``cells`` have of luma without it, and what they have more with it.
    """

    first: int
    last: int
    comes: bool
    cells: Mask
    ground: NDArray[np.float64]
    change: NDArray[np.float64]


def faded_over(records: Records, time_s: NDArray[np.float64], shots: Sequence[Shot], among: Mask) -> Mask:
    """Frames with something over them that is seen to fade in or out, of shots that have others without.

    What is not ``among`` the frames says nothing: a damaged block that becomes whole is none.
    """
    mask = np.zeros(len(records), np.bool_)
    for shot in shots:
        part, known = slice(shot.first, shot.last + 1), list[Fade]()
        for fade in fades(records, time_s, shot, among) if shot.kind is ShotKind.SHOT else ():
            if any(_same(fade, other) for other in known):
                continue
            known.append(fade)
            mask[_there(records, fade, shot)] = True
        if mask[part].mean() > MOST_OF_SHOT:
            mask[part] = False
    return mask


def _same(one: Fade, other: Fade) -> bool:
    """Whether both are told of one thing that comes, or goes."""
    shared = int((one.cells & other.cells).sum())
    together = one.comes == other.comes and one.first <= other.last and other.first <= one.last
    return together and 2 * shared >= min(one.cells.sum(), other.cells.sum())


def _there(records: Records, fade: Fade, shot: Shot) -> slice:
    """The frames from where it comes, or up to where it goes, that have it: as far as its cells stay like that."""
    first, end = (fade.first, shot.last + 1) if fade.comes else (shot.first, fade.last + 1)
    share = np.empty(end - first)
    for start in range(first, end, ROWS):
        luma = records[start : min(start + ROWS, end)]["luma"][:, fade.cells].astype(np.float64)
        share[start - first : start - first + len(luma)] = (luma - fade.ground) @ fade.change
    share /= float(fade.change @ fade.change)
    # From the side on which there is nothing yet to where it is gone again.
    course = share if fade.comes else share[::-1]
    begun = int((course > SEEN).argmax())
    stays = course >= STAYS
    stays[: fade.last - fade.first + 1] = True
    ended = int(np.logical_and.accumulate(stays).sum())
    # The last of it fades, too.
    ended += int(np.logical_and.accumulate(course[ended : ended + fade.last - fade.first] > SEEN).sum())
    return slice(first + begun, first + ended) if fade.comes else slice(end - ended, end - begun)


def fades(records: Records, time_s: NDArray[np.float64], shot: Shot, among: Mask) -> Iterator[Fade]:
    """What fades in or out within a shot; one fade may be told several times."""
    gaps = np.diff(time_s[shot.first : shot.last + 1])
    usual_s = float(np.median(gaps)) if len(gaps) else 0.0
    if not 0 < usual_s <= SLOWEST_SECONDS:
        return
    rest = max(round(STANDS_SECONDS / usual_s), 2)
    for seconds in FADE_SECONDS:
        apart = max(round(seconds / usual_s), 2)
        # Of each window the frames before and after are looked at, too.
        whole = apart + 2 * rest
        for start in range(shot.first, shot.last + 1 - whole, ROWS):
            part = records[start : min(start + ROWS + whole, shot.last + 1)]
            luma = part["luma"].astype(np.int16)
            change = luma[rest + apart : len(luma) - rest] - luma[rest : len(luma) - rest - apart]
            for sign in (1, -1):
                places = np.flatnonzero(_blocks(change * sign)).tolist()
                if not places:
                    continue
                edges = stronger(part["edges"]).astype(np.int16)
                for at in places:
                    cells, own = change[at] * sign >= CODES, slice(at + rest, at + rest + apart + 1)
                    if not _stands(luma[at : at + whole + 1], rest, cells):
                        continue
                    first = start + at + rest
                    if not among[first - rest : first + apart + rest + 1].all():
                        continue
                    if not 0 < time_s[first + apart] - time_s[first] <= LONGER * seconds:
                        continue
                    for comes, order in ((True, 1), (False, -1)):
                        seen = luma[own][::order]
                        if _is_overlay(seen, edges[own][::order], cells, sign * order):
                            ground, with_it = seen[[0, -1]][:, cells].astype(np.float64)
                            yield Fade(first, first + apart, comes, cells, ground, with_it - ground)


def _stands(luma: NDArray[np.int16], rest: int, cells: Mask) -> bool:
    """Whether before or after what happens in a window these cells stay as they are: a camera that turns goes on."""
    seen = luma[[0, rest, -1 - rest, -1]][:, cells].astype(np.float64)
    size = np.sqrt(((seen[2] - seen[1]) ** 2).mean())
    moved = np.sqrt(((seen[1::2] - seen[::2]) ** 2).mean(axis=1))
    return bool(moved.min() <= STANDS * size and moved.max() <= LEFT * size)


def _blocks(gained: NDArray[np.int16]) -> Mask:
    """Which changes ``(n, rows, columns)`` are those of one block of cells, with nothing else."""
    cells = gained >= CODES
    count = cells.sum(axis=(1, 2))
    high, wide = np.logical_or.reduce(cells, axis=2), np.logical_or.reduce(cells, axis=1)
    box = _extent(high) * _extent(wide)
    others = np.where(cells, 0, np.minimum(np.abs(gained), MOST_ELSEWHERE)).sum(axis=(1, 2))
    found: Mask = (count >= LEAST_CELLS) & (count <= MOST_CELLS) & (count >= FILLED * box)
    found &= ~wide[:, 0] & ~wide[:, -1] & (others <= ELSEWHERE * (cells[0].size - count))
    return found


def _extent(some: Mask) -> NDArray[np.int64]:
    """From the first to the last of each row."""
    size = some.shape[1]
    found: NDArray[np.int64] = size - some[:, ::-1].argmax(axis=1) - some.argmax(axis=1)
    return np.where(some.any(axis=1), found, 0)


def _is_overlay(luma: NDArray[np.int16], edges: NDArray[np.int16], cells: Mask, sign: int) -> bool:
    """Whether from the first to the last of some frames something is laid over these ``cells``."""
    more = edges[-1] - edges[0]
    if np.median(more[cells]) < MORE_EDGES or abs(np.median(more[~cells])) > OTHER_EDGES:
        return False
    if np.median(edges[0][cells]) < PICTURE_EDGES:
        return False
    steps = (luma[:, cells] - luma[0, cells]).astype(np.float64)
    change, ground = steps[-1], luma[0, cells].astype(np.float64)
    spread = float(ground.std() * change.std())
    if spread and sign * float(((change - change.mean()) * (ground - ground.mean())).mean()) > LIGHT * spread:
        return False
    lit = OCTAVE * np.log2((ground + change + 1) / (ground + 1))
    if np.median(np.abs(more[cells] - lit)) <= LIT_EDGES:
        return False
    course = steps @ change / float(change @ change)
    if ((course > BETWEEN) & (course < 1 - BETWEEN)).sum() < LEAST_BETWEEN:
        return False
    off = np.sqrt(((steps - course[:, None] * change) ** 2).mean(axis=1)).max()
    return bool(off <= OFF_COURSE * np.sqrt((change**2).mean()) and (np.diff(course) >= -BACK).all())
