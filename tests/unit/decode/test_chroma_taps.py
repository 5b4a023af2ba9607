from __future__ import annotations

import numpy as np
import pytest

from daemon.decode.chroma_taps import ACROSS_ONE, COPIES, DOWN_ONE, PAIRS, factors, spread


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("one", [ACROSS_ONE, DOWN_ONE])
@pytest.mark.parametrize(("source", "wanted"), [(960, 1920), (427, 853), (100, 400), (33, 65)])
def test_taps_sum_to_one_and_stay_within_the_source(source: int, wanted: int, one: int, place: float) -> None:
    axis = spread(source, wanted, one, place)
    assert axis is not None
    assert (axis.taps.sum(axis=1) == one).all()
    assert axis.first.min() >= 0
    assert axis.first.max() + 4 <= source
    assert (np.diff(axis.first) >= 0).all()


def test_twice_as_many_samples_have_two_sets_of_taps() -> None:
    axis = spread(960, 1920, ACROSS_ONE)
    assert axis is not None
    assert axis.pattern == PAIRS
    assert axis.taps[100].tolist() == [-461, 3943, 14284, -1382]
    assert axis.taps[101].tolist() == [-1382, 14284, 3943, -461]
    assert axis.first[100] == 48


def test_what_lies_at_the_left_is_the_even_pixels_own() -> None:
    axis = spread(960, 1920, ACROSS_ONE, 0.0)
    assert axis is not None
    assert axis.pattern == COPIES
    assert axis.taps[100].tolist() == [0, ACROSS_ONE, 0, 0]
    assert axis.taps[101].tolist() == axis.taps[101].tolist()[::-1]
    assert axis.first[100] == axis.first[101] == 49


def test_an_odd_width_has_taps_that_drift() -> None:
    axis = spread(427, 853, ACROSS_ONE)
    assert axis is not None
    assert axis.pattern == 0
    assert axis.taps[100].tolist() != axis.taps[800].tolist()


@pytest.mark.parametrize(("source", "wanted"), [(4, 8), (100, 50), (20, 100)])
def test_what_is_no_spreading_by_four_taps_is_left_to_the_chain(source: int, wanted: int) -> None:
    assert spread(source, wanted, ACROSS_ONE) is None


def test_factors_are_those_of_the_matrix() -> None:
    limited, full = factors("bt709", full=False), factors("bt709", full=True)
    assert limited is not None
    assert full is not None
    assert limited.tolist() == [16 << 9, 9539, 14686, -4366, -1747, 17305]
    assert full[:2].tolist() == [0, 8192]
    assert full[2] / 8192 == pytest.approx(1.5748, abs=1e-3)
    assert factors("ycgco", full=False) is None
