"""One of each equal stretch: near its middle, good where there is a good one, and never a hole where there is a frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daemon.selection.even import choose_evenly
from daemon.selection.quality import Film

RATE = 25


def film(frames: int = 250, seed: int = 1) -> Film:
    return Film(
        frame=np.arange(frames),
        time_s=np.arange(frames) / RATE,
        score=np.random.default_rng(seed).normal(5, 1, frames),
        good=np.ones(frames, bool),
        shot=np.zeros(frames, np.int64),
        lower_better=True,
    )


def test_every_stretch_has_one_in_order_of_time() -> None:
    choice, bad = choose_evenly(film(), count=5)
    assert [frame // 50 for frame in choice.frames] == [0, 1, 2, 3, 4]
    assert (choice.shortfall, bad) == (None, 0)
    assert [reason.frames for reason in choice.reasons] == [50] * 5


def test_two_never_meet_at_a_border() -> None:
    one = film()
    score = one.score.copy()
    score[[49, 50, 99, 100]] = -100.0
    choice, _ = choose_evenly(replace(one, score=score), count=5)
    assert np.diff(choice.frames).min() > 10


def test_by_seconds_the_count_says_nothing() -> None:
    choice, _ = choose_evenly(film(), count=3, every_seconds=1.0)
    assert [frame // RATE for frame in choice.frames] == list(range(10))


def test_a_good_frame_comes_before_a_better_one_that_is_not_good() -> None:
    one = film()
    good = np.zeros(250, bool)
    good[3::50] = True
    choice, bad = choose_evenly(replace(one, good=good), count=5)
    assert choice.frames == (3, 53, 103, 153, 203)
    assert bad == 0


def test_the_best_of_a_bad_stretch_rather_than_a_hole() -> None:
    one = film()
    good = one.good.copy()
    good[100:150] = False
    choice, bad = choose_evenly(replace(one, good=good), count=5)
    assert len(choice.frames) == 5
    assert bad == 1


def test_a_stretch_without_any_score_is_told() -> None:
    one = film()
    score = one.score.copy()
    score[100:150] = np.nan
    choice, _ = choose_evenly(replace(one, score=score), count=5)
    assert len(choice.frames) == 4
    assert choice.shortfall == "1 of the 5 stretches have no frame that could be scored"


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_short_films_give_what_they_have(frames: int) -> None:
    choice, _ = choose_evenly(film(frames), count=5)
    assert len(choice.frames) == frames
