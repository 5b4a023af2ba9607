"""Faces: the arithmetic around the networks, where their weights come from, and what is said where they are missing."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.cli.pull import pull
from daemon.errors import Kind, ScorerError
from daemon.scoring.faces import detect, landmarks, weights
from daemon.scoring.faces.sampling import letterbox, turned

find_spec = importlib.util.find_spec


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name in ABSENT else find_spec(name))


ABSENT = {weights.RUNTIME, *(file.package for file in weights.FILES)}


class TestWeights:
    def refusal(self, call: Any) -> str:
        with pytest.raises(ScorerError) as caught:
            call()
        assert caught.value.kind is Kind.WEIGHTS
        return caught.value.sentence

    def test_without_the_extra_the_fix_is_to_install_it(self) -> None:
        assert not weights.available()
        assert "pip install '.[faces]'" in self.refusal(weights.require)

    def test_without_weights_the_fix_is_to_pull_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: object() if name == weights.RUNTIME else None)
        assert "`stillwatch pull faces`" in weights.state()
        assert weights.LANDMARKER.name in weights.state()

    def test_a_file_with_another_content_is_not_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        weights.folder().mkdir(parents=True)
        (weights.folder() / weights.DETECTOR.name).write_bytes(b"something else")
        assert weights.find(weights.DETECTOR) is None
        monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"a page of a proxy"))
        assert "another content than it should" in self.refusal(lambda: pull("faces"))
        assert [path.name for path in weights.folder().iterdir()] == [weights.DETECTOR.name]

    def test_what_is_fetched_is_kept_and_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []

        def answer(url: str, **_: Any) -> io.BytesIO:
            asked.append(url)
            return io.BytesIO(url.encode())

        files = [
            weights.File(
                f"{n}.bin",
                f"https://example/{n}",
                hashlib.sha256(f"https://example/{n}".encode()).hexdigest(),
                "no",
                "x",
            )
            for n in range(2)
        ]
        monkeypatch.setattr(weights, "FILES", files)
        monkeypatch.setattr(urllib.request, "urlopen", answer)
        told = pull("faces")
        assert "are here now" in told
        assert "pip install '.[faces]'" in told
        assert asked == ["https://example/0", "https://example/1"]
        assert "were here already" in pull("faces")
        assert len(asked) == 2

    def test_a_package_that_carries_the_file_is_enough(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        package = tmp_path / "carrier"
        (package / "data").mkdir(parents=True)
        (package / "data" / "net").write_bytes(b"net")
        spec = SimpleNamespace(submodule_search_locations=[str(package)])
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: spec if name == "carrier" else None)
        file = weights.File("net", "https://example", hashlib.sha256(b"net").hexdigest(), "carrier", "data/net")
        assert weights.find(file) == package / "data" / "net"

    def test_without_network_the_ways_out_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise urllib.error.URLError("no network")

        monkeypatch.setattr(urllib.request, "urlopen", refuse)
        sentence = self.refusal(lambda: pull("faces"))
        assert str(weights.folder()) in sentence
        assert weights.PACKAGES in sentence

    def test_nothing_of_it_is_imported_before_it_is_needed(self) -> None:
        code = "import sys, daemon.pipeline.select_frames; print('ai_edge_litert' in sys.modules)"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert found.stdout.strip() == "False"


class TestSampling:
    def test_a_letterbox_holds_all_of_the_picture(self) -> None:
        picture = np.full((108, 192, 3), 90, np.uint8)
        square, scale, corner = letterbox(picture, 96)
        assert square.shape == (96, 96, 3)
        assert scale == 0.5
        assert corner == (0.0, 21.0)
        assert set(np.unique(square)) == {0.0, 90.0}
        assert (square[21:75] == 90).all()

    @settings(max_examples=25)
    @given(st.floats(-3.1, 3.1), st.floats(30, 90))
    def test_a_turned_square_is_seen_from_its_own_side(self, angle: float, size: float) -> None:
        rows, columns = np.mgrid[0:200, 0:200]
        picture = np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)
        part = turned(picture, np.array([100.0, 100.0]), size, angle, 32)
        # A point of the square, back in the picture, has the colours of its place.
        points = landmarks.in_picture(np.array([[40.0, 200.0, 0.0]], np.float32), np.array([100.0, 100.0]), size, angle)
        found = part[int(200 / 8), int(40 / 8)]
        np.testing.assert_allclose(found[:2], points[0, :2] - 0.5, atol=size / 16 + 1)

    def test_beyond_the_edge_it_is_black(self) -> None:
        part = turned(np.full((50, 50, 3), 200, np.uint8), np.array([0.0, 25.0]), 20, 0.0, 16)
        assert (part[:, :7] == 0).all()
        assert (part[:, 9:] == 200).all()


class TestDetector:
    def test_a_box_comes_back_where_its_anchor_is_and_overlaps_are_left_out(self) -> None:
        raw, scores = np.zeros((2304, 16), np.float32), np.full(2304, -20, np.float32)
        place = 20 * 48 + 10
        for at, score in ((place, 3.0), (place + 1, 2.0), (5, 2.5)):
            scores[at] = score
            raw[at, 2:4] = 24
            raw[at, 4:8] = [-5, -4, 5, -4]
        found = detect.boxes(raw, scores, 0.5, (0.0, 42.0))
        assert len(found) == 2
        first = found[0]
        assert (first.x, first.y) == (2 * 42.0, 2 * (82.0 - 42))
        assert (first.width, first.height) == (48.0, 48.0)
        assert first.eyes.tolist() == [[2 * 37.0, 2 * 36.0], [2 * 47.0, 2 * 36.0]]
        assert found[0].score > found[1].score > detect.LEAST_SCORE


class TestLandmarks:
    def mesh(self, yaw: float, roll: float = 0.0) -> np.ndarray:
        """Points of a ball-like face that is turned by ``yaw`` and ``roll``."""
        points = np.random.default_rng(1).normal(0, 10, (478, 3))
        points[[*landmarks.CHEEKS, landmarks.FOREHEAD, landmarks.CHIN]] = [
            [-50, 0, 0],
            [50, 0, 0],
            [0, -60, 0],
            [0, 60, 0],
        ]
        points[[landmarks.RIGHT_EYE[0], landmarks.LEFT_EYE[0]]] = [[-30, -10, 0], [30, -10, 0]]
        around = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        level = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        return points @ around.T @ level.T + [200, 150, 0]

    @pytest.mark.parametrize("yaw", [0.0, 0.5, 1.0, 1.4])
    def test_facing_is_the_cosine_of_the_turn_however_the_head_is_tilted(self, yaw: float) -> None:
        for roll in (0.0, 0.7):
            assert landmarks.facing(self.mesh(yaw, roll)) == pytest.approx(np.cos(yaw), abs=1e-6)

    def test_the_square_around_a_tilted_face_is_tilted_with_it(self) -> None:
        _, size, angle = landmarks.around(self.mesh(0.0, 0.4))
        assert angle == pytest.approx(0.4, abs=1e-6)
        assert size == pytest.approx(120 * landmarks.AROUND, rel=0.05)

    def test_the_blend_shapes_take_their_points(self) -> None:
        assert landmarks.blend_input(self.mesh(0.0)).shape == (1, 146, 2)
        assert len(set(landmarks.BLEND_POINTS.tolist())) == 146
