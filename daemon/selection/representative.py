"""A handful of frames that are good, unlike each other, and together show what is in the film.

    film      ----------------------------------------------------------------   every frame, in order
    shots     [ shot 0        ]x[ shot 1           ][ shot 2   ]~~[ shot 3   ]   x, ~: transitions, never chosen
    scenes      A                B                    C            A             shots that show the same
    moments   |  .  |  .  | . |  | . | . |  . | . | | .  |  . |   | . |  . |     some 0.7 s, each with its best frame
    picks        1                       2             3                   4     unlike each other, all of the film

Greedy maximisation of a sum of three terms: scenes that are seen at all, facility location (every moment of the
film counts with its likeness to the most similar chosen frame), and the quality of the chosen frames. All three
are monotone submodular functions of the set, so that their greedy choice is within 1 - 1/e of the best one (Nemhauser,
Wolsey, Fisher, 1978). The form is that of Lin and Bilmes, "A class of submodular functions for document
summarization" (ACL 2011). To it comes what a frame is worth for being unlike all that are chosen, as the farthest
point is taken first by Gonzalez, "Clustering to minimize the maximum intercluster distance" (1985): what is seen for
two seconds tells more than one more view of what is seen for twenty. With each choice all four become less, so gains
that were computed earlier are upper bounds: most need no second look (Minoux, "Accelerated greedy algorithms", 1978).
On top, no two frames may be near in time or look alike: the limit case of maximal marginal relevance (Carbonell,
Goldstein, SIGIR 1998). How unlike they are is a wish: while fewer are found than asked for, it gives way, down to what
differs by chance.
"""

from __future__ import annotations

import heapq
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.model import Reason
from daemon.selection.across import ABOVE_NOISE, least_detail_difference
from daemon.selection.best import Choice
from daemon.selection.completeness import LOSS, missing
from daemon.selection.invitation import detailed
from daemon.selection.likeness import (
    FAR_CODES,
    ROUNDING_CODES,
    codes_apart,
    likenesses,
    nearest_codes,
    rounded_squares,
    rows_apart,
    shown_more,
    surely_more,
)
from daemon.selection.moments import Moments
from daemon.selection.quality import Film
from daemon.selection.reasons import reasons, shortfall
from daemon.selection.room import ROUNDING_S, leaves_out, most_apart
from daemon.selection.terms import Terms
from daemon.selection.worth import worth

AUTO_GAIN, AUTO_LEFT, AUTO_SECONDS = 0.1, 0.2, 1.0
"""With ``auto``: what one more adds is at least this share of what is not shown yet, of which there is at least so much
of the film; or it is the first of a scene of so many seconds."""
AUTO_MOST = 100
LEAST_DIFFERENCE = 2.0
"""How far ``min_difference`` gives way: to so many codes, or so many times what neighbouring frames differ."""
PLAIN_DIFFERENCE = 6.0
"""What differs by so many codes is not taken for the same, however much neighbouring frames do: a hand shakes."""
SHARE, LEAST_LASTING = 0.2, 0.25
"""What every still that a shot has already takes from the worth of its next one, over the average scenes that the shot
lasts, or so many: together they cost least where each shot has stills by how long it lasts."""
UNLIKE = 0.5
"""What a picture that looks like none of those chosen is worth more than one that looks like one of them, in average
scenes shown; half of it whatever its quality. Of what is half as far from the nearest, a quarter counts."""
TOGETHER = 64
"""Moments that are looked at again at once."""
PATIENCE = 64
"""So many that are refused one after another make it worth seeing what is left at once."""
ROUNDED_SHARE = 1e-9
"""More than what is rounded of the sum of some thousand numbers, in whatever order."""


