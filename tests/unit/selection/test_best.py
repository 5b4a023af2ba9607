"""Choosing frames: best first, spaced in time, and a reason whenever there are fewer than asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from daemon.selection.best import Choice, choose, ranked


def pick(
    score: Sequence[float],
    *,
    times: Sequence[float] | None = None,
    frames: Sequence[int] | None = None,
    usable: Sequence[bool] | None = None,
    lower_better: bool = False,
    count: int = 10,
    gap: float = 0.0,
) -> Choice:
    """One frame per second unless ``times`` says otherwise."""
    total = len(score)
    return choose(
        frame=np.array(range(total) if frames is None else frames, np.int64),
        time_s=np.array(range(total) if times is None else times, np.float64),
        score=np.array(score, np.float64),
        usable=np.array([True] * total if usable is None else usable, np.bool_),
        lower_better=lower_better,
        count=count,
        min_gap_seconds=gap,
    )


def test_the_best_come_first_and_no_more_than_asked_for() -> None:
    assert pick([1.0, 5.0, 3.0, 4.0], count=2) == Choice((1, 3), None)


def test_for_a_lower_is_better_metric_the_lowest_come_first() -> None:
    assert pick([1.0, 5.0, 3.0, 4.0], count=2, lower_better=True) == Choice((0, 2), None)


def test_equal_scores_go_to_the_earlier_frame() -> None:
    assert pick([2.0, 7.0, 7.0, 7.0], count=2).frames == (1, 2)
    assert pick([2.0, 7.0, 7.0, 7.0], count=3, lower_better=True).frames == (0, 1, 2)


def test_the_frames_own_numbers_are_returned_not_their_places() -> None:
    assert pick([1.0, 2.0], frames=[40, 70], count=1).frames == (70,)


def test_a_better_neighbour_keeps_a_frame_out() -> None:
    choice = pick([9.0, 8.0, 7.0], times=[10.0, 10.5, 11.5], count=2, gap=1.0)
    assert choice.frames == (0, 2)


def test_the_gap_holds_to_every_chosen_frame_before_and_after() -> None:
    choice = pick([9.0, 8.0, 7.0, 6.0], times=[0.0, 2.0, 1.1, 4.0], count=3, gap=1.0)
    assert choice.frames == (0, 1, 3)


def test_a_gap_of_exactly_the_minimum_is_allowed() -> None:
    assert pick([3.0, 2.0, 1.0], times=[0.0, 1.0, 2.0], count=3, gap=1.0).frames == (0, 1, 2)


def test_a_gap_that_is_exact_but_for_rounding_is_allowed() -> None:
    times = [0.1 * step for step in range(4)]
    assert 0.3 - times[2] < 0.1
    assert pick([1.0, 1.0, 1.0, 1.0], times=times, count=4, gap=0.1).shortfall is None


def test_without_a_gap_neighbours_and_even_equal_times_are_taken() -> None:
    assert pick([1.0, 2.0, 3.0], times=[5.0, 5.0, 5.0], count=3).frames == (2, 1, 0)


def test_times_may_be_negative_and_out_of_order() -> None:
    assert pick([3.0, 2.0, 1.0], times=[1.0, -1.0, 0.5], count=2, gap=1.0).frames == (0, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("lower_better", [True, False])
def test_a_score_that_is_no_number_is_never_chosen(bad: float, lower_better: bool) -> None:
    assert pick([bad, 1.0, bad], lower_better=lower_better).frames == (1,)


def test_a_frame_that_is_not_usable_is_never_chosen_and_keeps_none_out() -> None:
    choice = pick([9.0, 1.0], times=[0.0, 0.1], usable=[False, True], gap=1.0)
    assert choice.frames == (1,)


def test_a_far_better_cluster_does_not_starve_the_rest_of_the_video() -> None:
    score = [100.0] * 50 + [1.0] * 50
    choice = pick(score, times=[0.01 * i for i in range(50)] + [float(i) for i in range(50, 100)], count=5, gap=1.0)
    assert choice.frames == (0, 50, 51, 52, 53)


def test_ranked_lists_all_usable_places_the_best_first() -> None:
    score = np.array([3.0, np.nan, 1.0, 2.0, 0.0])
    usable = np.array([True, True, True, True, False])
    assert ranked(score, usable, lower_better=True).tolist() == [2, 3, 0]
    assert ranked(score, usable, lower_better=False).tolist() == [0, 3, 2]


# Shortfalls


def test_enough_frames_are_no_shortfall() -> None:
    assert pick([1.0, 2.0], count=2).shortfall is None


def test_a_video_without_frames_says_so() -> None:
    assert pick([]) == Choice((), "the video has no frames")


def test_a_video_without_any_score_says_so() -> None:
    choice = pick([np.nan, 4.0, np.nan], usable=[True, False, True])
    assert choice.frames == ()
    assert choice.shortfall == "none of the 3 frames has a score: all are flat or could not be scored"


def test_too_few_scored_frames_are_counted() -> None:
    choice = pick([1.0, np.nan, 2.0], count=5)
    assert choice.shortfall == "only 2 of 3 frames could be scored"


def test_a_video_that_is_too_short_says_how_many_frames_it_has() -> None:
    shortfall = pick([1.0, 2.0, 3.0], count=5).shortfall
    assert shortfall is not None
    assert "3" in shortfall
    # Every frame was scored: nothing may sound as if scoring had failed.
    assert "could be scored" not in shortfall


@pytest.mark.parametrize(("gap", "said"), [(2.0, "2 s"), (0.25, "0.25 s"), (90.0, "90 s")])
def test_a_gap_that_leaves_no_room_is_named_with_its_setting(gap: float, said: str) -> None:
    choice = pick([3.0, 2.0, 1.0], times=[0.0, 0.1, 0.2], count=3, gap=gap)
    assert choice.frames == (0,)
    assert choice.shortfall is not None
    assert f"no further frame is {said} away from the 1 chosen ones" in choice.shortfall
    assert "select.min_gap_seconds" in choice.shortfall


def test_half_a_million_frames_are_chosen_from_at_once() -> None:
    rng = np.random.default_rng(3)
    total = 500_000
    times = np.arange(total) / 60.0
    choice = choose(
        frame=np.arange(total),
        time_s=times,
        score=rng.normal(size=total),
        usable=np.ones(total, np.bool_),
        lower_better=True,
        count=2000,
        min_gap_seconds=1.0,
    )
    chosen = np.sort(times[list(choice.frames)])
    assert len(chosen) == 2000
    assert np.diff(chosen).min() >= 1.0 - 1e-9
