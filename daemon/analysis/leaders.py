"""Countdown leaders: the same on both sides and above and below, of one tint, with a hand that goes round once for each
number, or with nothing but a number that changes once a second. Pure functions of figures.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.features import GRID, TINT_GRID, stronger
from daemon.analysis.film_figures import ROWS, Records
from daemon.analysis.witness import NOBODY, Witness

Mask = NDArray[np.bool_]
Cells = NDArray[np.float32]

LEAST_FRAMES, LOOKED_AT = 6, 4
"""How many frames a second has at least to be looked at, and how many of them are."""
EMPTY = 8.0
"""Edges of a border that is not part of the picture, at most."""
LEAST_ROWS, LEAST_COLUMNS = 5, 8
"""Rows and columns that are the picture, without such a border, at least."""
MIRRORED, ONE_TINT, SAME = 0.4, 16.0, 0.75
"""How much a second's edges go with those of its mirror images, as a correlation; how far its colours, but for those of
the middle, are from the median at most, in codes; how much its edges go with those of the second before."""
LEAST_SECONDS, MOST_SECONDS, MOST_FRAMES, MOST_SHARE = 2, 60, 20_000, 0.5
"""How long a leader is, in seconds that are looked at, how many frames of one are looked at, and which share of a film
it is at most."""
TURN_SECONDS = (0.6, 1.15)
"""How long a number is shown: 16 frames of 24 a second, or a second."""
COMES_BACK, NEARER, TURNS = 0.3, 0.85, 0.5
"""What a picture differs from that one number before, as a share of the most it differs from those in between, at
most, or of the least it differs from any other, the next one included: a thin hand in grain; and how much the most is
at least, in codes: a hand goes round."""
LIT = 16.0
"""The mean light of a picture, in codes, that is made equal to that of the others."""
STANDS, JUMPS, EVENLY, LEAST_JUMPS = 2.0, 1.0, 0.12, 3
"""What the picture around a number that changes changes by at most, and what the number itself changes by at least, in
codes; by how much the times between its changes differ at most, as a share; how many changes there are at least."""

# Where the number is, in cells and in the larger ones of the tint.
_MIDDLE = np.zeros(GRID, np.bool_)
_MIDDLE[2:7, 5:11] = True
_AROUND = [at for at in range(TINT_GRID[0] * TINT_GRID[1]) if at not in (5, 6)]


class _Seconds(NamedTuple):
    """Some seconds of a film: their first frames and those after their last, and whether they may be of a leader.

    ``edges`` are the mean of their frames, a row for each.
    """

    first: NDArray[np.int64]
    after: NDArray[np.int64]
    likely: Mask
    edges: Cells


class _Turn(NamedTuple):
    """How long a number is shown, in frames, and what differs at most from what is so long before, in codes; and what
    told it: in words, the figure and its limit."""

    frames: int
    codes: float
    told: str
    figure: float
    limit: float


def leader(records: Records, time_s: NDArray[np.float64], witness: Witness = NOBODY) -> Mask:
    """Which frames are of a countdown leader, unless most of the film is."""
    mask, heard = np.zeros(len(records), np.bool_), None
    for first, after in _stretches(records, time_s):
        step_s = float(np.median(np.diff(time_s[first:after])))
        if step_s <= 0 or after - first > MOST_FRAMES:
            continue
        luma, light = _steady(records[first:after])
        turn = _turning(luma, step_s) or _counting(luma, step_s)
        if turn is None:
            continue
        begin, end = _whole(records, first, after, turn, light)
        mask[begin:end] = True
        if witness.at is not None and begin <= witness.at < end:
            heard = turn
    share = float(mask.mean())
    if heard is not None:
        witness.figure("share of the film", share, MOST_SHARE, below=True)
        if share <= MOST_SHARE:
            witness.figure(heard.told, heard.figure, heard.limit, below=True)
    return mask if share <= MOST_SHARE else np.zeros_like(mask)


def _stretches(records: Records, time_s: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Where there may be a leader: seconds next to each other that are alike, mirrored and of one tint."""
    begin = end = -1
    last: Cells | None = None
    long = 0
    for seconds in _by_second(records, time_s):
        for first, after, likely, edges in zip(*seconds, strict=True):
            goes_on = likely and first == end and last is not None and float(_correlation(edges, last)) >= SAME
            if not goes_on:
                if LEAST_SECONDS <= long <= MOST_SECONDS:
                    yield begin, end
                begin, long = int(first), 0
            end, last, long = int(after), edges, long + 1 if likely else 0
            if not likely:
                end, last = -1, None
    if LEAST_SECONDS <= long <= MOST_SECONDS:
        yield begin, end


def _by_second(records: Records, time_s: NDArray[np.float64]) -> Iterator[_Seconds]:
    """All seconds of a film that have enough frames, many at a time."""
    starts = np.flatnonzero(np.diff(np.floor(time_s - time_s[:1]), prepend=-1.0))
    edges = np.append(starts, len(time_s))
    enough = (np.diff(edges) >= LEAST_FRAMES) & (np.diff(edges) <= ROWS)
    first, after = edges[:-1][enough], edges[1:][enough]
    at = 0
    while at < len(first):
        to = max(int(np.searchsorted(after, first[at] + ROWS)), at + 1)
        part = records[int(first[at]) : int(after[to - 1])]
        yield _looked_at(part, first[at:to], after[at:to])
        at = to


