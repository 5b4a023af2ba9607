"""A film cut into moments: the stretches that a still can stand for, each with its best frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.selection.quality import Film, quality
from daemon.selection.room import most_apart

MOMENT_SECONDS = 0.7
SHORTEST_SECONDS = 0.02
"""Moments are not cut shorter to make room: most frames last longer."""
MOST_MOMENTS = 4096
"""Longer films have longer moments, and of more shots the longest are kept: time and memory stay bounded."""
SAMPLE_SECONDS = 0.2
"""How often shots are looked at to see whether one comes back."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Stretches of shots that hold a usable frame, in order.

    ``position`` is the best usable frame's place in the film, ``quality`` and ``percentile`` are that frame's
    (0 to 1), ``frames`` and ``seconds`` are what the stretch holds, spoilt frames included, ``shot`` its shot,
    ``spared`` that it has no better frame than one that comes after all good ones; ``sharp`` and ``away`` are the best
    frame's, as ``Film`` has them (None: not known); ``faces`` is what that frame's worth to stand for the film is
    multiplied with for the faces in it (None: nobody looked). Where these took another frame, only its position and
    percentile are its own.
    """

    position: NDArray[np.int64]
    quality: NDArray[np.float64]
    percentile: NDArray[np.float64]
    frames: NDArray[np.int64]
    seconds: NDArray[np.float64]
    shot: NDArray[np.int64]
    spared: NDArray[np.bool_]
    sharp: NDArray[np.float64] | None = None
    away: NDArray[np.float64] | None = None
    faces: NDArray[np.float64] | None = None

    @property
    def beside_good(self) -> NDArray[np.bool_]:
        """Which are spared in a shot that has others that are not."""
        good = np.bincount(self.shot[~self.spared], minlength=int(self.shot.max(initial=0)) + 1) > 0
        mask: NDArray[np.bool_] = self.spared & good[self.shot]
        return mask

    def same(self, other: Moments) -> bool:
        """Whether these are the same stretches, for two of one film."""
        return np.array_equal(self.position, other.position) and np.array_equal(self.seconds, other.seconds)


def moments(film: Film, moment_seconds: float = MOMENT_SECONDS) -> Moments:
    """Cut every shot into equal parts of some ``moment_seconds`` and find the best frame of each."""
    usable = np.flatnonzero(film.usable)
    good, own = quality(film, usable)
    inside = np.flatnonzero(film.shot >= 0)
    lasting_s = film.seconds[inside]
    part = _parts(film, inside, max(moment_seconds, float(lasting_s.sum()) / MOST_MOMENTS))
    number = np.full(len(film.frame), -1, np.int64)
    number[inside] = part
    # Parts rise with time, so a part's frames are neighbours; of equally good ones the first is taken.
    parts = number[usable]
    del number
    starts = np.flatnonzero(np.append(True, parts[1:] != parts[:-1])) if len(parts) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(parts)))
    worth = _in_moment(film, usable, good)
    best = np.repeat(np.maximum.reduceat(worth, starts), sizes) if len(parts) else worth
    tops = np.flatnonzero(worth == best)
    chosen = tops[np.searchsorted(tops, starts)]
    held = parts[starts]
    # Parts without a usable frame belong to the nearest part of their shot that has one.
    shot = np.zeros(int(part.max(initial=-1)) + 1, np.int64)
    shot[part] = film.shot[inside]
    left, right = _nearest(np.arange(len(shot)), shot, held, film.shot[usable[chosen]])
    known = left >= 0
    holding = np.bincount(part, minlength=len(shot))[known]
    lasting = np.bincount(part, weights=lasting_s, minlength=len(shot))[known] / 2
    frames = np.bincount(left[known], weights=holding, minlength=len(held)).astype(np.int64)
    seconds = np.bincount(left[known], weights=lasting, minlength=len(held)).astype(np.float64)
    seconds += np.bincount(right[known], weights=lasting, minlength=len(held))
    kept = _longest(seconds, good[chosen])
    position = usable[chosen][kept]
    spared = np.zeros(len(position), np.bool_) if film.spared is None else film.spared[position]
    sharp, away = (None if column is None else column[position] for column in (film.sharp, film.away))
    return Moments(
        position,
        quality=good[chosen][kept],
        percentile=own[chosen][kept],
        frames=frames[kept],
        seconds=seconds[kept],
        shot=film.shot[position],
        spared=spared,
        sharp=sharp,
        away=away,
    )


def with_room(film: Film, count: int | None, gap_s: float) -> tuple[Moments, float]:
    """The moments, and how long they are: so short that ``count`` stills can be ``gap_s`` apart, if good frames are.

    The best frames of two moments of the usual length may lie so that fewer have room between those of others than
    the film has. Of a film so long that its moments are longer than usual, they stay as long.
    """
    moment_seconds, found = MOMENT_SECONDS, moments(film)
    if count is None:
        return found, moment_seconds
    shortest = max(SHORTEST_SECONDS, float(film.seconds[film.shot >= 0].sum()) / MOST_MOMENTS)
    good = film.usable if film.spared is None else film.usable & ~film.spared
    # In a damaged file times may run backwards.
    room = most_apart(np.sort(film.time_s[good]), (), gap_s, count)
    while most_apart(np.sort(film.time_s[found.position[~found.spared]]), (), gap_s, room) < room:
        if moment_seconds / 2 < shortest:
            break
        moment_seconds /= 2
        found = moments(film, moment_seconds)
    return found, moment_seconds


def _in_moment(film: Film, usable: NDArray[np.int64], good: NDArray[np.float64]) -> NDArray[np.float64]:
    """What decides between the frames of one moment: the calm one of two that are as good."""
    return good if film.calm is None else good * film.calm[usable]


def moment_of(film: Film, at: int, moment_seconds: float = MOMENT_SECONDS) -> tuple[NDArray[np.int64], int | None]:
    """The places of the frames of the moment that a frame lies in, none in a transition, and its best usable one's."""
    inside = np.flatnonzero(film.shot == film.shot[at])
    if film.shot[at] < 0:
        return np.zeros(0, np.int64), None
    whole = float(film.seconds[film.shot >= 0].sum())
    part = _parts(film, inside, max(moment_seconds, whole / MOST_MOMENTS))
    places = inside[part == part[np.searchsorted(inside, at)]]
    usable = np.flatnonzero(film.usable)
    good, _ = quality(film, usable)
    good = _in_moment(film, usable, good)
    own = np.isin(usable, places)
    return places, int(usable[own][np.argmax(good[own])]) if own.any() else None


