"""What holds for every representative choice, whatever the film."""

from __future__ import annotations

from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from daemon.analysis.features import SKETCH
from daemon.selection import likeness, representative
from daemon.selection.best import Choice
from daemon.selection.moments import MOMENT_SECONDS, moments, shortlist, with_room
from daemon.selection.quality import Film
from daemon.selection.representative import represent
from daemon.selection.room import most_apart
from daemon.selection.terms import Terms

RATE = 25
LOOKS = np.random.default_rng(5).normal(0, 40, (12, SKETCH)).astype(np.float32)
"""What scenes look like: far from each other."""


@dataclass(frozen=True)
class Case:
    film: Film
    sketches: NDArray[np.float32]
    scene: dict[int, int]
    terms: Terms

    def choose(self) -> Choice:
        found = moments(self.film)
        return represent(self.film, found, self.sketches[found.position], self.scene, self.terms)

    def scenes_of(self, choice: Choice) -> list[int]:
        places = np.searchsorted(self.film.frame, choice.frames)
        return [self.scene[int(shot)] for shot in self.film.shot[places]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    # Lengths that divide into an odd number of moments: no frame lies on the border of two.
    lengths = draw(st.lists(st.sampled_from([17, 51, 85]), min_size=1, max_size=8))
    shot = np.repeat(np.arange(len(lengths)), lengths)
    total = len(shot)
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    looks = np.array(draw(st.lists(st.integers(0, 11), min_size=len(lengths), max_size=len(lengths))))
    drift = np.cumsum(rng.normal(0, 0.4, (total, SKETCH)), axis=0).astype(np.float32)
    film = Film(
        frame=np.arange(total),
        time_s=np.arange(total) / RATE,
        score=rng.permutation(total) / 8 + 1.0,
        good=rng.random(total) < draw(st.sampled_from([0.3, 0.7, 1.0])),
        shot=shot,
        lower_better=draw(st.booleans()),
    )
    scene = {number: int(np.flatnonzero(looks == look)[0]) for number, look in enumerate(looks)}
    terms = Terms(
        draw(st.one_of(st.none(), st.integers(1, 12))),
        draw(st.sampled_from([0.0, 0.5, 1.0])),
        draw(st.sampled_from([0.0, 9.0])),
        draw(st.booleans()),
        draw(st.sampled_from([None, 0.0, 0.4, 1.0])),
    )
    return Case(film, LOOKS[looks][shot] + drift, scene, terms)


@given(cases())
def test_count_gap_difference_and_verdicts_hold(case: Case) -> None:
    choice = case.choose()
    assert len(set(choice.frames)) == len(choice.frames) == len(choice.reasons)
    assert case.film.good[list(choice.frames)].all()
    times = np.sort(case.film.time_s[list(choice.frames)])
    assert len(times) < 2 or np.diff(times).min() >= case.terms.min_gap_seconds - 1e-9
    if case.terms.count is not None:
        assert len(choice.frames) <= case.terms.count
        assert (choice.shortfall is None) == (len(choice.frames) == case.terms.count)
    if case.terms.one_per_scene:
        shown = case.scenes_of(choice)
        assert len(set(shown)) == len(shown)


@given(cases(), st.integers(1, 12), st.sampled_from([0.3, 0.5, 1.0]))
def test_a_count_that_good_frames_have_room_for_is_given_where_all_look_different(
    case: Case, count: int, gap_s: float
) -> None:
    found, moment_seconds = with_room(case.film, count, gap_s)
    room = most_apart(case.film.time_s[case.film.usable], (), gap_s, count)
    choice = represent(case.film, found, case.sketches[found.position], case.scene, Terms(count, gap_s, 0.0))
    assert len(choice.frames) == room
    assert (choice.shortfall is None) == (room == count)
    usual = moments(case.film)
    if most_apart(case.film.time_s[usual.position], (), gap_s, count) == room:
        assert moment_seconds == MOMENT_SECONDS, "moments are not cut where there is room without"
    else:
        assert moment_seconds < MOMENT_SECONDS


@given(cases())
def test_with_one_per_scene_a_scene_is_shown_from_one_of_its_shots_only(case: Case) -> None:
    choice = replace(case, terms=replace(case.terms, one_per_scene=True)).choose()
    shots = {int(shot) for shot in case.film.shot[list(choice.frames)]}
    assert len({case.scene[shot] for shot in shots}) == len(shots)


def _has_room_whatever_is_chosen(case: Case) -> bool:
    """Without it, others may be chosen for the sake of the count: those that leave room."""
    count, gap_s = case.terms.count or 0, case.terms.min_gap_seconds
    # One still takes the room of two at most.
    times_s = case.film.time_s[moments(case.film).position]
    return gap_s == 0.0 or most_apart(times_s, (), gap_s, 2 * count) == 2 * count


@given(cases())
def test_difference_gives_way_only_where_fewer_were_found(case: Case) -> None:
    strict = replace(case, terms=replace(case.terms, noise=None)).choose()
    lenient = replace(case, terms=replace(case.terms, noise=0.4)).choose()
    assert len(lenient.frames) >= len(strict.frames)
    if len(lenient.frames) == len(strict.frames):
        assert lenient.frames == strict.frames, "nothing was gained by giving way"
    if _has_room_whatever_is_chosen(case):
        assert lenient.frames[: len(strict.frames)] == strict.frames
    assert lenient.difference is not None
    assert strict.difference == case.terms.min_difference >= lenient.difference
    if case.terms.count is None or strict.shortfall is None:
        assert lenient.frames == strict.frames


@given(cases())
def test_every_scene_is_shown_before_any_is_shown_again(case: Case) -> None:
    case = replace(case, terms=Terms(12, 0.0, 0.0))
    shown = case.scenes_of(case.choose())
    there = {case.scene[int(shot)] for shot in case.film.shot[case.film.usable]}
    # A second of a scene is worth showing; a moment of 17 frames is less.
    assert set(shown[: len(there)]) == there or min(np.bincount(case.film.shot)) < RATE


@given(cases(), st.sampled_from([0.25, 3.0, 1024.0]), st.integers(-100, 100))
def test_scaling_the_metric_changes_nothing(case: Case, factor: float, offset: int) -> None:
    scaled = replace(case, film=replace(case.film, score=case.film.score * factor + offset))
    assert scaled.choose() == case.choose()


@given(cases())
def test_flipping_the_metrics_direction_changes_nothing(case: Case) -> None:
    film = replace(case.film, score=-case.film.score, lower_better=not case.film.lower_better)
    assert replace(case, film=film).choose() == case.choose()


@given(cases())
def test_reversing_a_film_reverses_the_scenes(case: Case) -> None:
    film = case.film
    last = int(film.shot.max())
    reverse = Film(
        frame=film.frame,
        time_s=film.time_s,
        score=film.score[::-1].copy(),
        good=film.good[::-1].copy(),
        shot=(last - film.shot[::-1]).copy(),
        lower_better=film.lower_better,
    )
    scene = {last - shot: name for shot, name in case.scene.items()}
    turned = Case(reverse, case.sketches[::-1].copy(), scene, case.terms)
    assert sorted(turned.scenes_of(turned.choose())) == sorted(case.scenes_of(case.choose()))


@given(cases(), st.data())
def test_a_bad_frame_is_never_added_by_being_there(case: Case, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(case.film.frame) - 1))
    assume(case.film.good.sum() > 1)
    best = case.film.score.min() if case.film.lower_better else case.film.score.max()
    score, good = case.film.score.copy(), case.film.good.copy()
    score[at], good[at] = 2 * best if not case.film.lower_better else best / 2, False
    choice = replace(case, film=replace(case.film, score=score, good=good)).choose()
    assert at not in choice.frames


