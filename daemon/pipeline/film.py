"""A scored film's rows as the choice has them: which frames may be chosen, and in which shot each lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.shot_edges import MIX_SECONDS
from daemon.model import Shot, ShotKind
from daemon.selection.quality import Film
from daemon.store.frames import ScoreTable

MIX_LEFT = 0.6
"""What a frame is worth beside a fade or dissolve, of which it may have some left."""
MOSTLY = 0.8
"""Frames that are spared in so large a share of what can be chosen of a shot are no worse than its others, but for
those with a subtitle, since they are the same as these and have something over them."""
DAMAGED_SECONDS = 60.0
"""So near to a whole frame, a damaged one tells nothing of the film that would be worth its garbage."""


def film_of(table: ScoreTable, shots: Sequence[Shot] | None, *, lower_better: bool) -> Film:
    """The film; ``shots`` are None where it was not judged, and is chosen from by score alone."""
    good = ~table.noted & (table.good | table.spared if shots is not None else True)
    number = np.zeros(len(table.frame), np.int64) if shots is None else _shot_numbers(len(table.frame), shots)
    poor, usable = table.spared & ~table.subtitled, table.good | table.spared
    last = (poor & ~_mostly(poor, usable & ~table.subtitled, number)) | table.subtitled | table.reserve
    return Film(
        frame=table.frame,
        time_s=table.time_s,
        score=table.score,
        good=good if shots is not None else _without_reserve(good, table.reserve & np.isfinite(table.score)),
        shot=number,
        lower_better=lower_better,
        spared=last if shots is not None and last.any() else None,
        last_s=table.last_s,
        away=None if shots is None else _away(table.time_s, shots),
        damaged=table.damaged if shots is not None and table.damaged.any() else None,
    )


def without_damaged(film: Film) -> tuple[Film, dict[str, str]]:
    """The film without its damaged frames, and what there is to say of that: what else a person can have is whole.

    Only where nothing usable is whole for ``DAMAGED_SECONDS`` on either side do they stay, after all others.
    """
    if film.damaged is None:
        return film, {}
    left_out = film.damaged & film.usable
    whole_s = np.sort(film.time_s[film.usable & ~film.damaged])
    if not left_out.any() or len(whole_s) == 0:
        return film, {}
    after = np.searchsorted(whole_s, film.time_s)
    apart_s = np.minimum(
        np.abs(film.time_s - whole_s[np.maximum(after - 1, 0)]),
        np.abs(whole_s[np.minimum(after, len(whole_s) - 1)] - film.time_s),
    )
    left_out &= apart_s <= DAMAGED_SECONDS
    told = f"left out for damage: {left_out.sum()} of the frames, with whole ones within a minute"
    return replace(film, good=film.good & ~left_out), {"because": told}


def percentile(film: Film, at: int, among: NDArray[np.bool_]) -> float | None:
    """The share of the scored frames ``among``, 0 to 100, that are no better by the metric than the one at ``at``."""
    score = film.score[at]
    if not np.isfinite(score):
        return None
    others = film.score[among & np.isfinite(film.score)]
    no_better = others >= score if film.lower_better else others <= score
    return round(100 * float(no_better.mean()), 1)


def _mostly(some: NDArray[np.bool_], of: NDArray[np.bool_], shot: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Per frame, whether ``some`` are ``MOSTLY`` all ``of`` its shot: what is so throughout is how the shot looks."""
    count = int(shot.max(initial=-1)) + 2
    share = np.bincount(shot + 1, weights=some, minlength=count) >= MOSTLY * np.bincount(
        shot + 1, weights=of, minlength=count
    )
    found: NDArray[np.bool_] = share[shot + 1] & (shot >= 0)
    return found


def _away(time_s: NDArray[np.float64], shots: Sequence[Shot]) -> NDArray[np.float64] | None:
    """Per frame, what it is worth by how far it is from the next fade or dissolve; None without any."""
    mixes = [one for one in shots if one.kind in (ShotKind.FADE, ShotKind.DISSOLVE) and one.last < len(time_s)]
    if not mixes:
        return None
    apart_s = np.full(len(time_s), MIX_SECONDS)
    for mix in mixes:
        start_s, end_s = time_s[mix.first], time_s[mix.last]
        near = slice(*np.searchsorted(time_s, (start_s - MIX_SECONDS, end_s + MIX_SECONDS)))
        beside = np.maximum(start_s - time_s[near], time_s[near] - end_s)
        apart_s[near] = np.minimum(apart_s[near], np.maximum(beside, 0.0))
    found: NDArray[np.float64] = MIX_LEFT + (1 - MIX_LEFT) * apart_s / MIX_SECONDS
    return found


def _shot_numbers(count: int, shots: Sequence[Shot]) -> NDArray[np.int64]:
    """Per frame the number of its shot, -1 in a transition."""
    number = np.full(count, -1, np.int64)
    for place, one in enumerate(shots):
        if one.kind is ShotKind.SHOT:
            number[one.first : one.last + 1] = place
    return number


def _without_reserve(good: NDArray[np.bool_], reserve: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames in reserve are left out while there are others."""
    better = good & ~reserve
    return better if better.any() else good
