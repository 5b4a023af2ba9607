"""A handful of frames that are good, unlike each other, and together show what is in the film.

    film      ----------------------------------------------------------------   every frame, in order
    shots     [ shot 0        ]x[ shot 1           ][ shot 2   ]~~[ shot 3   ]   x, ~: transitions, never chosen
    scenes      A                B                    C            A             shots that show the same
    moments   |  .  |  .  | . |  | . | . |  . | . | | .  |  . |   | . |  . |     some 0.7 s, each with its best frame
    picks        1                       2             3                   4     unlike each other, all of the film

Greedy maximisation of a sum of three terms: scenes that are seen at all, facility location (every moment of the
film counts with its likeness to the most similar chosen frame), and the quality of the chosen frames. All three
are monotone submodular functions of the set, so the greedy choice is within 1 - 1/e of the best one (Nemhauser,
Wolsey, Fisher, 1978), and gains that were computed earlier are upper bounds: most need no second look (Minoux,
"Accelerated greedy algorithms", 1978). The form is that of Lin and Bilmes, "A class of submodular functions for
document summarization" (ACL 2011). On top, no two frames may be near in time or look alike: the limit case of
maximal marginal relevance (Carbonell, Goldstein, SIGIR 1998). How unlike they are is a wish: while fewer are found
than asked for, it gives way, down to what differs by chance.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.model import Reason
from daemon.selection.across import ABOVE_NOISE, least_detail_difference
from daemon.selection.activity import activity, appeal, typicality, uncovered
from daemon.selection.best import Choice
from daemon.selection.completeness import LOSS, missing, unfinished
from daemon.selection.invitation import detailed, invitation
from daemon.selection.likeness import LUMA_CELLS, LUMA_WEIGHT, gain, likenesses
from daemon.selection.moments import Moments
from daemon.selection.quality import Film
from daemon.selection.room import ROUNDING_S, leaves_out, most_apart

COVERED_BONUS = 0.25
"""What a new scene is worth all the same where writing takes all other worth from its picture."""
QUALITY = 0.5
"""What the best frame is worth more than the worst, in average scenes shown."""
EVENT = 0.5
"""What a moment in which much happens is worth more than one in which nothing does, in average scenes shown."""
APPEAL = 0.3
"""What the moment with the most to see in it is worth more than the one with the least, in average scenes shown."""
FIRST_QUALITY, FIRST_EVENT, INVITING, WHATEVER = 1.0, 2.0, 3.0, 0.6
"""What the first still, which is used where only one is, is worth for its quality, if much happens in it, and if it is
inviting by itself: that share of it whatever its quality is."""
TYPICAL = 0.8
"""What the first still is worth more if its light and colours are those of the film."""
AUTO_GAIN, AUTO_LEFT, AUTO_SECONDS = 0.1, 0.2, 1.0
"""With ``auto``: what one more adds is at least this share of what is not shown yet, of which there is at least so much
of the film; or it is the first of a scene of so many seconds."""
AUTO_MOST = 100
LEAST_DIFFERENCE = 2.0
"""How far ``min_difference`` gives way: to so many codes, or so many times what neighbouring frames differ."""
UNFINISHED = 0.4
"""What is left of the worth of a picture that is a part of another one."""
SHARE, LEAST_LASTING = 0.2, 0.25
"""What every still that a shot has already takes from the worth of its next one, over the average scenes that the shot
lasts, or so many: together they cost least where each shot has stills by how long it lasts."""
ROWS = 256
"""Moments whose likenesses to all others are found at once."""
TOGETHER = 64
"""Moments that are looked at again at once."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked for: ``count`` stills (None: auto), the least gap and difference, one per scene or more.

    ``noise`` is how much neighbouring frames differ, in codes of their sketches: while fewer than ``count`` are
    found, ``min_difference`` gives way down to what is plainly more than this; None: not at all. ``detail_noise``
    is the same of their details. ``poster``: all are chosen as the first one is.
    """

    count: int | None
    min_gap_seconds: float
    min_difference: float
    one_per_scene: bool = False
    noise: float | None = None
    detail_noise: float = 0.0
    poster: bool = False


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
    in the order of choice, so that a smaller count is the beginning of a larger one; only where nothing but the gap
    stands against a count, they are chosen anew so as to leave room. ``kept`` is filled with what other ``terms`` need
    again; it is given back with the same film. ``given`` is how far each of these frames is from the nearest picture
    that another film gave, as ``across.nearest`` has it (None: that does not matter).
    """
    kept = {} if kept is None else kept
    greedy = _Greedy(film, moments, sketches, scene, terms, details, lettering, kept, given)
    chosen = greedy.run()
    if greedy.lacks_room(chosen):
        frugal = _Greedy(film, moments, sketches, scene, terms, details, lettering, kept, given)
        more = frugal.run(leave_room=True)
        if len(more) > len(chosen):
            greedy, chosen = frugal, more
    reasons = greedy.reasons(chosen)
    frames = tuple(int(film.frame[moments.position[at]]) for at in chosen)
    return Choice(frames, greedy.shortfall(len(chosen)), reasons, greedy.difference)


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
        sharp = np.ones(len(moments.position)) if moments.sharp is None else moments.sharp
        self._sharp = sharp.astype(np.float32)
        self._terms = terms
        self._time_s = film.time_s[moments.position]
        amplified = gain(sketches)
        self._given = np.full(len(self._time_s), np.inf) if given is None else given * amplified
        self._sketches = sketches * np.float32(amplified)
        span = float(np.ptp(self._time_s)) if len(self._time_s) else 0.0
        self._place = (self._time_s / max(span, 1e-9)).astype(np.float32)
        luma = self._sketches[:, :LUMA_CELLS] / np.float32(LUMA_WEIGHT)
        event, rich = activity(luma, moments.shot), APPEAL * appeal(sketches)
        clear = (
            np.ones(len(moments.position)) if lettering is None else uncovered(lettering, moments.shot, moments.seconds)
        )
        self._clear = COVERED_BONUS + (1 - COVERED_BONUS) * clear
        self._value = clear * moments.quality * (QUALITY + EVENT * event + rich)
        inviting = INVITING * (WHATEVER + (1 - WHATEVER) * moments.quality) * invitation(sketches, details)
        self._alone = FIRST_QUALITY * moments.quality + clear * (FIRST_EVENT * event + inviting)
        self._alone += TYPICAL * typicality(sketches, moments.seconds)
        self._detailed = detailed(details, len(moments.position))
        self._details = details
        self._least_detail = least_detail_difference(terms.detail_noise)
        if details is not None:
            part = unfinished(self._sketches, details, terms.min_difference, self._least_detail)
            self._value[part] *= UNFINISHED
            self._alone[part] *= UNFINISHED
        noise = np.inf if terms.noise is None else ABOVE_NOISE * amplified * terms.noise
        self._least_difference = max(LEAST_DIFFERENCE, noise)
        names = np.array([scene.get(int(shot), int(shot)) for shot in moments.shot], np.int64)
        self._scenes, self._scene = np.unique(names, return_inverse=True)
        self._scene_seconds = np.bincount(self._scene, weights=moments.seconds, minlength=len(self._scenes))
        # In average scenes, so that it means the same in a short film and in a long one.
        self._weight = moments.seconds / max(float(self._scene_seconds.mean()) if len(names) else 1.0, 1e-9)
        good = np.where(moments.spared, 0.0, self._bonus(np.arange(len(names))))
        self._value -= leaves_out(self._time_s, self._scene, good, terms.min_gap_seconds)
        lasting = np.bincount(moments.shot, weights=self._weight)[moments.shot] if len(names) else self._weight
        self._lasting = np.maximum(lasting, LEAST_LASTING)
        self._taken = np.zeros(int(moments.shot.max(initial=0)) + 1)
        self._covered = np.zeros(len(names))
        self._scenes_shown: set[int] = set()
        self._refused = {"gap": 0, "alike": 0, "scene": 0, "given": 0}
        self._leave_room = False
        self.difference = terms.min_difference

    def run(self, *, leave_room: bool = False) -> list[int]:
        """Places in the moments, in the order of choice; ``leave_room``: none takes the room of those to come."""
        self._leave_room = leave_room
        gains, chosen = (self._posters(), []) if self._terms.poster else (self._first_gains(), self._first())
        chosen = self._add(chosen, np.flatnonzero(~self._moments.spared), gains)
        chosen = self._add(chosen, np.flatnonzero(self._moments.spared), gains)
        # What was chosen with a larger difference stays, so that fewer are the beginning of more.
        while len(chosen) < (self._terms.count or 0) and (self._refused["alike"] or self._refused["given"]):
            lower = max(self.difference / 2, self._least_difference)
            if lower >= self.difference:
                break
            self.difference, self._refused = lower, {"gap": 0, "alike": 0, "scene": 0, "given": 0}
            rest = np.setdiff1d(np.arange(len(gains)), chosen)
            chosen = self._add(chosen, rest, gains)
        return chosen

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
        """What each is worth by itself: the share of the film that looks like it, quality, and what is seen in it."""
        shown = self._likeness @ self._weight.astype(np.float32)
        worth: NDArray[np.float64] = shown / max(float(self._weight.sum()), 1e-9) + self._alone * self._sharp
        return worth * self._detailed

    def _take(self, at: int) -> None:
        self._covered = np.maximum(self._covered, self._likeness[at])
        self._scenes_shown.add(int(self._scene[at]))
        self._taken[self._moments.shot[at]] += 1

    def _add(self, chosen: list[int], among: NDArray[np.int64], gains: NDArray[np.float64]) -> list[int]:
        """Add to what is chosen while something is allowed; ``gains`` are upper bounds, and kept so."""
        most = AUTO_MOST if self._terms.count is None else self._terms.count
        # Of equals the better one, then the earlier one.
        heap = [(-gains[at], -self._moments.quality[at], at, -1) for at in among.tolist()]
        heapq.heapify(heap)
        while heap and len(chosen) < most:
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
            if not self._allowed(at, chosen):
                continue
            if self._terms.count is None and chosen and not self._tells(at, chosen):
                continue
            chosen.append(at)
            self._take(at)
        return chosen

    def _first_gains(self) -> NDArray[np.float64]:
        if "gains" in self._kept:
            known: NDArray[np.float64] = self._kept["gains"].copy()
            return known
        shown = self._likeness @ self._weight.astype(np.float32)
        gains: NDArray[np.float64] = shown + self._bonus(np.arange(len(shown))) + self._value
        gains -= SHARE * 0.5 / self._lasting
        self._kept["gains"] = gains.copy()
        return gains

    @cached_property
    def _likeness(self) -> NDArray[np.float32]:
        """How well each moment stands for each other one: 64 MB for the longest film, which ``moments`` bounds."""
        if "likeness" not in self._kept:
            count = len(self._sketches)
            table = np.empty((count, count), np.float32)
            for start in range(0, count, ROWS):
                rows = slice(start, start + ROWS)
                table[rows] = likenesses(self._sketches[rows], self._sketches, self._place[rows], self._place)
                table[rows] *= self._sharp[rows, None]
            self._kept["likeness"] = table
        known: NDArray[np.float32] = self._kept["likeness"]
        return known

    def _gains(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each of them would add to what is shown."""
        added = np.maximum(self._likeness[places] - self._covered, 0.0) @ self._weight
        fresh = ~np.isin(self._scene[places], list(self._scenes_shown))
        gains: NDArray[np.float64] = added + np.where(fresh, self._bonus(places), 0.0) + self._value[places]
        gains -= SHARE * (self._taken[self._moments.shot[places]] + 0.5) / self._lasting[places]
        return gains

    def _bonus(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Showing a scene at all is worth more than anything else, if it lasts a second."""
        return 2.0 * np.minimum(self._scene_seconds[self._scene[at]], 1.0) * self._clear[at] * self._sharp[at]

    def _allowed(self, at: int, chosen: list[int]) -> bool:
        """Whether nothing chosen stands against it; what does is counted for the shortfall."""
        if self._given[at] < self.difference:
            self._refused["given"] += 1
            return False
        if not chosen:
            return self._leaves_room(at, chosen)
        if self._terms.one_per_scene and int(self._scene[at]) in self._scenes_shown:
            self._refused["scene"] += 1
            return False
        gaps = np.abs(self._time_s[chosen] - self._time_s[at])
        if gaps.min() < self._terms.min_gap_seconds - ROUNDING_S or not self._leaves_room(at, chosen):
            self._refused["gap"] += 1
            return False
        if self._alike(at, chosen).any():
            self._refused["alike"] += 1
            return False
        return True

    def lacks_room(self, chosen: list[int]) -> bool:
        """Whether nothing but the gap stands against the count, and frames that were chosen otherwise leave room."""
        refused = {reason for reason, times in self._refused.items() if times}
        wanted = self._terms.count or 0
        return len(chosen) < wanted and refused == {"gap"} and self._room([], wanted) > len(chosen)

    def _leaves_room(self, at: int, chosen: list[int]) -> bool:
        if not self._leave_room:
            return True
        wanted = (self._terms.count or 0) - len(chosen)
        return self._room([*chosen, at], wanted - 1) >= self._room(chosen, wanted) - 1

    def _room(self, chosen: list[int], enough: int) -> int:
        """How many more good frames have room between those chosen."""
        times_s = np.sort(self._time_s[~self._moments.spared])
        return most_apart(times_s, self._time_s[chosen].tolist(), self._terms.min_gap_seconds, enough)

    def _alike(self, at: int, chosen: list[int]) -> NDArray[np.bool_]:
        """Which of those chosen it looks like: by what is seen from afar, and by lettering and lines, as of slides."""
        offs = self._sketches[chosen] - self._sketches[at]
        alike: NDArray[np.bool_] = np.sqrt((offs * offs).mean(axis=1)) < self.difference
        if self._details is not None and alike.any():
            # What shows nothing that a chosen one does not is alike, too: a slide that is half typed.
            less = missing(self._details[at], self._details[chosen]) < LOSS * self._least_detail
            alike &= less | (self._detail_differences(at, chosen) < self._least_detail)
        return alike

    def _detail_differences(self, at: int, chosen: list[int]) -> NDArray[np.float64]:
        assert self._details is not None
        offs = self._details[chosen] - self._details[at]
        differences: NDArray[np.float64] = np.sqrt((offs * offs).mean(axis=1)).astype(np.float64)
        return differences

    def _tells(self, at: int, chosen: list[int]) -> bool:
        """With ``auto``: whether one more is worth the room.

        It is the first of a scene that lasts, or it shows what the ones chosen so far do not: a share of the film
        that counts, plainly unlike them.
        """
        if int(self._scene[at]) not in self._scenes_shown and self._scene_seconds[self._scene[at]] >= AUTO_SECONDS:
            return True
        if self._details is not None and self._detail_differences(at, chosen).min() >= self._least_detail:
            offs = self._sketches[chosen] - self._sketches[at]
            if np.sqrt((offs * offs).mean(axis=1)).min() < self.difference:
                return True
        added = np.maximum(self._likeness[at] - self._covered, 0.0) @ self._weight
        whole = float(self._weight.sum())
        return bool(added >= AUTO_GAIN * max(whole - float(self._covered @ self._weight), AUTO_LEFT * whole))

    def reasons(self, chosen: list[int]) -> tuple[Reason, ...]:
        """What each choice stands for: the moments that it is most like, those of its own shot first."""
        if not chosen:
            return ()
        best = np.full(len(self._covered), -1.0)
        owner = np.zeros(len(self._covered), np.int64)
        for number, at in enumerate(chosen):
            near = self._likeness[at] + (self._moments.shot == self._moments.shot[at])
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
        if self._refused["given"]:
            parts.append("looks like a still of another film (select.across)")
        if not parts:
            return f"the film has only {chosen} good moment{'' if chosen == 1 else 's'}"
        return f"every other good frame {' or '.join(parts)}"
