"""A picture or two that have nothing to do with those around them, and what only moves, flickers or is shown once."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.analysis.glitches import glitch
from daemon.analysis.witness import Witness
from tests.unit.analysis.test_gates import in_file, records

RATE = 25


def film(count: int = 60) -> np.ndarray:
    """A camera that moves slowly along something."""
    found = records((count, {}))
    wide = np.random.default_rng(4).integers(40, 200, (9, 16 + count)).astype(float)
    wide = np.cumsum(wide - wide.mean(), axis=1) / 8
    for at in range(count):
        part = at / 25 + np.arange(16)
        whole, share = np.floor(part).astype(int), part % 1
        found["luma"][at] = (wide[:, whole] * (1 - share) + wide[:, whole + 1] * share + 120).clip(0, 255)
    return found


def frames(found: np.ndarray, rate: float = RATE) -> list[int]:
    time_s = np.arange(len(found)) / rate
    mask = glitch(found, time_s)
    assert np.array_equal(mask, glitch(in_file(found), time_s))
    return np.flatnonzero(mask).tolist()


def broken(found: np.ndarray, *places: int) -> np.ndarray:
    """From a row of cells on, the picture is another one."""
    for seed, at in enumerate(places):
        found["luma"][at, 4:] = np.random.default_rng(seed).integers(0, 255, (5, 16))
    return found


@pytest.mark.parametrize("places", [(20,), (20, 21), (20, 24, 27, 40), (5, 55)])
def test_a_broken_picture_or_two_are_glitches(places: tuple[int, ...]) -> None:
    assert frames(broken(film(), *places)) == list(places)


def test_a_slow_camera_a_cut_and_another_shot_are_none() -> None:
    assert frames(film()) == []
    cut = film()
    cut["luma"][30:] = 255 - cut["luma"][30:]
    assert frames(cut) == []
    inserted = film()
    inserted["luma"][30:36] = 255 - inserted["luma"][30:36]
    assert frames(inserted) == []


def test_a_slide_that_is_one_frame_long_is_shown_to_be_seen() -> None:
    assert frames(broken(film(), 20), rate=2) == []


def test_what_flickers_throughout_is_none() -> None:
    found = film()
    found["luma"][::2] = found["luma"][::2] // 2
    assert frames(found) == []


@pytest.mark.parametrize("rate", [24, 50])
def test_pictures_that_are_shown_twice_are_none(rate: float) -> None:
    """Drawn on twos, or shown at twice their rate, while the light or a hand changes."""
    found = film()
    found["luma"][::2] += 6
    assert frames(np.repeat(found, 2), rate=rate) == []


@pytest.mark.parametrize("rate", [10, 20])
def test_one_is_as_long_at_any_time_of_the_film(rate: float) -> None:
    """A tenth of a second is not the same number of seconds everywhere, as a computer counts."""
    long = rate // 10
    for at in range(5, 50):
        assert frames(broken(film(), *range(at, at + long)), rate=rate) == list(range(at, at + long))


def test_what_jumps_where_all_moves_fast_is_none() -> None:
    found = film()
    rng = np.random.default_rng(6)
    for at in range(60):
        found["luma"][at] = np.roll(found["luma"][0], rng.integers(-4, 5), axis=1)
    assert frames(found) == []


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_of_a_few_frames_nothing_is_said(count: int) -> None:
    assert frames(broken(film(6), 2)[:count]) in ([], [2])


def test_it_is_found_in_pieces_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = broken(film(), 7, 20, 33)
    for rows in (1, 7, 20):
        monkeypatch.setattr("daemon.analysis.glitches.ROWS", rows)
        assert frames(found) == [7, 20, 33]


def test_why_it_is_one_is_said_with_its_figure() -> None:
    found, witness = broken(film(), 20), Witness(20)
    witness.gate("glitch", glitch(found, np.arange(60) / RATE, witness))
    assert [figure.against for figure in witness.heard[0].figures] == [True]
