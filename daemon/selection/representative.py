"""A handful of frames that are good, unlike each other, and together show what is in the film.

Greedy maximisation of a sum of three terms: scenes that are seen at all, facility location (every moment of the
film counts with its likeness to the most similar chosen frame), and the quality of the chosen frames. All three
are monotone submodular functions of the set, so the greedy choice is within 1 - 1/e of the best one (Nemhauser,
Wolsey, Fisher, 1978), and gains that were computed earlier are upper bounds: most need no second look (Minoux,
"Accelerated greedy algorithms", 1978). The form is that of Lin and Bilmes, "A class of submodular functions for
document summarization" (ACL 2011). On top, no two frames may be near in time or look alike: the limit case of
maximal marginal relevance (Carbonell, Goldstein, SIGIR 1998).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from daemon.model import Reason
from daemon.selection.best import Choice
from daemon.selection.moments import Moments
from daemon.selection.quality import Film

FAR_CODES = 40.0
"""Pictures that differ by so much say nothing of each other (root mean square of their sketches)."""
USUAL_SPREAD, MOST_GAIN = 25.0, 16.0
"""A sketch's usual contrast, to which those of a darker film are raised, and by how much at most."""
QUALITY = 0.5
"""What the best frame is worth more than the worst, in average scenes shown."""
AUTO_GAIN = 0.1
"""With ``auto``: the last pick adds at least this share of what the first one showed."""
AUTO_MOST = 100
ROWS = 256
"""Moments whose likenesses to all others are held at once."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked for: ``count`` stills (None: auto), the least gap and difference, one per scene or more."""

    count: int | None
    min_gap_seconds: float
    min_difference: float
    one_per_scene: bool = False


def represent(
    film: Film, moments: Moments, sketches: NDArray[np.float32], scene: dict[int, int], terms: Terms
) -> Choice:
    """Choose among the best frames of the moments.

    ``sketches`` are ``features.sketch`` of these frames, ``scene`` the scene of each shot. Returns frames in
    the order of choice, so that a smaller count is the beginning of a larger one.
    """
    greedy = _Greedy(film, moments, sketches, scene, terms)
    chosen = greedy.run()
    reasons = greedy.reasons(chosen)
    frames = tuple(int(film.frame[moments.position[at]]) for at in chosen)
    return Choice(frames, greedy.shortfall(len(chosen)), reasons)