def represent(
    film: Film,
    moments: Moments,
    sketches: NDArray[np.float32],
    scene: dict[int, int],
    terms: Terms,
    details: NDArray[np.float32] | None = None,
    lettering: NDArray[np.float64] | None = None,
    kept: dict[str, Any] | None = None,
    given: NDArray[np.float64] | None = None,
) -> Choice:
    """Choose among the best frames of the moments.

    ``sketches`` are ``features.sketch`` of these frames, ``details`` their ``features.detail`` (None: not known),
    ``lettering`` in how many cells they have some (None: not known), ``scene`` the scene of each shot. Returns frames
    in the order of choice, so that a smaller count is the beginning of a larger one; only where the gap stands against
    a count, they may be chosen anew so as to leave room. ``kept`` is filled with what other ``terms`` need
    again; it is given back with the same film. ``given`` is how far each of these frames is from the nearest picture
    that another film gave, as ``across.nearest`` has it (None: that does not matter).
    """
    kept = {} if kept is None else kept
    count = terms.count or 0
    best = _Greedy(film, moments, sketches, scene, terms, details, lettering, kept, given)
    best.run()
    tried = [best]
    # As much room is left as is needed, then all there is: what has room may still look like another.
    for room_for in (count, 2 * count) if best.lacks_room else ():
        frugal = _Greedy(film, moments, sketches, scene, terms, details, lettering, kept, given)
        frugal.run(room_for)
        tried.append(frugal)
        if len(frugal.chosen) >= count:
            break
    best = max(tried, key=lambda one: len(one.chosen))
    # Room is made before the difference gives way; then it stays the same choice, unless another one gives more.
    if len(best.chosen) < count:
        for one in tried:
            one.give_way()
        best = max(best, *tried, key=lambda one: len(one.chosen))
    frames = tuple(int(film.frame[moments.position[at]]) for at in best.chosen)
    return Choice(frames, best.shortfall(), best.reasons(), best.difference)


