"""What makes one picture of a film more inviting than another."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.analysis import features
from daemon.selection.invitation import LACK, detailed, invitation


def sketches(*pictures: np.ndarray) -> np.ndarray:
    return features.sketch(np.stack(pictures))


def plain(code: int = 110) -> np.ndarray:
    return np.full((9, 16, 3), code, np.uint8)


def scene(colour: tuple[int, int, int] = (220, 60, 40)) -> np.ndarray:
    """Somebody in the middle, before a ground that goes from dark to light."""
    picture = np.repeat(np.linspace(40, 200, 16).astype(np.uint8)[None, :, None], 9, axis=0).repeat(3, axis=2)
    picture[2:7, 6:10] = colour
    return picture


def test_a_picture_with_something_in_it_is_more_inviting_than_an_empty_one() -> None:
    empty, full = invitation(sketches(plain(), scene()), None)
    assert full > 0.5 > empty


@pytest.mark.parametrize("code", [20, 110, 240])
def test_how_light_an_empty_picture_is_makes_it_no_more_inviting(code: int) -> None:
    found = invitation(sketches(plain(code), plain(110), scene()), None)
    assert found[0] == pytest.approx(found[1])


def test_pictures_that_are_all_alike_are_equally_inviting() -> None:
    """Noise, as of a locked camera, decides nothing."""
    noise = np.random.default_rng(1).integers(-1, 2, (20, 9, 16, 3))
    found = invitation(sketches(*(scene().astype(int) + noise).astype(np.uint8)), None)
    assert np.ptp(found) < 0.25


def test_what_is_in_the_middle_is_more_inviting_than_what_the_edge_cuts_off() -> None:
    inside, cut = np.zeros((2, 9, 16), np.float32)
    inside[3:6, 6:10] = cut[3:6, 12:] = 120
    found = invitation(sketches(scene(), scene()), np.stack([inside, cut]).reshape(2, -1))
    assert found[0] > found[1]


def test_no_moments_and_one_moment() -> None:
    assert len(invitation(np.zeros((0, 168), np.float32), None)) == 0
    assert invitation(sketches(scene()), None).tolist() == [0.5]


def test_a_picture_that_lacks_the_detail_of_the_others_loses_worth() -> None:
    details = np.full((5, 144), 80, np.float32)
    details[4] = 10
    assert detailed(details, 5).tolist() == [1, 1, 1, 1, pytest.approx(1 - LACK)]
    assert detailed(None, 3).tolist() == [1, 1, 1]
