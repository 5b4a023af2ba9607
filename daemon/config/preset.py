"""Presets: settings for one purpose, each a short YAML file beside this module that can be copied as it is.

A preset sets keys of ``select`` and ``output`` and wins over the configuration; options of a command win over it.
"""

from __future__ import annotations

from pathlib import Path, PurePath

from daemon.errors import ConfigError

_FOLDER = Path(__file__).parent / "presets"


def names() -> list[str]:
    """The presets that there are."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def text(name: str) -> str:
    """A preset as YAML. Raises ConfigError for one that is not there."""
    if name not in names():
        raise ConfigError(f"{name!r} is no preset: there are {', '.join(names())}")
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def purpose(name: str) -> str:
    """What a preset is for, in a sentence."""
    return text(name).partition("\n")[0].removeprefix("# ")


def checked(presets: dict[str, str]) -> dict[str, str]:
    """``watch.presets`` with its folders written in one way. Raises ValueError with the reason."""
    found = {}
    for folder, name in presets.items():
        place = PurePath(folder)
        if place.is_absolute() or ".." in place.parts or not folder:
            raise ValueError(f"{folder!r} has to be a folder below watch.path, such as scans")
        if name not in names():
            raise ValueError(f"{name!r} is no preset: there are {', '.join(names())}")
        found[str(place)] = name
    return found
