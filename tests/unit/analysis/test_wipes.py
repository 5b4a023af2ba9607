"""Wipes, in whatever shape, and what is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from daemon.analysis.shots import ShotFinder
from daemon.analysis.wipes import WipeFinder
from daemon.config.selection import ShotsConfig
from daemon.model import ShotKind

ROWS, COLUMNS = np.mgrid[:9, :16]
FROM_LEFT = COLUMNS / 15
FROM_TOP = ROWS / 8
IRIS = np.hypot(ROWS - 4, COLUMNS - 7.5) / np.hypot(4, 7.5)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 235, (9, 16, 3)).astype(np.float32)


def film(mask: Callable[[float], np.ndarray], frames: int, noise: float = 2.0) -> np.ndarray:
    """40 frames of one picture, a way to another, 40 frames of that one; ``mask`` is the other's share by cell."""
    rng = np.random.default_rng(5)
    one, other = picture(1), picture(2)
    shares = [*[0.0] * 40, *[(step + 1) / (frames + 1) for step in range(frames)], *[1.0] * 40]
    mixed = [one + (other - one) * mask(share)[..., None] for share in shares]
    return np.clip(np.stack(mixed) + rng.normal(0, noise, (len(mixed), 9, 16, 3)), 0, 255).astype(np.uint8)


def found(thumbnails: np.ndarray, piece: int = 37) -> list[tuple[int, int]]:
    finder = WipeFinder()
    for start in range(0, len(thumbnails), piece):
        finder.feed(thumbnails[start : start + piece])
    return [(one.first, one.last) for one in finder.found()]


@pytest.mark.parametrize("way", [FROM_LEFT, FROM_TOP, IRIS], ids=["left", "top", "iris"])
@pytest.mark.parametrize("frames", [8, 14, 24])
def test_a_wipe_is_found_from_its_first_to_its_last_frame(way: np.ndarray, frames: int) -> None:
    ((first, last),) = found(film(lambda share: way <= share, frames))
    assert 34 <= first <= 41
    assert 40 + frames - 3 <= last <= 40 + frames + 8


def test_a_dissolve_and_a_cut_are_none() -> None:
    assert found(film(lambda share: np.full((9, 16), share), 14)) == []
    assert found(film(lambda share: np.full((9, 16), share >= 0.5), 14)) == []


def test_a_pan_and_somebody_who_passes_are_none() -> None:
    wide = np.random.default_rng(3).integers(20, 235, (9, 200, 3)).astype(np.uint8)
    assert found(np.stack([wide[:, at : at + 16] for at in range(100)])) == []
    still = np.repeat(picture(1)[None], 100, axis=0).astype(np.uint8)
    for at in range(20, 36):
        still[at + 20, :, at - 20 : at - 15] = 250
    assert found(still) == []


def test_the_pieces_that_a_film_comes_in_make_no_difference() -> None:
    whole = film(lambda share: FROM_LEFT <= share, 12)
    assert found(whole, 1) == found(whole, 50) == found(whole, 1000)


def test_a_wipe_divides_two_shots() -> None:
    finder = ShotFinder(ShotsConfig())
    whole = film(lambda share: FROM_LEFT <= share, 14)
    finder.feed(whole)
    kinds = [shot.kind for shot in finder.found(np.arange(len(whole)) / 25)]
    assert kinds == [ShotKind.SHOT, ShotKind.DISSOLVE, ShotKind.SHOT]
