"""What holds for every choice, whatever the scores and times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from daemon.selection.best import Choice, choose

CLOSE = 1e-9


@dataclass(frozen=True)
class Case:
    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    score: NDArray[np.float64]
    usable: NDArray[np.bool_]
    lower_better: bool
    count: int
    gap: float

    def choose(self) -> Choice:
        return choose(
            frame=self.frame,
            time_s=self.time_s,
            score=self.score,
            usable=self.usable,
            lower_better=self.lower_better,
            count=self.count,
            min_gap_seconds=self.gap,
        )

    @property
    def candidates(self) -> set[int]:
        return set(np.flatnonzero(self.usable & np.isfinite(self.score)).tolist())


# Scores on a coarse grid: ties are common, and scaling by powers of two is exact.
scores = st.one_of(st.integers(-40, 40).map(lambda n: n / 8), st.sampled_from([float("nan"), float("inf")]))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    total = draw(st.integers(0, 40))
    steps = draw(st.lists(st.integers(0, 20), min_size=total, max_size=total))
    return Case(
        frame=np.arange(total, dtype=np.int64) + draw(st.integers(0, 5)),
        time_s=np.cumsum(np.array(steps, np.float64)) / 8,
        score=np.array(draw(st.lists(scores, min_size=total, max_size=total)), np.float64),
        usable=np.array(draw(st.lists(st.booleans(), min_size=total, max_size=total)), np.bool_),
        lower_better=draw(st.booleans()),
        count=draw(st.integers(1, 12)),
        gap=draw(st.integers(0, 24)) / 8,
    )


def places(case: Case, choice: Choice) -> list[int]:
    return [int(np.flatnonzero(case.frame == frame)[0]) for frame in choice.frames]


@given(cases())
def test_the_count_the_gap_and_the_ranks_hold(case: Case) -> None:
    choice = case.choose()
    chosen = places(case, choice)
    assert len(chosen) == len(set(chosen)) <= case.count
    assert set(chosen) <= case.candidates
    times = np.sort(case.time_s[chosen])
    assert len(times) < 2 or np.diff(times).min() >= case.gap - CLOSE
    ordered = case.score[chosen]
    assert list(ordered) == sorted(ordered, reverse=not case.lower_better)


@given(cases())
def test_a_frame_is_left_out_only_for_a_better_one_nearby_or_because_there_are_enough(case: Case) -> None:
    choice = case.choose()
    chosen = places(case, choice)
    sign = 1.0 if case.lower_better else -1.0
    for place in case.candidates - set(chosen):
        near = [one for one in chosen if abs(case.time_s[one] - case.time_s[place]) < case.gap - CLOSE]
        blocked = any(sign * case.score[one] <= sign * case.score[place] for one in near)
        enough = len(chosen) == case.count and all(sign * case.score[one] <= sign * case.score[place] for one in chosen)
        assert blocked or enough


@given(cases())
def test_there_is_a_shortfall_exactly_when_there_are_fewer_than_asked_for(case: Case) -> None:
    choice = case.choose()
    assert (choice.shortfall is None) == (len(choice.frames) == case.count)


@given(cases())
def test_turning_the_scores_and_the_direction_changes_nothing(case: Case) -> None:
    turned = replace(case, score=-case.score, lower_better=not case.lower_better)
    assert turned.choose() == case.choose()


@given(cases(), st.sampled_from([0.25, 2.0, 1024.0]), st.integers(-100, 100))
def test_scaling_the_scores_changes_nothing(case: Case, factor: float, offset: int) -> None:
    assert replace(case, score=case.score * factor + offset).choose() == case.choose()


@given(cases())
def test_any_rising_function_of_the_scores_changes_nothing(case: Case) -> None:
    assert replace(case, score=case.score**3 + case.score).choose() == case.choose()


@given(cases(), st.integers(-1000, 1000))
def test_moving_the_whole_video_in_time_changes_nothing(case: Case, seconds: int) -> None:
    assert replace(case, time_s=case.time_s + seconds).choose() == case.choose()


@given(cases())
def test_the_same_input_gives_the_same_choice_and_is_left_as_it_was(case: Case) -> None:
    before = case.score.copy()
    assert case.choose() == case.choose()
    assert np.array_equal(before, case.score, equal_nan=True)


@given(cases())
def test_asking_for_more_keeps_the_first_ones(case: Case) -> None:
    more = replace(case, count=case.count + 3).choose()
    assert more.frames[: case.count] == case.choose().frames
