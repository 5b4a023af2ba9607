"""How near a film's pictures come to what other films gave: by the measure of the choice, whatever the number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st

from daemon.analysis.features import CELLS, SKETCH
from daemon.selection import across
from daemon.selection.across import Given, nearest


def pictures(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 40, (count, SKETCH)).astype(np.float32), rng.integers(0, 256, (count, CELLS)).astype(
        np.float32
    )


def given(sketches: np.ndarray, details: np.ndarray, *, detailed: bool = True) -> Given:
    count = len(sketches)
    return Given(
        np.arange(count), 7 * np.arange(count), sketches.astype(np.float16), details.astype(np.uint8),
        np.full(count, detailed),
    )  # fmt: skip


def test_a_picture_that_was_given_is_found_and_named() -> None:
    sketches, details = pictures(6)
    distance, place = nearest(sketches[3:4], details[3:4], given(sketches, details), 24.0)
    assert place.tolist() == [3]
    assert distance[0] < 0.1


def test_without_any_nothing_is_near() -> None:
    sketches, details = pictures(3)
    distance, place = nearest(sketches, details, given(sketches[:0], details[:0]), 24.0)
    assert np.isinf(distance).all()
    assert place.tolist() == [-1, -1, -1]


def test_slides_that_look_alike_from_afar_differ_by_their_lettering() -> None:
    sketches, details = pictures(1)
    other = np.clip(details + 60, 0, 255) if details.mean() < 128 else np.clip(details - 60, 0, 255)
    assert np.isinf(nearest(sketches, other, given(sketches, details), 24.0)[0][0])
    assert nearest(sketches, other, given(sketches, details, detailed=False), 24.0)[0][0] < 0.1
    assert nearest(sketches, None, given(sketches, details), 24.0)[0][0] < 0.1


@settings(max_examples=15)
@given_by(st.integers(1, 40), st.integers(1, 90), st.integers(0, 10**6))
def test_it_is_the_nearest_of_all_however_many_are_compared_at_once(some: int, others: int, seed: int) -> None:
    sketches, _ = pictures(some, seed)
    taken, details = pictures(others, seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(across, "ROWS", 7)
        distance, _ = nearest(sketches, None, given(taken, details), 24.0)
    kept = taken.astype(np.float16).astype(np.float32)
    plain = np.sqrt(((sketches[:, None] - kept) ** 2).mean(axis=2)).min(axis=1)
    np.testing.assert_allclose(distance, plain, atol=0.05)
    limit = float(np.median(plain)) + 1e-3
    near, place = nearest(sketches, None, given(taken, details), 24.0, limit)
    assert (np.isfinite(near) == (distance < limit)).all()
    assert (np.isfinite(near) == (place >= 0)).all()
