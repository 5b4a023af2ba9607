"""The small files that cameras write beside a film: which film one belongs to, and which ones a film has.

Names are those of GoPro (GL014839.LRV beside GX014839.MP4), DJI (DJI_0001.LRF), Insta360 (LRV_... beside VID_...), Sony
(SUB/C0001S03.MP4 beside CLIP/C0001.MP4), and the thumbnails (.THM) of many others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_PROXY_ENDINGS = (".lrv", ".lrf", ".thm", ".glv")
_FILM_ENDINGS = (
    ".mp4",
    ".mov",
    ".m4v",
    ".360",
    ".insv",
    ".avi",
    ".mts",
    ".m2ts",
    ".mod",
    ".mpg",
    ".mkv",
    ".3gp",
    ".braw",
)
_GOPRO_PROXY = re.compile(r"GL(\d{6})", re.IGNORECASE)
_GOPRO_FILM = re.compile(r"G[XHS](\d{6})", re.IGNORECASE)
_GOPRO_LETTERS = "XHS"
_INSTA360 = re.compile(r"LRV_(\d{8}_\d{6})_\d\d_(\d{3})", re.IGNORECASE)
_SONY = re.compile(r"(.+)S\d\d", re.IGNORECASE)


def film_of(path: Path) -> Path | None:
    """The film that a camera's companion file belongs to; None for what is none, or stands alone.

    Looks at the disk for the names that the film may have; only for names that may be a companion's.
    """
    return next((film for film in _films(path) if film != path and _is_file(film)), None)


def companions_of(film: Path) -> list[Path]:
    """The companion files that are beside a film now."""
    stems = [film.stem]
    if number := _GOPRO_FILM.fullmatch(film.stem):
        stems.append(f"GL{number[1]}")
    names = (film.with_name(stem + ending) for stem in stems for one in _PROXY_ENDINGS for ending in (one.upper(), one))
    return [path for path in names if path != film and _is_file(path)]


def _is_file(path: Path) -> bool:
    """Also where a folder may not be searched, which Path.is_file raises for."""
    return os.path.isfile(path)  # noqa: PTH113


def _films(path: Path) -> Iterator[Path]:
    """The names that the film of a companion may have, the likeliest first."""
    stem, ending = path.stem, path.suffix.lower()
    if insta := _INSTA360.fullmatch(stem):
        for prefix in ("VID", "PRO_VID"):
            for lens in ("00", "10"):
                yield from _endings(path.with_name(f"{prefix}_{insta[1]}_{lens}_{insta[2]}.mp4"))
    elif ending in _PROXY_ENDINGS:
        if number := _GOPRO_PROXY.fullmatch(stem):
            for letter in _GOPRO_LETTERS:
                yield from _endings(path.with_name(f"G{letter}{number[1]}.mp4"))
        yield from _endings(path)
    elif path.parent.name.upper() == "SUB" and (clip := _SONY.fullmatch(stem)):
        yield path.parent.with_name("CLIP") / (clip[1] + path.suffix)


def _endings(path: Path) -> Iterator[Path]:
    for ending in _FILM_ENDINGS:
        yield path.with_suffix(ending.upper())
        yield path.with_suffix(ending)
