"""What a curve is drawn from: columns of the least and greatest score, whatever the film's length."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.store.review import FilmColumns
from daemon.web.curve import MAX_COLUMNS, Film, curve, rolling_median


def film(score: list[float] | np.ndarray, verdict: list[int] | None = None) -> Film:
    scores = np.asarray(score, np.float64)
    count = len(scores)
    columns = FilmColumns(
        frame=np.arange(count),
        time_s=np.arange(count) / 25,
        score=scores,
        verdict=np.array(verdict or [0] * count, np.uint8),
        words=("good", "", "blur"),
    )
    return Film(columns)


def test_every_score_lies_between_least_and_greatest_of_its_column() -> None:
    scores = np.random.default_rng(1).normal(5, 1, 10_007)
    found = curve(film(scores), 0, 10_006, 800)
    starts = [*found["starts"], 10_007]
    assert len(found["low"]) == 800
    for low, high, first, after in zip(found["low"], found["high"], starts, starts[1:], strict=False):
        assert low == pytest.approx(scores[first:after].min(), abs=1e-4)
        assert high == pytest.approx(scores[first:after].max(), abs=1e-4)


def test_a_short_part_has_a_column_for_each_frame() -> None:
    found = curve(film([3, 1, 2, 5, 4]), 1, 3, 1000)
    assert (found["starts"], found["low"], found["high"]) == ([1, 2, 3], [1, 2, 5], [1, 2, 5])


def test_frames_without_a_score_are_gaps() -> None:
    found = curve(film([1, np.nan, np.nan, 4]), 0, 3, 2)
    assert (found["low"], found["high"]) == ([1, 4], [1, 4])
    assert curve(film([1, np.nan, np.nan, 4]), 1, 2, 1)["low"] == [None]


def test_a_column_has_the_verdict_of_most_of_its_frames() -> None:
    assert curve(film([1.0] * 6, [0, 2, 2, 0, 0, 2]), 0, 5, 2)["verdict"] == [2, 0]


@pytest.mark.parametrize(("first", "last", "columns"), [(-9, 10**9, 10**9), (7, 3, 5), (10**9, 10**9, 1), (0, 9, -4)])
def test_whatever_is_asked_for_is_brought_into_bounds(first: int, last: int, columns: int) -> None:
    found = curve(film(np.arange(10.0)), first, last, columns)
    assert 1 <= len(found["starts"]) <= min(10, MAX_COLUMNS)
    assert 0 <= found["first"] <= found["last"] <= 9


def test_a_film_without_frames_has_no_columns() -> None:
    assert curve(film([]), 0, 10, 100)["starts"] == []


def test_the_rolling_median_does_not_follow_single_scores() -> None:
    scores = np.ones(100_000)
    scores[::100] = 99
    assert rolling_median(scores, np.arange(100_000)).max() == 1


@pytest.mark.parametrize("count", [1, 2, 7, 25, 40])
def test_the_rolling_median_is_that_of_the_neighbours_that_have_a_score(count: int) -> None:
    scores = np.random.default_rng(count).normal(size=count)
    scores[1::3] = np.nan
    padded = np.pad(scores, 12, mode="symmetric")
    expected = [np.nanmedian(padded[row : row + 25]) for row in range(count)]
    assert rolling_median(scores, np.arange(count)).tolist() == pytest.approx(expected)
    assert np.isnan(rolling_median(np.full(count, np.nan), np.arange(count))).all()