@given(cases())
def test_the_same_film_gives_the_same_choice_and_more_begins_with_less(case: Case) -> None:
    assert case.choose() == case.choose()
    fewer, more = (replace(case, terms=replace(case.terms, count=count)).choose() for count in (3, 8))
    assert len(more.frames) >= len(fewer.frames)
    # A gap may stand against the larger count alone.
    anywhere = replace(case.terms, min_gap_seconds=0.0)
    fewer, more = (replace(case, terms=replace(anywhere, count=count)).choose() for count in (3, 8))
    assert more.frames[: len(fewer.frames)] == fewer.frames


@given(cases())
def test_what_the_picks_stand_for_is_no_more_than_the_film(case: Case) -> None:
    reasons = case.choose().reasons
    assert sum(reason.frames or 0 for reason in reasons) <= len(case.film.frame)
    assert sum(reason.seconds or 0.0 for reason in reasons) <= len(case.film.frame) / RATE + 0.1
    assert all(0 < (reason.percentile or 0) <= 100 for reason in reasons)


@given(cases(), st.sampled_from([0.05, 0.3, 1.0]))
def test_a_shortlist_has_the_best_of_every_moment(case: Case, share: float) -> None:
    places = shortlist(case.film, share)
    assert set(moments(case.film).position) <= set(places)
    assert case.film.usable[places].all()
    if share == 1.0:
        assert len(places) == case.film.usable.sum()


@given(st.integers(0, 10**6), st.sampled_from([1.0, 4.0, 16.0]), st.sampled_from([0.5, 2.0, 9.0, 36.0]), st.booleans())
def test_what_is_told_by_likenesses_to_be_unlike_is_unlike(seed: int, gain: float, codes: float, light: bool) -> None:
    """Pictures that differ by about what is asked for, in a dark film whose sketches are amplified; some are light."""
    rng = np.random.default_rng(seed)
    one = rng.uniform(0, 158 if light else 158 / gain, SKETCH)
    away = rng.normal(0, 1, (40, SKETCH))
    away *= codes * rng.uniform(0.9, 1.2, (40, 1)) / np.sqrt((away**2).mean(axis=1, keepdims=True))
    sketches = (np.concatenate([one[None], one + away / gain]) * gain).astype(np.float32)
    time, weight = rng.random(41).astype(np.float32), rng.uniform(0.02, 1.0, 41).astype(np.float32)
    table = likeness.likenesses(sketches, time, weight)
    told = likeness.codes_apart(table[0], time, 0, weight[0])
    plain = np.sqrt(((sketches.astype(np.float64) - sketches[0]) ** 2).mean(axis=1))
    unlike = told > likeness.surely_more(codes, likeness.rounded_squares(sketches))
    assert (plain[unlike] >= codes).all()
    if gain == 1.0:
        far = (plain > 1.1 * codes + 0.5) & (plain < likeness.FAR_CODES)
        assert unlike[far].all(), "of most films it is told without looking"


@given(cases(), st.booleans(), st.sampled_from([1, 2, 7]), st.integers(0, 10**6))
def test_auto_takes_the_same_whether_what_is_left_is_seen_at_once_or_one_by_one(
    case: Case, pages: bool, patience: int, seed: int
) -> None:
    found = moments(case.film)
    lettering = np.random.default_rng(seed).choice(np.array([0, 90], np.float32), (4, 144))
    details = lettering[np.arange(len(found.position)) % 4] if pages else None
    terms = replace(case.terms, count=None)
    taken = []
    for most in (patience, 10**9):
        with patch.object(representative, "PATIENCE", most):
            taken.append(represent(case.film, found, case.sketches[found.position], case.scene, terms, details))
    assert taken[0] == taken[1]
