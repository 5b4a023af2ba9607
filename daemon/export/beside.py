"""Pictures beside the film, where media servers look for them: JPEG, small, without any path or place inside.

A file is ours when it says so: its XMP has ``beside`` with the film's fingerprint. Any other file of a name stays.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from daemon.config.name_template import fill
from daemon.export import metadata
from daemon.export.image_file import MOST_BYTES, open_image
from daemon.export.tags import Tags
from daemon.model import Still
from daemon.runtime.shared_folder import SharedFolder

LONGEST_PIXELS = 1920
QUALITY = 90


def wanted(templates: Sequence[str], stem: str, stills: Sequence[Still]) -> dict[str, Still]:
    """By name, the stills that lie beside a film: the best one by a template that has neither {n} nor {rank}."""
    in_time = sorted(stills, key=lambda still: still.frame)
    found: dict[str, Still] = {}
    for template in templates:
        each = "{n}" in template or "{rank}" in template
        for number, still in enumerate(in_time, 1):
            if each or still.rank == 1:
                found[fill(template, {"stem": stem, "n": str(number), "rank": str(still.rank)})] = still
    return found


def renew(film: Path, fingerprint: str, templates: Sequence[str], stills: Sequence[Still]) -> list[str]:
    """Have the pictures of these stills beside a film, and none of earlier ones; the names that others' files have.

    Raises OSError where the folder or a still does not let us.
    """
    made = wanted(templates, film.stem, stills)
    taken = []
    for name, still in made.items():
        target = film.with_name(name)
        if _exists(target) and not _is_ours(target, fingerprint):
            taken.append(name)
            continue
        picture = _picture(still, fingerprint)
        with SharedFolder.open(film.parent) as folder:
            folder.write(name, picture)
    for old in list(_ours(film, fingerprint, templates)):
        if old.name not in made:
            with SharedFolder.open(film.parent) as folder:
                folder.remove(old.name)
    return taken


def follow(film: Path, moved: Path | None, fingerprint: str, templates: Sequence[str]) -> None:
    """Take the pictures along to where a film lies now, or away with it. Raises OSError."""
    for picture in list(_ours(film, fingerprint, templates)):
        name = picture.name
        with SharedFolder.open(film.parent) as folder:
            if moved is not None:
                new = moved.stem + name.removeprefix(film.stem) if name.startswith(film.stem) else name
                if _exists(moved.with_name(new)):
                    continue
                with SharedFolder.open(moved.parent) as there:
                    there.write(new, folder.read(name, MOST_BYTES))
            folder.remove(name)


def _picture(still: Still, fingerprint: str) -> bytes:
    with open_image(still.path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((LONGEST_PIXELS, LONGEST_PIXELS), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    facts = {"beside": fingerprint, "frame": str(still.frame), "time_s": f"{still.time_s:.6f}"}
    return metadata.embed(file.getvalue(), facts, tags=Tags())


def _ours(film: Path, fingerprint: str, templates: Sequence[str]) -> Iterator[Path]:
    """Our pictures of a film that lie beside it, by whatever templates that begin with its name they were made."""
    shapes = [
        re.compile(re.sub(r"\\\{\w+\\\}", lambda part: re.escape(film.stem) if "stem" in part[0] else r"\d+", text))
        for text in map(re.escape, templates)
    ]
    for path in film.parent.glob("*.jpg"):
        named = path.name.startswith(film.stem) or any(shape.fullmatch(path.name) for shape in shapes)
        if named and _is_ours(path, fingerprint):
            yield path


def _is_ours(path: Path, fingerprint: str) -> bool:
    return path.is_file() and metadata.read_head(path).get("beside") == fingerprint


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()