def exposed(sketches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sketches of a film without contrast, brought to that of others: what is dark throughout differs all the same."""
    if len(sketches) == 0:
        return sketches
    spread = float(np.median(sketches[:, :144].std(axis=1)))
    return sketches * np.float32(np.clip(USUAL_SPREAD / max(spread, 1e-6), 1.0, MOST_GAIN))


def likenesses(some: NDArray[np.float32], sketches: NDArray[np.float32]) -> NDArray[np.float32]:
    """How alike each of ``some`` is to each of ``sketches``: 1 for the same, 0 from ``FAR_CODES`` on."""
    table: NDArray[np.float32] = some @ sketches.T
    table *= -2
    table += (some * some).sum(axis=1)[:, None]
    table += (sketches * sketches).sum(axis=1)
    np.maximum(table, 0, out=table)
    np.sqrt(table, out=table)
    table *= -1 / (FAR_CODES * max(sketches.shape[1], 1) ** 0.5)
    table += 1
    return np.maximum(table, 0, out=table)


class _Greedy:
    def __init__(
        self, film: Film, moments: Moments, sketches: NDArray[np.float32], scene: dict[int, int], terms: Terms
    ) -> None:
        self._moments = moments
        self._terms = terms
        self._time_s = film.time_s[moments.position]
        self._sketches = exposed(sketches)
        # Most moments are never looked at again: a long film must not need a table of all pairs.
        self._likeness = lru_cache(ROWS)(self._likenesses_of)
        names = np.array([scene.get(int(shot), int(shot)) for shot in moments.shot], np.int64)
        self._scenes, self._scene = np.unique(names, return_inverse=True)
        self._scene_seconds = np.bincount(self._scene, weights=moments.seconds, minlength=len(self._scenes))
        # In average scenes, so that it means the same in a short film and in a long one.
        self._weight = moments.seconds / max(float(self._scene_seconds.mean()) if len(names) else 1.0, 1e-9)
        self._covered = np.zeros(len(names))
        self._shown: dict[int, int] = {}
        self._refused = {"gap": 0, "alike": 0, "scene": 0}

    def run(self) -> list[int]:
        """Places in the moments, in the order of choice."""
        most = AUTO_MOST if self._terms.count is None else self._terms.count
        # Of equals the better one, then the earlier one.
        heap = [(-gain, -self._moments.quality[at], at, 0) for at, gain in enumerate(self._first_gains())]
        heapq.heapify(heap)
        chosen: list[int] = []
        first = 0.0
        while heap and len(chosen) < most:
            negative, better, at, asked = heapq.heappop(heap)
            if not self._allowed(at, chosen):
                continue
            if asked < len(chosen):
                heapq.heappush(heap, (-self._gain(at), better, at, len(chosen)))
                continue
            news = -negative - QUALITY * float(self._moments.quality[at])
            if self._terms.count is None and chosen and news < AUTO_GAIN * first:
                continue
            first = first or news
            chosen.append(at)
            self._covered = np.maximum(self._covered, self._likeness(at))
            self._shown[int(self._scene[at])] = int(self._moments.shot[at])
        return chosen

    def _first_gains(self) -> NDArray[np.float64]:
        weight = self._weight.astype(np.float32)
        gains = np.zeros(len(weight))
        for start in range(0, len(gains), ROWS):
            gains[start : start + ROWS] = likenesses(self._sketches[start : start + ROWS], self._sketches) @ weight
        gains += self._bonus(np.arange(len(gains))) + QUALITY * self._moments.quality
        return gains

    def _likenesses_of(self, at: int) -> NDArray[np.float32]:
        row: NDArray[np.float32] = likenesses(self._sketches[at : at + 1], self._sketches)[0]
        return row

    def _gain(self, at: int) -> float:
        added = np.maximum(self._likeness(at) - self._covered, 0.0) @ self._weight
        bonus = 0.0 if int(self._scene[at]) in self._shown else float(self._bonus(np.array([at]))[0])
        return float(added + bonus + QUALITY * self._moments.quality[at])

    def _bonus(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Showing a scene at all is worth more than anything else, if it lasts a second."""
        bonus: NDArray[np.float64] = 2.0 * np.minimum(self._scene_seconds[self._scene[at]], 1.0)
        return bonus

    def _allowed(self, at: int, chosen: list[int]) -> bool:
        """Whether nothing chosen stands against it; what does is counted for the shortfall."""
        if not chosen:
            return True
        scene = int(self._scene[at])
        shown = self._shown.get(scene)
        if shown is not None and (self._terms.one_per_scene or shown != self._moments.shot[at]):
            self._refused["scene"] += 1
            return False
        gaps = np.abs(self._time_s[chosen] - self._time_s[at])
        if gaps.min() < self._terms.min_gap_seconds - 1e-9:
            self._refused["gap"] += 1
            return False
        offs = self._sketches[chosen] - self._sketches[at]
        if np.sqrt((offs * offs).mean(axis=1)).min() < self._terms.min_difference:
            self._refused["alike"] += 1
            return False
        return True

    def reasons(self, chosen: list[int]) -> tuple[Reason, ...]:
        """What each choice stands for: the moments that it is most like, those of its own shot first."""
        if not chosen:
            return ()
        best = np.full(len(self._covered), -1.0)
        owner = np.zeros(len(self._covered), np.int64)
        for number, at in enumerate(chosen):
            near = self._likeness(at) + (self._moments.shot == self._moments.shot[at])
            better = near > best
            owner[better], best[better] = number, near[better]
        held = best > 0
        frames = np.bincount(owner[held], weights=self._moments.frames[held], minlength=len(chosen))
        seconds = np.bincount(owner[held], weights=self._moments.seconds[held], minlength=len(chosen))
        return tuple(
            Reason(
                shot=int(self._moments.shot[at]),
                percentile=round(100 * float(self._moments.percentile[at]), 1),
                frames=int(frames[number]),
                seconds=round(float(seconds[number]), 2),
            )
            for number, at in enumerate(chosen)
        )

    def shortfall(self, chosen: int) -> str | None:
        """What stopped it before the count; None with ``auto``, which asks for no number."""
        if self._terms.count is None or chosen >= self._terms.count:
            return None
        scenes = len(self._scenes)
        if self._terms.one_per_scene and chosen == scenes:
            return f"the film has {scenes} different shots with a good frame, and each has its still"
        one = "the chosen one" if chosen == 1 else f"one of the {chosen} chosen ones"
        parts = []
        if self._refused["alike"] or self._refused["scene"]:
            parts.append(f"looks like {one} (select.min_difference)")
        if self._refused["gap"]:
            parts.append(f"is less than {self._terms.min_gap_seconds:g} s away from {one} (select.min_gap_seconds)")
        if not parts:
            return f"the film has only {chosen} good moment{'' if chosen == 1 else 's'}"
        return f"every other good frame {' or '.join(parts)}"
