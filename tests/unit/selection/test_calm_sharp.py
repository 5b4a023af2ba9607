"""Frames that are sharp and calm among those around them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.selection.calm_sharp import LOSS, MOVE, calm_and_sharp, sharpness

CELLS = 144


def judged(
    luma: NDArray[np.float32], sharp: NDArray[np.float32], usable: NDArray[np.bool_] | None = None, rate: float = 25
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of one shot with one background."""
    count = len(luma)
    whole = np.zeros(count, np.int64)
    return calm_and_sharp(
        luma, sharp, np.arange(count) / rate, whole, whole, np.ones(count, bool) if usable is None else usable
    )


def still(count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A view in which nothing happens."""
    return np.full((count, CELLS), 100, np.float32), np.full((count, 2), 120, np.float32)


def test_frames_of_a_still_view_are_all_calm_and_sharp() -> None:
    calm, sharp = judged(*still(50))
    assert (calm == 1).all()
    assert (sharp == 1).all()


def test_a_hand_on_its_way_up_is_less_calm_than_the_hand_that_is_up() -> None:
    luma, sharp = still(60)
    # Ten cells go from 100 to 180 and stay there.
    luma[30:34, :10] = np.array([120, 140, 160, 180])[:, None]
    luma[34:, :10] = 180
    calm, _ = judged(luma, sharp)
    assert calm[30:33].max() < 1 - MOVE / 3
    assert calm[:29].min() > 0.95
    assert calm[36:].min() > 0.95


def test_a_car_that_passes_is_as_calm_as_a_passing_car_can_be() -> None:
    """The empty road beside it is calmer, but shows less: it is no measure of the car."""
    luma, sharp = still(80)
    for step in range(12):
        luma[30 + step, 10 * step : 10 * step + 20] = 220
    calm, _ = judged(luma, sharp)
    assert calm[33:39].min() > 0.9


def test_a_drawing_that_is_smeared_by_its_move_is_less_sharp_than_where_it_stands() -> None:
    luma, sharp = still(60)
    sharp[20:30] = 80
    _, focus = judged(luma, sharp)
    assert np.allclose(focus[20:30], 1 - LOSS)
    assert (focus[:20] == 1).all()


def test_what_cannot_be_used_is_no_measure_of_sharpness() -> None:
    """As a frame of blocks is not, which has the sharpest edges of all."""
    luma, sharp = still(60)
    sharp[30] = 200
    usable = np.ones(60, bool)
    usable[30] = False
    _, focus = judged(luma, sharp, usable)
    assert (np.delete(focus, 30) == 1).all()


def test_frames_far_apart_are_not_compared() -> None:
    """A slide that follows after five seconds is no move."""
    luma, sharp = still(10)
    luma[5:], sharp[5:] = 200, 60
    calm, focus = judged(luma, sharp, rate=0.2)
    assert (calm == 1).all()
    assert (focus == 1).all()


def test_other_runs_are_not_compared() -> None:
    luma, sharp = still(40)
    luma[20:], sharp[20:] = 200, 60
    run = np.repeat([0, 1], 20)
    calm, focus = calm_and_sharp(luma, sharp, np.arange(40) / 25, run, run, np.ones(40, bool))
    assert (calm == 1).all()
    assert (focus == 1).all()


def test_a_film_in_reverse_has_the_same_calm_and_sharp_frames() -> None:
    rng = np.random.default_rng(1)
    luma, sharp = rng.uniform(0, 255, (90, CELLS)).astype(np.float32), rng.uniform(0, 200, (90, 2)).astype(np.float32)
    usable = rng.random(90) < 0.7
    there, back = judged(luma, sharp, usable), judged(luma[::-1], sharp[::-1], usable[::-1])
    for one, other in zip(there, back, strict=True):
        assert one == pytest.approx(other[::-1])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_films_of_hardly_any_frames(count: int) -> None:
    calm, focus = judged(*still(count))
    assert calm.tolist() == focus.tolist() == [1.0] * count


def test_a_quarter_of_the_picture_says_how_sharp_it_is() -> None:
    """A subject before a ground that is out of focus is a sharp picture."""
    detail = np.full((2, CELLS), 20, np.float32)
    detail[1, :36] = 150
    assert sharpness(detail).tolist() == [[20, 20], [150, 20]]


def test_a_subtitle_makes_a_calm_picture_no_sharper() -> None:
    luma, sharp = still(60)
    sharp[20:40, 0] = 200
    _, focus = judged(luma, sharp)
    assert (focus == 1).all()


def test_a_picture_that_moves_is_compared_by_its_sharpest_quarter() -> None:
    """Of one that is smeared the rest may be a plain ground, which is as it was."""
    luma, sharp = still(60)
    luma[20:40, :10] = np.where(np.arange(20) % 2, 100, 150)[:, None]
    sharp[20:40, 0] = 80
    _, focus = judged(luma, sharp)
    assert np.allclose(focus[21:39], 1 - LOSS)
