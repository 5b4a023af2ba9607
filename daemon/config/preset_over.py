"""A configuration with a preset over it: one that was asked for, or the one of a film's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daemon.config.load import changed, from_yaml
from daemon.config.preset import text
from daemon.config.schema import Config


def with_preset(config: Config, name: str | None) -> Config:
    """The configuration with a preset over it; None: as it is. Raises ConfigError for one that is not there."""
    if name is None:
        return config
    sections: dict[str, dict[str, Any]] = from_yaml(text(name))
    for section, values in sections.items():
        config = changed(config, section, values)
    return config


def for_film(config: Config, film: Path) -> Config:
    """The configuration with the preset of the deepest folder of ``watch.presets`` that a film lies in."""
    if not config.watch.presets or not film.is_relative_to(config.watch.path):
        return config
    folder = film.relative_to(config.watch.path).parent
    for place in (folder, *folder.parents):
        if (name := config.watch.presets.get(str(place))) is not None:
            return with_preset(config, name)
    return config
