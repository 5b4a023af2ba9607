"""The pure parts of a video's way: the parameters of a selection, speed and progress."""

from __future__ import annotations

import pytest

from daemon.config.schema import Config
from daemon.config.selection import GatesConfig, SelectConfig, ShotsConfig
from daemon.events import Progress
from daemon.pipeline.score_video import _Meter
from daemon.pipeline.select_frames import selection_params
from daemon.scoring.faces import weights
from tests.clock import Clock, clock

__all__ = ["clock"]


# The parameters of a selection


def test_a_selections_parameters_are_the_settings_and_the_scorer() -> None:
    chosen = Config(select=SelectConfig(strategy="best", count=3, min_gap_seconds=2.5))
    params = selection_params(chosen, "niqe pyiqa-0.1.16")
    assert (params["count"], params["min_gap_seconds"], params["scorer"]) == (3, 2.5, "niqe pyiqa-0.1.16")


@pytest.mark.parametrize("faces", [set(), {"faces"}], ids=["without the extra", "with it"])
def test_every_setting_that_decides_a_selection_is_among_its_parameters(
    monkeypatch: pytest.MonkeyPatch, faces: set[str]
) -> None:
    monkeypatch.setattr(weights, "available", lambda: bool(faces))
    monkeypatch.setattr(weights, "identity", lambda: "networks|1")
    params = selection_params(Config(), None)
    assert set(params) == {*SelectConfig.model_fields, "judged", "scorer"} - {"across", "faces"} | faces
    assert "across" in selection_params(Config(select=SelectConfig(across=True)), None)
    assert set(params["judged"]["gates"]) == set(GatesConfig.model_fields)
    assert set(params["judged"]["shots"]) == set(ShotsConfig.model_fields)


# Speed and progress


def test_speed_is_frames_by_seconds(clock: Clock) -> None:
    meter = _Meter(5.0, clock)
    clock.now += 2.0
    assert meter.fps(10) == 5.0
    clock.now += 2.0
    assert meter.fps(30) == 10.0


def test_speed_is_nothing_before_any_time_has_passed(clock: Clock) -> None:
    assert _Meter(5.0, clock).fps(10) == 0.0


def test_speed_follows_a_change_within_a_minute_or_two(clock: Clock) -> None:
    meter = _Meter(5.0, clock)
    for _ in range(600):
        clock.now += 1.0
        assert meter.fps(100) == pytest.approx(100.0, rel=0.1)
    rate = 100.0
    for _ in range(120):
        clock.now += 1.0
        rate = meter.fps(10)
    assert rate == pytest.approx(10.0, rel=0.5)


def test_progress_is_told_once_per_interval(clock: Clock) -> None:
    meter = _Meter(5.0, clock)
    told = []
    for _ in range(12):
        clock.now += 1.0
        told.append(meter.due())
    assert [second for second, due in enumerate(told, start=1) if due] == [5, 10]


@pytest.mark.parametrize(
    ("frame", "total", "fps", "eta"),
    [(50, 100, 10.0, 5.0), (100, 100, 10.0, 0.0), (120, 100, 10.0, 0.0), (50, 0, 10.0, None), (50, 100, 0.0, None)],
)
def test_the_time_to_go_is_known_when_the_total_and_the_speed_are(
    frame: int, total: int, fps: float, eta: float | None
) -> None:
    progress = Progress(video_id=1, video="/in/a.mp4", frame=frame, frames_total=total, fps=fps, queue_bytes=0, batch=1)
    assert progress.eta_s == eta
