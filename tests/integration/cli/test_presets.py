"""``--preset`` and ``watch.presets``: films get the stills of their purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from daemon.cli.main import typer_app
from daemon.config import preset
from daemon.config.schema import Config
from daemon.service.foreground import once
from tests import films
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]


def test_the_list_and_what_each_sets() -> None:
    listed = CliRunner().invoke(typer_app(["presets", "run"]), ["presets"])
    assert [line.split()[0] for line in listed.output.splitlines()] == preset.names()
    one = CliRunner().invoke(typer_app(["presets", "run"]), ["presets", "photogrammetry"])
    assert yaml.safe_load(one.output)["select"] == {"strategy": "even", "count": 300}


@pytest.mark.usefixtures("stub_scorer")
async def test_films_of_a_folder_get_its_preset_and_stay_as_they_are_when_asked_again(tmp_path: Path) -> None:
    config = Config.model_validate(
        {
            "watch": {"path": tmp_path / "in", "presets": {"scans": "photogrammetry"}},
            "output": {"path": tmp_path / "out", "format": "jpeg"},
            "database": {"path": tmp_path / "db.sqlite"},
            "select": {"strategy": "best", "count": 2, "min_gap_seconds": 0},
        }
    )
    (tmp_path / "in/scans").mkdir(parents=True)
    scan = films.make(tmp_path / "in/scans/walk.mp4", frames=20)
    usual = films.make(tmp_path / "in/day.mp4", frames=12)
    await once(config, [scan, usual])
    stills = {path.parent.name.rpartition("-")[0]: path for path in (tmp_path / "out").rglob("*.*g")}
    assert stills["walk"].suffix == ".png"
    assert stills["day"].suffix == ".jpg"
    walk = sorted(stills["walk"].parent.glob("*.png"))
    assert [path.name for path in walk] == [f"{at:04d}_walk.png" for at in range(1, len(walk) + 1)]
    seen = [films.read_still(path) for path in walk]
    assert seen == sorted(seen)
    before = walk[0].stat().st_mtime_ns
    await once(config, [scan])
    assert walk[0].stat().st_mtime_ns == before
