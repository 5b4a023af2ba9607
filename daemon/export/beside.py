"""Pictures beside the film, where media servers look for them: JPEG, small, without any path or place inside.

A file is ours when it says so: its XMP has ``beside`` with the film's fingerprint. Any other file of a name stays.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image

from daemon.config.name_template import fill
from daemon.export import metadata
from daemon.export.image_file import MOST_BYTES, image_in
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


def renew(
    film: Path, fingerprint: str, templates: Sequence[str], stills: Sequence[Still], within: Path | None = None
) -> list[str]:
    """Have the pictures of these stills beside a film, and none of earlier ones; the names that others' files have.

    ``within``: the folder that the film's has to lie in, links resolved. Raises OSError where it does not, where the
    folder does not let us, and where a still is not the one that was published.
    """
    made = wanted(templates, film.stem, stills)
    with _folder_of(film, within) as folder:
        taken = [name for name in made if folder.look(name) is not None and not _is_ours(folder, name, fingerprint)]
        for name, still in made.items():
            if name not in taken:
                folder.write(name, _picture(still, fingerprint))
        for old in _ours(folder, film, fingerprint, templates):
            if old not in made:
                folder.remove(old)
    return taken


def follow(
    film: Path,
    moved: Path | None,
    fingerprint: str,
    templates: Sequence[str],
    within: Path | None = None,
    archive: Path | None = None,
) -> None:
    """Take the pictures along to where a film lies now, or away with it.

    ``within`` and ``archive`` are the folders that its old and its new one have to lie in. Raises OSError.
    """
    if not film.parent.is_dir():
        return
    with ExitStack() as stack:
        folder = stack.enter_context(_folder_of(film, within))
        there = None if moved is None else stack.enter_context(_folder_of(moved, archive))
        for name in _ours(folder, film, fingerprint, templates):
            if moved is not None and there is not None:
                new = moved.stem + name.removeprefix(film.stem) if name.startswith(film.stem) else name
                if there.look(new) is not None:
                    continue
                there.write(new, folder.read(name, MOST_BYTES))
            folder.remove(name)


@contextmanager
def _folder_of(film: Path, within: Path | None) -> Iterator[SharedFolder]:
    """Where the handle is counts, not where the name leads by now."""
    with SharedFolder.open(film.parent) as folder:
        if within is not None and not folder.held.readlink().is_relative_to(os.path.realpath(within)):
            raise OSError(errno.ELOOP, f"leads out of {within}", str(film.parent))
        yield folder


def _picture(still: Still, fingerprint: str) -> bytes:
    with SharedFolder.open(still.path.parent) as folder:
        content = folder.read(still.path.name, MOST_BYTES)
    if hashlib.sha256(content).hexdigest() != still.sha256:
        raise OSError(errno.ESTALE, f"{still.path.name} is not the still that was published")
    with image_in(content, still.path.name) as opened:
        image = opened.convert("RGB")
    image.thumbnail((LONGEST_PIXELS, LONGEST_PIXELS), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    facts = {"beside": fingerprint, "frame": str(still.frame), "time_s": f"{still.time_s:.6f}"}
    return metadata.embed(file.getvalue(), facts, tags=Tags())


def _ours(folder: SharedFolder, film: Path, fingerprint: str, templates: Sequence[str]) -> list[str]:
    """Our pictures of a film beside it, by whatever templates that begin with its name they were made."""
    shapes = [
        re.compile(re.sub(r"\\\{\w+\\\}", lambda part: re.escape(film.stem) if "stem" in part[0] else r"\d+", text))
        for text in map(re.escape, templates)
    ]
    return [
        name
        for name in folder.names()
        if name.endswith(".jpg")
        and (name.startswith(film.stem) or any(shape.fullmatch(name) for shape in shapes))
        and _is_ours(folder, name, fingerprint)
    ]


def _is_ours(folder: SharedFolder, name: str, fingerprint: str) -> bool:
    """A link is none of ours, wherever it leads, nor is what cannot be read."""
    try:
        return folder.is_file(name) and metadata.read_head(folder.held / name).get("beside") == fingerprint
    except OSError:
        return False
