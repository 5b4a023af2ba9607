"""A scored film's rows as the choice has them."""

from __future__ import annotations

import numpy as np

from daemon.model import Shot, ShotKind
from daemon.pipeline.film import DAMAGED_SECONDS, MIX_LEFT, film_of, without_damaged
from daemon.selection.moments import moments
from daemon.selection.quality import Film
from daemon.store.frames import ScoreTable


def film(shots: list[Shot], **columns: np.ndarray) -> Film:
    """25 frames a second, all as good, but for some columns."""
    count = shots[-1].last + 1
    none = np.zeros(count, bool)
    usual = {"score": np.ones(count), "noted": none, "good": ~none, "spared": none, "subtitled": none}
    usual |= {"reserve": none, "damaged": none, **columns}
    return film_of(ScoreTable(np.arange(count), np.arange(count) / 25, last_s=None, **usual), shots, lower_better=True)


def spared_of(spared: np.ndarray, good: np.ndarray, shots: list[Shot]) -> np.ndarray:
    """Which frames are chosen after all others."""
    found = film(shots, good=good, spared=spared).spared
    return np.zeros(len(spared), bool) if found is None else found


def test_what_a_gate_says_of_nearly_all_of_a_shot_is_how_the_shot_looks() -> None:
    shots = [Shot(ShotKind.SHOT, 0, 99), Shot(ShotKind.SHOT, 100, 199)]
    spared = np.zeros(200, bool)
    spared[:95] = True
    spared[150:] = True
    last = spared_of(spared, ~spared, shots)
    assert not last[:100].any(), "a table of toys, all of which looks like blocks of the coder"
    assert last[150:].all(), "half of the other shot is out of focus"


def test_what_has_a_subtitle_comes_last_even_where_it_is_nearly_all_of_a_shot() -> None:
    lettered = np.arange(100) < 90
    last = film([Shot(ShotKind.SHOT, 0, 99)], good=~lettered, spared=lettered, subtitled=lettered).spared
    assert last is not None
    assert np.array_equal(last, lettered)


def test_beside_subtitles_what_is_spared_in_the_rest_of_a_shot_is_how_the_shot_looks() -> None:
    lettered, blurred = np.arange(100) < 50, np.arange(100) >= 50
    last = film([Shot(ShotKind.SHOT, 0, 99)], good=~(lettered | blurred), spared=lettered | blurred, subtitled=lettered)
    assert last.spared is not None
    assert np.array_equal(last.spared, lettered)


def test_what_lies_near_a_fade_or_dissolve_is_worth_less_whose_end_may_be_in_it() -> None:
    shots = [Shot(ShotKind.SHOT, 0, 49), Shot(ShotKind.DISSOLVE, 50, 69), Shot(ShotKind.SHOT, 70, 149)]
    away = film(shots).away
    assert away is not None
    assert (away[50:70] == MIX_LEFT).all()
    assert (away[:37] == 1).all()
    assert (away[83:] == 1).all()
    assert (np.diff(away[37:51]) < 0).all()
    assert (np.diff(away[69:83]) > 0).all()


def test_beside_cuts_nothing_is_worth_less() -> None:
    assert film([Shot(ShotKind.SHOT, 0, 49), Shot(ShotKind.CUT, 50, 50), Shot(ShotKind.SHOT, 51, 99)]).away is None


def test_of_a_moment_beside_a_dissolve_the_best_frame_is_one_farther_away() -> None:
    score = np.ones(90)
    score[70:73] = 0.9
    best = [
        moments(film([Shot(kind, 0, 69), Shot(ShotKind.SHOT, 70, 89)], score=score)).position[0]
        for kind in (ShotKind.CUT, ShotKind.DISSOLVE)
    ]
    assert best[0] == 70
    assert best[1] > 80


def test_damaged_frames_are_left_out_within_a_minute_of_whole_ones_and_stay_in_a_long_stretch_without_any() -> None:
    damaged = np.arange(2000) >= 100
    whole = film([Shot(ShotKind.SHOT, 0, 1999)], reserve=damaged, damaged=damaged)
    left, out = without_damaged(whole)
    first = 99 + int(DAMAGED_SECONDS * 25)
    assert out["because"].startswith(f"left out for damage: {first - 99} of the frames")
    assert left.good.tolist() == [frame < 100 or frame > first for frame in range(2000)]
    assert whole.spared is not None
    assert np.array_equal(whole.spared, damaged), "what stays comes last"


def test_a_film_that_is_damaged_throughout_loses_none_and_one_that_is_small_for_a_while_either() -> None:
    everywhere, somewhere = np.ones(50, bool), np.arange(50) < 20
    for columns in ({"reserve": everywhere, "damaged": everywhere}, {"reserve": somewhere}):
        left, out = without_damaged(film([Shot(ShotKind.SHOT, 0, 49)], **columns))
        assert not out
        assert left.usable.all()


def test_frames_that_a_gate_refuses_leave_no_damaged_one_out() -> None:
    damaged = np.arange(50) < 20
    left, out = without_damaged(film([Shot(ShotKind.SHOT, 0, 49)], good=damaged, reserve=damaged, damaged=damaged))
    assert not out
    assert left.usable.sum() == 20
