"""The second opinion where it is left to the program: the best metric whose weights are here, and what one would gain."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.scoring import catalog, second_opinion
from daemon.scoring.metric_table import METRICS
from daemon.scoring.second_opinion import AUTO, second_metric, told


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if catalog.lacking():
        pytest.skip("the light install has no second metric")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)


def put(metric: str) -> None:
    """A file, or a repository, in each place where the metric's weights belong."""
    for name in METRICS[metric].weights:
        path = catalog.locate(name)
        path = path / "snapshots" / "1" / "weights" if name.startswith("hf:") else path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")


def test_without_weights_there_is_none_and_the_gain_is_said() -> None:
    assert second_metric(AUTO) == ""
    for setting in (AUTO, ""):
        assert "`stillwatch pull topiq_nr`" in told(setting)
        assert "0.93 and 0.81, niqe 0.38 and 0.45" in told(setting)


def test_the_better_one_that_is_here_is_taken() -> None:
    put("musiq")
    assert second_metric(AUTO) == "musiq"
    put("topiq_nr")
    assert second_metric(AUTO) == "topiq_nr"
    assert told(AUTO) == "topiq_nr scores the shortlist"
    assert "score.refine.metric: auto would use topiq_nr" in told("")


@pytest.mark.parametrize("name", ["", "piqe", "musiq"])
def test_what_was_named_stays(name: str) -> None:
    assert second_metric(name) == name


def test_the_light_install_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    put("topiq_nr")
    monkeypatch.setattr(catalog, "lacking", lambda: ("torch",))
    assert second_metric(AUTO) == ""
    assert "light install" in told(AUTO)
    assert second_opinion.usable() == ()
