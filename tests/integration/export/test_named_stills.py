"""Stills under names of a template: found again by what is in the picture, set apart and proven like all others."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from daemon.cli import verify
from daemon.config.load import load
from daemon.config.schema import Config
from daemon.errors import ConfigError
from daemon.export import metadata
from daemon.pipeline.reselect import reselect
from daemon.service.foreground import once
from daemon.store.store import Store
from tests import films
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")


def config_of(tmp_path: Path, **output: str) -> Config:
    return Config.model_validate(
        {
            "output": {"path": tmp_path / "out", **output},
            "database": {"path": tmp_path / "db.sqlite"},
            "select": {"strategy": "best", "count": 3, "min_gap_seconds": 0},
        }
    )


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_names_count_in_time_and_the_facts_come_back_from_the_picture(tmp_path: Path) -> None:
    config = config_of(tmp_path, name="{n}_{date}_{rank}", folder="{date} {fingerprint}", format="jpeg")
    film = films.make(tmp_path / "-- ..%d{rank} ü\n.mp4", frames=12)
    await once(config, [film])
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name.startswith("undated ")
    stills = [path for path in sorted(folder.iterdir()) if path.suffix == ".jpg"]
    facts = [metadata.read(still) for still in stills]
    assert [still.name for still in stills] == [
        f"{at:04d}_undated_{int(said['rank']):02d}.jpg" for at, said in enumerate(facts, 1)
    ]
    frames = [int(said["frame"]) for said in facts]
    assert frames == sorted(frames)
    assert [films.read_still(still) for still in stills] == frames
    (folder / "manifest.json").unlink()
    assert all(verdict.proven for verdict in verify.verify(stills, config.decode))


async def test_stills_of_another_template_go_apart_and_foreign_pictures_stay(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=12)
    await once(config_of(tmp_path, name="{rank} {stem}"), [film])
    (folder,) = (tmp_path / "out").iterdir()
    assert visible(folder) == ["01 film.png", "02 film.png", "03 film.png", "manifest.json"]
    foreign = films.make(folder / "mine.png", frames=1, codec="png", container="image2", pix_fmt="rgb24")
    later = config_of(tmp_path, name="frame {frame}")
    later = later.model_copy(update={"select": later.select.model_copy(update={"count": 2})})
    store = await Store.open(later.database)
    try:
        await reselect(later, store, "1")
    finally:
        await store.close()
    names = visible(folder)
    assert len([name for name in names if name.startswith("frame ")]) == 2
    assert not [name for name in names if name.endswith(" film.png")]
    assert foreign.is_file()
    assert visible(folder / "selections" / "1") == ["01 film.png", "02 film.png", "03 film.png", "manifest.json"]


@pytest.mark.parametrize("output", [{"name": "{stem}"}, {"folder": "{stem}"}, {"name": "../{rank}"}])
def test_a_wrong_template_stops_the_start(tmp_path: Path, output: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        config_of(tmp_path, **output)
    (key, value) = next(iter(output.items()))
    file = tmp_path / "config.yaml"
    file.write_text(f"output:\n  {key}: '{value}'\n")
    with pytest.raises(ConfigError, match=rf"output\.{key}"):
        load(file)