class _Greedy:
    def __init__(
        self,
        film: Film,
        moments: Moments,
        sketches: NDArray[np.float32],
        scene: dict[int, int],
        terms: Terms,
        details: NDArray[np.float32] | None,
        lettering: NDArray[np.float64] | None,
        kept: dict[str, Any] | None = None,
        given: NDArray[np.float64] | None = None,
    ) -> None:
        self._kept: dict[str, Any] = {} if kept is None else kept
        self._moments = moments
        self._away = np.ones(len(moments.position)) if moments.away is None else moments.away
        self._sharp = (self._away if moments.sharp is None else self._away * moments.sharp).astype(np.float32)
        self._terms = terms
        self._time_s = film.time_s[moments.position]
        self._least_detail = least_detail_difference(terms.detail_noise)
        asked = (terms.min_difference, self._least_detail)
        if self._kept.get("worth", (None,))[0] != asked:
            self._kept["worth"] = (asked, worth(moments, sketches, details, lettering, *asked))
        amplified, self._sketches, self._clear, self._value, self._alone = self._kept["worth"][1]
        self._rounded = rounded_squares(self._sketches)
        self._given = np.full(len(self._time_s), np.inf) if given is None else given * amplified
        span = float(np.ptp(self._time_s)) if len(self._time_s) else 0.0
        self._place = (self._time_s / max(span, 1e-9)).astype(np.float32)
        self._details = details
        noise = np.inf if terms.noise is None else amplified * min(ABOVE_NOISE * terms.noise, PLAIN_DIFFERENCE)
        self._least_difference = max(LEAST_DIFFERENCE, noise)
        names = np.array([scene.get(int(shot), int(shot)) for shot in moments.shot], np.int64)
        self._scenes, self._scene = np.unique(names, return_inverse=True)
        self._scene_seconds = np.bincount(self._scene, weights=moments.seconds, minlength=len(self._scenes))
        # In average scenes, so that it means the same in a short film and in a long one.
        self._weight = moments.seconds / max(float(self._scene_seconds.mean()) if len(names) else 1.0, 1e-9)
        good = np.where(moments.spared, 0.0, self._bonus)
        self._value = self._value - leaves_out(self._time_s, self._scene, good, terms.min_gap_seconds)
        lasting = np.bincount(moments.shot, weights=self._weight)[moments.shot] if len(names) else self._weight
        self._lasting = np.maximum(lasting, LEAST_LASTING)
        self._taken = np.zeros(int(moments.shot.max(initial=0)) + 1)
        self._covered = np.zeros(len(names))
        self._whole = self._left = float(self._weight.sum())
        self._shown = np.zeros(len(self._scenes), np.bool_)
        # How far each is from the nearest that is chosen: in time, and by its sketch, in codes.
        self._gap_s, self._off = np.full(len(names), np.inf), np.full(len(names), np.inf, np.float32)
        self._refused = {"gap": 0, "alike": 0, "scene": 0, "given": 0}
        self._room_for = 0
        self._upper_bounds = np.zeros(0)
        self.chosen: list[int] = []
        """Places in the moments, in the order of choice."""
        self.difference = terms.min_difference

    def run(self, room_for: int = 0) -> None:
        """Choose; ``room_for``: none takes the room of those to come, which are so many with those chosen."""
        self._room_for = room_for
        gains, chosen = (self._posters(), []) if self._terms.poster else (self._first_gains(), self._first())
        spared, beside = self._moments.spared, self._moments.beside_good
        for among in (~spared, spared & ~beside, *((beside,) if self._terms.count is None else ())):
            chosen = self._add(chosen, np.flatnonzero(among), gains)
        self.chosen, self._upper_bounds = chosen, gains

    def give_way(self) -> None:
        """Lower the difference that is asked for, while fewer than asked for are found.

        Only then come frames with a fault, or with writing over them, of shots that have others: by that alone they
        would be unlike these.
        """
        beside = self._moments.beside_good
        self._lower(~beside)
        if len(self.chosen) < (self._terms.count or 0) and beside.any():
            lowest, self.difference = self.difference, self._terms.min_difference
            refused, self._refused = self._refused, dict.fromkeys(self._refused, 0)
            self.chosen = self._add(self.chosen, np.flatnonzero(beside), self._upper_bounds)
            self._lower(beside)
            self.difference = min(self.difference, lowest)
            self._refused = {why: count + self._refused[why] for why, count in refused.items()}

    def _lower(self, among: NDArray[np.bool_]) -> None:
        """Choose among these with less and less difference."""
        chosen, gains = self.chosen, self._upper_bounds
        # What was chosen with a larger difference stays, so that fewer are the beginning of more.
        while len(chosen) < (self._terms.count or 0) and (self._refused["alike"] or self._refused["given"]):
            lower = max(self.difference / 2, self._least_difference)
            if lower >= self.difference:
                break
            self.difference, self._refused = lower, dict.fromkeys(self._refused, 0)
            chosen = self._add(chosen, np.setdiff1d(np.flatnonzero(among), chosen), gains)
        self.chosen = chosen

    def _first(self) -> list[int]:
        """The one to use if there is only one: what is seen in it counts for more than in the others."""
        good = np.flatnonzero(~self._moments.spared & (self._given >= self.difference))
        if len(good) == 0 or self._terms.count == 0:
            return []
        worth = self._posters()
        ranked = good[np.lexsort((good, -self._moments.quality[good], -worth[good]))].tolist()
        at = next((one for one in ranked if self._leaves_room(one, [])), ranked[0])
        self._take(at)
        return [at]

    def _posters(self) -> NDArray[np.float64]:
        """What each is worth by itself: the share of the film that looks like it, quality, and what is seen in it.

        Whatever is beside it: the one to stand for a film may be that of a shot between two dissolves.
        """
        shown = self._standing / max(self._whole, 1e-9)
        by_itself = (shown + self._alone * self._sharp) / self._away
        found: NDArray[np.float64] = by_itself * detailed(self._details, len(shown))
        return found if self._moments.faces is None else found * self._moments.faces

    def _take(self, at: int) -> None:
        self._covered = np.maximum(self._covered, self._likeness[at])
        self._left = self._whole - float(self._covered @ self._weight)
        self._shown[self._scene[at]] = True
        self._taken[self._moments.shot[at]] += 1
        np.minimum(self._gap_s, np.abs(self._time_s - self._time_s[at]), out=self._gap_s)
        np.minimum(self._off, codes_apart(self._likeness[at], self._place, at, self._sharp[at]), out=self._off)

    def _add(self, chosen: list[int], among: NDArray[np.int64], gains: NDArray[np.float64]) -> list[int]:
        """Add to what is chosen while something is allowed; ``gains`` are upper bounds, and kept so."""
        most = AUTO_MOST if self._terms.count is None else self._terms.count
        # Of equals the better one, then the earlier one.
        heap = [(-gains[at], -self._moments.quality[at], at, -1) for at in among.tolist()]
        heapq.heapify(heap)
        # With ``auto``, most of a film tells nothing more in the end, which is seen of all that is left at once. A
        # poster's moments need no other figures in their turn: one by one is cheaper then.
        together = self._terms.count is None and not self._terms.poster
        refused, patience, telling = 0, PATIENCE, None
        while heap and len(chosen) < most:
            if together and chosen and refused == patience:
                telling = self._telling(np.array([one[2] for one in heap]), chosen)
                if not telling:
                    break
                patience *= 4
            _, better, at, asked = heapq.heappop(heap)
            if at in chosen:
                continue
            # For a poster, what was chosen before makes the next one no worse.
            if asked != len(chosen) and not self._terms.poster:
                again = [(better, at)]
                while heap and heap[0][3] != len(chosen) and len(again) < TOGETHER:
                    again.append(heapq.heappop(heap)[1:3])
                places = np.array([place for _, place in again])
                gains[places] = self._gains(places)
                for better, place in again:
                    heapq.heappush(heap, (-gains[place], better, place, len(chosen)))
                continue
            refused += 1
            if (telling is not None and at not in telling) or not self._allowed(at, chosen):
                continue
            if self._terms.count is None and chosen and not self._tells(at, chosen):
                continue
            chosen.append(at)
            self._take(at)
            refused, telling = 0, None
        return chosen

    def _first_gains(self) -> NDArray[np.float64]:
        gains: NDArray[np.float64] = self._standing + self._bonus + self._value - SHARE * 0.5 / self._lasting
        gains += self._unlikeness(np.arange(len(gains)))
        return gains

    @cached_property
    def _standing(self) -> NDArray[np.float32]:
        """How much of the film each moment stands for by itself."""
        if "standing" not in self._kept:
            self._kept["standing"] = self._likeness @ self._weight.astype(np.float32)
        known: NDArray[np.float32] = self._kept["standing"]
        return known

    @cached_property
    def _likeness(self) -> NDArray[np.float32]:
        """How well each moment stands for each other one: 64 MB for the longest film, which ``moments`` bounds."""
        if "likeness" not in self._kept:
            self._kept["likeness"] = likenesses(self._sketches, self._place, self._sharp)
        known: NDArray[np.float32] = self._kept["likeness"]
        return known

    def _gains(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each of them would add to what is shown."""
        added = shown_more(self._likeness, places, self._covered, self._weight)
        fresh = ~self._shown[self._scene[places]]
        gains: NDArray[np.float64] = added + np.where(fresh, self._bonus[places], 0.0) + self._value[places]
        gains -= SHARE * (self._taken[self._moments.shot[places]] + 0.5) / self._lasting[places]
        gains += self._unlikeness(places)
        return gains

    def _unlikeness(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """What they are worth for looking like nothing that is chosen; less for what writing lies over."""
        far = np.minimum(self._off[places] / FAR_CODES, 1.0) ** 2
        found: NDArray[np.float64] = UNLIKE * far * self._clear[places] * (1 + self._moments.quality[places]) / 2
        return found

    @cached_property
    def _bonus(self) -> NDArray[np.float64]:
        """Showing a scene at all is worth more than anything else, if it lasts a second."""
        found: NDArray[np.float64] = 2.0 * np.minimum(self._scene_seconds[self._scene], 1.0) * self._clear * self._sharp
        return found

    def _allowed(self, at: int, chosen: list[int]) -> bool:
        """Whether nothing chosen stands against it; what does is counted for the shortfall."""
        if self._given[at] < self.difference:
            self._refused["given"] += 1
            return False
        if not chosen:
            return self._leaves_room(at, chosen)
        if self._terms.one_per_scene and self._shown[self._scene[at]]:
            self._refused["scene"] += 1
            return False
        if self._gap_s[at] < self._terms.min_gap_seconds - ROUNDING_S or not self._leaves_room(at, chosen):
            self._refused["gap"] += 1
            return False
        if not self._unlike(at) and self._alike(at, chosen).any():
            self._refused["alike"] += 1
            return False
        return True

    @property
    def lacks_room(self) -> bool:
        """Whether the gap stands against the count, and frames that were chosen otherwise leave room."""
        wanted = self._terms.count or 0
        if len(self.chosen) >= wanted or not self._refused["gap"]:
            return False
        # One still takes the room of two at most: of twice as much, some is left whatever is chosen.
        return len(self.chosen) < self._room([], 2 * wanted) < 2 * wanted

    def _leaves_room(self, at: int, chosen: list[int]) -> bool:
        wanted = self._room_for - len(chosen)
        if wanted <= 0:
            return True
        return self._room([*chosen, at], wanted - 1) >= self._room(chosen, wanted) - 1

    def _room(self, chosen: list[int], enough: int) -> int:
        """How many more good frames have room between those chosen."""
        times_s = np.sort(self._time_s[~self._moments.spared])
        return most_apart(times_s, self._time_s[chosen].tolist(), self._terms.min_gap_seconds, enough)

    def _alike(self, at: int, chosen: list[int]) -> NDArray[np.bool_]:
        """Which of those chosen it looks like: by what is seen from afar, and by lettering and lines, as of slides."""
        alike: NDArray[np.bool_] = rows_apart(self._sketches, at, chosen) < self.difference
        if self._details is not None and alike.any():
            # What shows nothing that a chosen one does not is alike, too: a slide that is half typed.
            less = missing(self._details[at], self._details[chosen]) < LOSS * self._least_detail
            alike &= less | (rows_apart(self._details, at, chosen) < self._least_detail)
        return alike

    def _unlike(self, at: int | NDArray[np.int64]) -> Any:
        """Whether it is plainly unlike all that are chosen, so that none needs to be looked at."""
        return self._off[at] > surely_more(self.difference, self._rounded)

    def _tells(self, at: int, chosen: list[int]) -> bool:
        """With ``auto``: whether one more is worth the room.

        It is the first of a scene that lasts, or it shows what the ones chosen so far do not: a share of the film
        that counts, plainly unlike them.
        """
        if not self._shown[self._scene[at]] and self._scene_seconds[self._scene[at]] >= AUTO_SECONDS:
            return True
        if self._details is not None and not self._unlike(at):
            unlike = rows_apart(self._details, at, chosen).min() >= self._least_detail
            if unlike and rows_apart(self._sketches, at, chosen).min() < self.difference:
                return True
        added = np.maximum(self._likeness[at] - self._covered, 0.0) @ self._weight
        return bool(added >= AUTO_GAIN * max(self._left, AUTO_LEFT * self._whole))

    def _telling(self, places: NDArray[np.int64], chosen: list[int]) -> set[int]:
        """With ``auto``: which of these are worth the room now, and some that may only seem so; how much each adds to
        the choice is not asked."""
        far = self._gap_s[places] >= self._terms.min_gap_seconds - ROUNDING_S
        places = places[far & (self._given[places] >= self.difference)]
        scene = self._scene[places]
        likely = ~self._shown[scene] & (self._scene_seconds[scene] >= AUTO_SECONDS)
        if self._details is not None:
            near = np.flatnonzero(~self._unlike(places) & ~likely)
            near = near[nearest_codes(self._details, places[near], chosen) >= self._least_detail - ROUNDING_CODES]
            likely[near] = nearest_codes(self._sketches, places[near], chosen) < self.difference + ROUNDING_CODES
        least = (1 - ROUNDED_SHARE) * AUTO_GAIN * max(self._left, AUTO_LEFT * self._whole)
        rest = np.flatnonzero(~likely)
        likely[rest] = shown_more(self._likeness, places[rest], self._covered, self._weight) >= least
        return {at for at in places[likely].tolist() if self._allowed(at, chosen) and self._tells(at, chosen)}

    def reasons(self) -> tuple[Reason, ...]:
        """What each choice stands for."""
        return reasons(self._likeness, self._moments, self.chosen) if self.chosen else ()

    def shortfall(self) -> str | None:
        """What stopped it before the count; None with ``auto``, which asks for no number."""
        terms = self._terms
        if terms.count is None or len(self.chosen) >= terms.count:
            return None
        if terms.one_per_scene and len(self.chosen) == len(self._scenes):
            return f"the film has {len(self.chosen)} different shots with a good frame, and each has its still"
        return shortfall(len(self.chosen), self._refused, terms.min_gap_seconds)
