"""Cuts are those of PySceneDetect's AdaptiveDetector, which looks at one frame after the other."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from daemon.analysis import cuts


@pytest.fixture(scope="module")
def reference() -> Callable[[NDArray[np.uint8]], tuple[list[int], list[float]]]:
    """PySceneDetect's cuts and changes of a film, RGB."""
    call = subprocess.call
    try:
        # It runs ffmpeg when it is imported, only to see whether there is one.
        subprocess.call = lambda *_, **__: 1  # type: ignore[assignment]
        # It needs OpenCV, which may be a build that needs the libraries of a screen.
        pytest.importorskip(
            "cv2", reason="PySceneDetect needs OpenCV, which cannot be imported here", exc_type=ImportError
        )
        from scenedetect.common import FrameTimecode
        from scenedetect.detectors import AdaptiveDetector
    finally:
        subprocess.call = call

    def run(film: NDArray[np.uint8]) -> tuple[list[int], list[float]]:
        detector: Any = AdaptiveDetector(adaptive_threshold=3.0, min_content_val=12.0, min_scene_len=1)
        found, changes = [], []
        for number, picture in enumerate(np.ascontiguousarray(film[..., ::-1])):
            found += [int(cut.frame_num) for cut in detector.process_frame(FrameTimecode(number, fps=25.0), picture)]
            changes.append(detector._frame_score)
        return found, changes

    return run


def ours(film: NDArray[np.uint8], piece: int) -> tuple[list[int], NDArray[np.float64]]:
    changes = cuts.Changes()
    parts = [changes.feed(film[start : start + piece]) for start in range(0, len(film), piece)]
    whole = np.concatenate(parts) if parts else np.zeros(0)
    return cuts.stand_out(whole, adaptive_threshold=3.0, min_content=12.0).tolist(), whole


def film_of(seed: int, frames: int, looks: int, noise: float, shortest: int) -> NDArray[np.uint8]:
    """Views that change now and then, with movement, still stretches and steps in exposure."""
    rng = np.random.default_rng(seed)
    views = rng.integers(0, 256, (looks, 9, 16, 3)).astype(float)
    length = shortest + rng.integers(0, 9, frames + 1)
    which = np.repeat(np.arange(frames + 1), length)[:frames] % looks
    film = views[which] * rng.uniform(0.4, 1.0, (frames, 1, 1, 1)) ** (rng.random((frames, 1, 1, 1)) < 0.1)
    return np.clip(film + rng.normal(0, noise, film.shape), 0, 255).astype(np.uint8)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    frames=st.integers(0, 120),
    looks=st.integers(1, 6),
    noise=st.sampled_from([0.0, 2.0, 30.0]),
    shortest=st.integers(1, 20),
    piece=st.integers(1, 50),
)
def test_cuts_and_changes_are_the_references(
    reference: Callable[[NDArray[np.uint8]], tuple[list[int], list[float]]],
    seed: int,
    frames: int,
    looks: int,
    noise: float,
    shortest: int,
    piece: int,
) -> None:
    film = film_of(seed, frames, looks, noise, shortest)
    found, changes = reference(film)
    own, own_changes = ours(film, piece)
    assert own == found
    assert own_changes.tolist() == changes


def test_there_is_something_to_find(
    reference: Callable[[NDArray[np.uint8]], tuple[list[int], list[float]]],
) -> None:
    assert len(reference(film_of(3, 200, 5, 2.0, 10))[0]) > 5
