"""What is known of a film as text: how it is stored, and how it passes from one process to another."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from daemon.model import Colour, Crop, Origin, StreamInfo, Stretch, VideoInfo


def info_json(info: VideoInfo) -> str:
    """A probe's findings as they are stored; the path is a column of its own."""
    values = _values(info)
    if info.stretches:
        # A stretch is what is different in it.
        whole = _values(replace(info, size_note="", best=None))
        values["stretches"] = [
            {"first": stretch.first, **{key: new for key, new in _values(stretch.info).items() if new != whole[key]}}
            for stretch in info.stretches
        ]
    return json.dumps(values, default=str, sort_keys=True)


def _values(info: VideoInfo) -> dict[str, Any]:
    values = asdict(replace(info, stretches=()))
    del values["path"]
    return values


def info_of(text: str | None, path: Path) -> VideoInfo | None:
    """What ``info_json`` stored."""
    if text is None:
        return None
    values: dict[str, Any] = json.loads(text)
    stretches = values.pop("stretches", [])
    info = _info(values, path)
    whole = {**values, "size_note": "", "best": None}
    found = [Stretch(changes.pop("first"), _info({**whole, **changes}, path)) for changes in stretches]
    return replace(info, stretches=tuple(found))


def _info(stored: dict[str, Any], path: Path) -> VideoInfo:
    values = dict(stored)
    values["best"] = tuple(values["best"]) if values.get("best") else None
    values["colour"] = Colour(**values["colour"])
    values["crop"] = Crop(**values.get("crop", {}))
    values["origin"] = Origin(**values.get("origin", {}))
    values["streams"] = tuple(
        StreamInfo(**{**stream, "disposition": tuple(stream["disposition"])}) for stream in values.get("streams", [])
    )
    for key in ("time_base", "frame_rate", "sample_aspect"):
        values[key] = None if values[key] is None else Fraction(values[key])
    return VideoInfo(path=path, **values)