def _looked_at(part: Records, first: NDArray[np.int64], after: NDArray[np.int64]) -> _Seconds:
    """Of these seconds, whose frames ``part`` has, whether they may be of a leader."""
    some = np.linspace(first, after - 1, LOOKED_AT).round().astype(np.int64).T - int(first[0])
    tint = part["tint"][some].mean(axis=1, dtype=np.float32).reshape(len(some), -1, 2)[:, _AROUND]
    likely = np.abs(tint - np.median(tint, axis=1, keepdims=True)).max(axis=(1, 2)) <= ONE_TINT
    own = stronger(part["edges"][some[likely]]).mean(axis=1, dtype=np.float32)
    edges = np.zeros((len(some), *GRID), np.float32)
    edges[likely] = own
    rows, columns = own.max(axis=2) > EMPTY, own.max(axis=1) > EMPTY
    rows, columns = rows & rows[:, ::-1], columns & columns[:, ::-1]
    full = (rows.sum(axis=1) >= LEAST_ROWS) & (columns.sum(axis=1) >= LEAST_COLUMNS)
    picture = rows[:, :, None] & columns[:, None, :]
    aside = _correlation(own, own[:, :, ::-1], picture)
    above = _correlation(own, own[:, ::-1], picture)
    likely[likely] = full & (np.minimum(aside, above) >= MIRRORED)
    return _Seconds(first, after, likely, edges)


def _correlation(one: Cells, other: Cells, among: Mask | None = None) -> NDArray[np.float64]:
    """How much the cells of pictures go together, of those ``among`` them."""
    weight = np.ones(one.shape, np.float32) if among is None else among.astype(np.float32)
    axes = (-2, -1)
    count = np.maximum(weight.sum(axis=axes, keepdims=True), 1.0)
    own, its = (weight * (some - (weight * some).sum(axis=axes, keepdims=True) / count) for some in (one, other))
    size = np.sqrt((own * own).sum(axis=axes) * (its * its).sum(axis=axes))
    found: NDArray[np.float64] = (own * its).sum(axis=axes) / np.maximum(size, 1e-6)
    return found


def _steady(records: Records, usual: float | None = None) -> tuple[Cells, float]:
    """The luma of cells, as it were if all pictures were as bright as ``usual`` (None: as their median), and how bright
    that is: an old projector flickers."""
    luma = records["luma"].astype(np.float32)
    light = luma[:, ~_MIDDLE].mean(axis=1)
    usual = float(np.median(light)) if usual is None else usual
    bright = light >= LIT
    luma[bright] *= (usual / light[bright])[:, None, None]
    return luma, usual


def _changes(cells: Cells, most: int) -> NDArray[np.float64]:
    """How much pictures differ from those so many frames before, for 1, 2, ... ``most``: the mean over all cells."""
    return np.array([float(np.abs(cells[by:] - cells[:-by]).mean()) for by in range(1, most + 1)])


def _turning(luma: Cells, step_s: float) -> _Turn | None:
    """A hand that goes round, as these frames of a stretch have it."""
    least, most = int(np.ceil(TURN_SECONDS[0] / step_s)), int(TURN_SECONDS[1] / step_s)
    around = luma[:, ~_MIDDLE]
    if not 2 <= least <= most <= len(luma) - 2 or float(np.abs(around - around[0]).mean(axis=1).max()) < TURNS:
        return None
    changes = _changes(around, most)
    frames = least + int(changes[least - 1 :].argmin())
    between = float(changes[: frames - 1].max())
    back = float(changes[frames - 1])
    others = float(np.delete(changes, frames - 1).min())
    share, nearer = back / max(between, 1e-6), back / max(others, 1e-6)
    if between < TURNS or (share > COMES_BACK and nearer > NEARER):
        return None
    told = "what differs a turn of the hand later, as a share of what differs "
    if share > COMES_BACK:
        return _Turn(frames, between, told + "from any other frame so near", nearer, NEARER)
    return _Turn(frames, COMES_BACK * between, told + "in between", share, COMES_BACK)


def _counting(luma: Cells, step_s: float) -> _Turn | None:
    """A number that changes evenly while all around stands still."""
    around, middle = luma[:, ~_MIDDLE], luma[:, _MIDDLE]
    moved = float(np.abs(around - np.median(around, axis=0)).mean(axis=1).max())
    if moved > STANDS:
        return None
    change = np.abs(np.diff(middle, axis=0)).mean(axis=1)
    jumps = np.flatnonzero(change >= max(JUMPS, 6 * float(np.median(change))))
    if len(jumps) < LEAST_JUMPS:
        return None
    apart = np.diff(jumps)
    usual = float(np.median(apart))
    lasts = TURN_SECONDS[0] <= usual * step_s <= TURN_SECONDS[1]
    if not lasts or np.abs(apart - usual).max() > max(EVENLY * usual, 1.0):
        return None
    return _Turn(round(usual), STANDS, "codes by which the picture around the number changes", moved, STANDS)


def _whole(records: Records, first: int, after: int, turn: _Turn, light: float) -> tuple[int, int]:
    """The leader, which is so bright, with the parts of a second before and after, which are as what is a turn further
    inside."""
    begin, end = max(first - turn.frames, 0), min(after + turn.frames, len(records))
    luma = _steady(records[begin:end], light)[0][:, ~_MIDDLE]
    far = np.abs(luma[turn.frames :] - luma[: -turn.frames]).mean(axis=1)
    same = far <= max(turn.codes, STANDS)
    before = itertools.takewhile(bool, same[: first - begin][::-1])
    behind = itertools.takewhile(bool, same[after - begin - turn.frames :])
    return first - sum(1 for _ in before), after + sum(1 for _ in behind)