def _longest(seconds: NDArray[np.float64], good: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places of the longest moments, the better of equals, when there are too many; in their order."""
    order = np.lexsort((-good, -seconds))[:MOST_MOMENTS]
    return np.sort(order)


def shortlist(film: Film, share: float) -> NDArray[np.int64]:
    """Places of the best ``share`` of the usable frames of every moment, at least one of each; in order."""
    inside = np.flatnonzero(film.shot >= 0)
    usable = np.flatnonzero(film.usable)
    if len(usable) == 0:
        return usable
    number = np.full(len(film.frame), -1, np.int64)
    number[inside] = _parts(film, inside, MOMENT_SECONDS)
    parts = number[usable]
    order = np.lexsort((usable, -quality(film, usable)[0], parts))
    starts = np.flatnonzero(np.append(True, parts[1:] != parts[:-1]))
    sizes = np.diff(np.append(starts, len(parts)))
    place = np.arange(len(parts)) - np.repeat(starts, sizes)
    return np.sort(usable[order[place < np.repeat(np.ceil(share * sizes - 1e-9), sizes)]])


def samples(film: Film, shots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places in the film, evenly through every one of some shots, to see by whether a shot comes back."""
    wanted = np.zeros(int(film.shot.max(initial=0)) + 2, np.bool_)
    wanted[shots] = True
    inside = np.flatnonzero(wanted[film.shot])
    part = _parts(film, inside, max(SAMPLE_SECONDS, float(film.seconds[inside].sum()) / MOST_MOMENTS))
    first = np.flatnonzero(np.append(True, part[1:] != part[:-1])) if len(part) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(first, len(part)))
    middles: NDArray[np.int64] = inside[first + sizes // 2]
    return middles


def stretches(film: Film, seconds: float) -> NDArray[np.int64]:
    """Per frame, the number of the part of its shot that it lies in, some so long; -1 in a transition."""
    inside = np.flatnonzero(film.shot >= 0)
    number = np.full(len(film.frame), -1, np.int64)
    number[inside] = _parts(film, inside, seconds)
    return number


def _parts(film: Film, inside: NDArray[np.int64], seconds: float) -> NDArray[np.int64]:
    """Numbers, rising with time, of the parts that the frames ``inside`` belong to."""
    if len(inside) == 0:
        return np.zeros(0, np.int64)
    shot, time_s, lasting_s = film.shot[inside], film.time_s[inside], film.seconds[inside]
    starts = np.flatnonzero(np.append(True, shot[1:] != shot[:-1]))
    sizes = np.diff(np.append(starts, len(shot)))
    length = np.bincount(np.repeat(np.arange(len(starts)), sizes), weights=lasting_s)
    count = np.maximum(np.round(length / seconds), 1).astype(np.int64)
    before = np.concatenate([[0], np.cumsum(count)[:-1]])
    # The middle of a frame decides, so that a film and its reverse are cut at the same places.
    middle = time_s + lasting_s / 2 - np.repeat(time_s[starts], sizes)
    within = np.floor(middle * np.repeat(count / np.maximum(length, 1e-9), sizes)).astype(np.int64)
    return np.repeat(before, sizes) + np.clip(within, 0, np.repeat(count, sizes) - 1)


def _nearest(
    part: NDArray[np.int64], shot: NDArray[np.int64], held: NDArray[np.int64], held_shot: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per part, the place in ``held`` of the nearest part of the same shot; -1 where its shot has none.

    Twice, for the two that may be equally near: each then has its half.
    """
    if len(held) == 0:
        nothing = np.full(len(part), -1, np.int64)
        return nothing, nothing
    right = np.minimum(np.searchsorted(held, part), len(held) - 1)
    left = np.maximum(right - 1, 0)
    far = np.iinfo(np.int64).max // 2
    right_gap = np.where(held_shot[right] == shot, np.abs(held[right] - part), far)
    left_gap = np.where(held_shot[left] == shot, np.abs(held[left] - part), far)
    nowhere = np.minimum(left_gap, right_gap) == far
    first, second = np.where(left_gap <= right_gap, left, right), np.where(right_gap <= left_gap, right, left)
    return np.where(nowhere, -1, first), np.where(nowhere, -1, second)
