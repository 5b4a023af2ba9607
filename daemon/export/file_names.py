"""The names of stills and their folders: made here, parsed back here."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from daemon.config.name_template import fill

STEM_BYTES = 120
FOLDER = "{stem}-{fingerprint}"
UNDATED = "undated"
"""Stands for the date of a film that does not say when it was shot."""
_NAME = re.compile(
    r"(?P<stem>.+)_r(?P<rank>\d{2,})_f(?P<frame>\d{6,})_t(?P<time>-?\d{6,}\.\d{3})"
    r"_(?P<metric>[A-Za-z0-9+._-]+?)=?(?P<score>-?\d+\.\d{4})\.(?P<suffix>png|jpg)",
    re.DOTALL | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class StillName:
    """What a still's file name says. Time in seconds, to the millisecond; score to four places."""

    stem: str
    rank: int
    frame: int
    time_s: float
    metric: str
    score: float
    suffix: Literal["png", "jpg"]


def safe_stem(name: str) -> str:
    """A file's stem as part of every file system's names: letters, digits, ``-``, ``_`` and ``.``.

    Everything else becomes ``_``; never empty, never a leading dot or dash, at most 120 bytes of UTF-8.

    >>> safe_stem('-my "clip": 50%\\n')
    'my_clip_50'
    """
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in text)
    kept = re.sub(r"_{2,}", "_", kept)
    clipped = kept.encode("utf-8")[:STEM_BYTES].decode("utf-8", "ignore")
    return clipped.strip("._-") or "video"


def folder_name(stem: str, fingerprint: str, template: str = FOLDER, date: str = "") -> str:
    """The folder of one video's stills, ``<stem>-<first 8 of the fingerprint>`` unless there is another template.

    Without the stem in it, 16 digits of the fingerprint tell films apart. ``date`` is ISO 8601.
    """
    digits = 8 if "{stem}" in template else 16
    return fill(template, {"stem": safe_stem(stem), "fingerprint": fingerprint[:digits], "date": date[:10] or UNDATED})


def format_name(name: StillName) -> str:
    """The file name. A metric that ends in a digit is parted from the score by ``=``.

    >>> format_name(StillName("clip", 1, 431, 17.958, "niqe", 3.21471, "png"))
    'clip_r01_f000431_t000017.958_niqe3.2147.png'
    """
    sign = "-" if round(name.time_s, 3) < 0 else ""
    metric = re.sub(r"[^A-Za-z0-9+._-]", "_", name.metric)
    part = "=" if metric[-1].isdigit() or metric.endswith(("-", "=")) else ""
    return (
        f"{name.stem}_r{name.rank:02d}_f{name.frame:06d}_t{sign}{abs(name.time_s):010.3f}"
        f"_{metric}{part}{name.score:.4f}.{name.suffix}"
    )


def name_of(name: StillName, template: str, *, number: int, shot: int | None, fingerprint: str, date: str) -> str:
    """The file name by ``output.name``; ``number`` is the still's place in time, ``date`` is ISO 8601 or empty.

    Where there is a template, the facts in the picture say what its name may not.
    """
    if not template:
        return format_name(name)
    values = {
        "stem": name.stem,
        "rank": f"{name.rank:02d}",
        "n": f"{number:04d}",
        "frame": f"{name.frame:06d}",
        "time_ms": f"{round(name.time_s * 1000):09d}",
        "score": f"{name.score:.4f}",
        "shot": f"{shot or 0:03d}",
        "fingerprint": fingerprint[:8],
        "date": date[:10] or UNDATED,
    }
    return f"{fill(template, values)}.{name.suffix}"


def parse_name(text: str) -> StillName:
    """What ``format_name`` wrote. Raises ValueError for any other name.

    >>> parse_name("clip_r01_f000431_t000017.958_niqe3.2147.png").frame
    431
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not the name of a still")
    return StillName(
        stem=match["stem"],
        rank=int(match["rank"]),
        frame=int(match["frame"]),
        time_s=float(match["time"]),
        metric=match["metric"],
        score=float(match["score"]),
        suffix="png" if match["suffix"] == "png" else "jpg",
    )
