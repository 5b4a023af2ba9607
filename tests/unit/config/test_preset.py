"""Presets: each is valid, touches nothing but the choice and its files, and goes by the deepest folder that is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from daemon.config import preset, preset_over
from daemon.config.preset_over import for_film, with_preset
from daemon.config.schema import Config
from daemon.errors import ConfigError

NAMES = ["archive", "dataset", "overview", "photogrammetry", "poster", "review"]


def test_there_are_the_documented_ones() -> None:
    assert preset.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_sets_what_it_says_and_nothing_else(name: str) -> None:
    said = yaml.safe_load(preset.text(name))
    usual, made = Config().model_dump(), with_preset(Config(), name).model_dump()
    assert set(said) <= {"select", "output"}
    assert "path" not in said["output"]
    for section, values in usual.items():
        assert made[section] == {**values, **said.get(section, {})}
    assert preset.purpose(name).endswith(".")
    assert Config.model_validate(said).select == with_preset(Config(), name).select


def test_without_a_preset_nothing_changes() -> None:
    assert with_preset(Config(), None) == Config()


def test_a_preset_is_read_as_a_configuration_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preset_over, "text", lambda _: "select:\n  faces: off\n")
    assert with_preset(Config(), "review").select.faces == "off"


def test_an_unknown_preset_names_those_that_there_are() -> None:
    for name in ("posters", "../poster", ""):
        with pytest.raises(ConfigError, match="archive, dataset"):
            preset.text(name)


def test_a_film_goes_by_the_deepest_folder_that_is_named() -> None:
    config = Config.model_validate(
        {"watch": {"path": "/in", "presets": {"scans/": "photogrammetry", "scans/talks": "overview"}}}
    )
    strategies = {
        "/in/a.mp4": "representative",
        "/in/scans/a.mp4": "even",
        "/in/scans/house/a.mp4": "even",
        "/in/scans/talks/x/a.mp4": "representative",
        "/in/scansion/a.mp4": "representative",
        "/elsewhere/scans/a.mp4": "representative",
    }
    assert {film: for_film(config, Path(film)).select.strategy for film in strategies} == strategies
    assert for_film(config, Path("/in/scans/talks/a.mp4")).select.count == 12


@pytest.mark.parametrize(
    "presets", [{"scans": "nothing"}, {"/scans": "poster"}, {"../scans": "poster"}, {"": "poster"}]
)
def test_a_wrong_folder_or_name_stops_the_start(presets: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"watch": {"presets": presets}})
