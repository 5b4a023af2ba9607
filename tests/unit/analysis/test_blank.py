"""Noise without a picture, and what looks like it by its figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from daemon.analysis.blank import snow
from daemon.analysis.features import figures, unpack
from daemon.analysis.measure import measure
from daemon.config.selection import GatesConfig
from tests.unit.analysis.test_features import scene
from tests.unit.analysis.test_gates import in_file

SIZE = (180, 320)


def noise(seed: int, spread: float = 60.0, mean: float = 110.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, SIZE)


def picture(luma: np.ndarray) -> np.ndarray:
    return np.repeat(luma.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def coarse(at: int) -> np.ndarray:
    """Noise of a set that shows four lines of each."""
    return np.kron(noise(at)[:90, :160], np.ones((2, 2)))


def smeared(at: int) -> np.ndarray:
    """Noise of a tape: what it has of a line is soft along it."""
    found = noise(at, 120.0)
    return sum(np.roll(found, by, axis=1) for by in range(6)) / 6 + 50


def with_a_bar(at: int) -> np.ndarray:
    """Noise over which a dark bar rolls, as mains hum makes it."""
    rows = (np.arange(SIZE[0]) + 5 * at) % SIZE[0] < 50
    return np.asarray(Image.fromarray(picture(noise(at, 90.0))).filter(ImageFilter.GaussianBlur(0.7)))[..., 0] * 0.6 - (
        20.0 * rows[:, None]
    )


def sand(at: int) -> np.ndarray:
    """Grain that stays where it is while the camera moves along it."""
    field = np.random.default_rng(1).normal(110, 90, (SIZE[0], SIZE[1] + 200))
    soft = np.asarray(Image.fromarray(picture(field)).filter(ImageFilter.GaussianBlur(0.7)))[..., 0]
    patches = np.kron(np.random.default_rng(2).normal(0, 6, (9, 26)), np.ones((20, 20)))
    return soft[:, 4 * at :][:, : SIZE[1]] + patches[:, 4 * at :][:, : SIZE[1]]


def plot(at: int) -> np.ndarray:
    """A thin curve that grows on an empty ground."""
    image = Image.new("L", SIZE[::-1], 6)
    points = [(x, 90 + 60 * np.sin(x / 7)) for x in range(0, 40 + 20 * at, 2)]
    ImageDraw.Draw(image).line(points, fill=120, width=1)
    return np.asarray(image).astype(float)


def stars(at: int) -> np.ndarray:
    found = np.zeros(SIZE)
    rows, columns = np.random.default_rng(3).integers(0, (SIZE[0], SIZE[1]), (30, 2)).T
    found[rows, (columns + at) % SIZE[1]] = 255
    return found


def grainy(at: int) -> np.ndarray:
    """A view in bad light."""
    return scene()[..., 0] * 0.5 + noise(at, 12.0, 0.0)


def told(*makers: Callable[[int], np.ndarray], count: int = 12) -> np.ndarray:
    """Which frames of a film are snow, so many made by each of these."""
    blobs = [measure(picture(make(at))) for make in makers for at in range(count)]
    found = figures(unpack(blobs))
    mask = snow(found, GatesConfig())
    assert np.array_equal(mask, snow(in_file(found), GatesConfig()))
    return mask


@pytest.mark.parametrize("make", [noise, coarse, smeared, with_a_bar])
def test_snow_is_known_however_coarse_it_is(make: Callable[[int], np.ndarray]) -> None:
    mask = told(grainy, make)
    assert not mask[:12].any()
    assert mask[12:].all()


@pytest.mark.parametrize("make", [sand, plot, stars, grainy])
def test_what_stays_where_it_is_or_lies_on_an_empty_ground_is_none(make: Callable[[int], np.ndarray]) -> None:
    assert not told(make).any()


def test_snow_of_which_each_frame_is_shown_twice_is_snow() -> None:
    """But for the film's first frame and its last, which are like the only one beside them."""
    assert told(lambda at: coarse((at + 1) // 2), count=13).tolist() == [True] * 12 + [False]


def test_it_is_told_in_pieces_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = told(grainy, coarse, sand, smeared)
    for rows in (1, 5, 13):
        monkeypatch.setattr("daemon.analysis.blank.ROWS", rows)
        assert np.array_equal(told(grainy, coarse, sand, smeared), whole)
