"""Older selections lie apart from the current one, so that a folder never holds two stills of one rank.

A still has its second name before the database says so, and loses its first one only afterwards: a kill in between
leaves every still where the database looks for it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.export.paths import MANIFEST, SELECTIONS, UNKNOWN, StillFolder, is_apart, is_still
from daemon.export.work_folder import remove_if_empty
from daemon.runtime.durable import make_synced_folder, sync


@dataclass(frozen=True, slots=True)
class OlderStill:
    """A still of an earlier selection, and where it lies."""

    selection_id: int
    rank: int
    path: Path


def set_apart(folder: StillFolder, output: Path, older: Sequence[OlderStill]) -> dict[tuple[int, int], Path]:
    """Give each still of older selections its name apart; returns the new paths by selection and rank.

    The old names stay until ``clear``. Stills outside of ``output`` and those that are gone are left out. Raises
    OSError.
    """
    moved: dict[tuple[int, int], Path] = {}
    places: dict[tuple[int, Path], list[Path]] = defaultdict(list)
    for still in older:
        target = folder.apart(still.selection_id) / still.path.name
        if target == still.path or not still.path.is_relative_to(output):
            continue
        if still.path.is_file():
            _link(still.path, target)
        if target.is_file():
            moved[still.selection_id, still.rank] = target
            places[still.selection_id, still.path.parent].append(still.path)
    for (selection_id, place), stills in places.items():
        manifest = place / MANIFEST
        if _describes(manifest, {path.name for path in stills}):
            _link(manifest, folder.apart(selection_id) / MANIFEST)
        sync(folder.apart(selection_id))
    return moved


def clear(folder: StillFolder, older: Sequence[OlderStill], new: Collection[str]) -> None:
    """Take away the first names of stills that lie apart now, where no file of ``new`` takes them. Raises OSError.

    A still that no selection is known of goes apart as well. Folders that are empty then are removed.
    """
    for still in older:
        target = folder.apart(still.selection_id) / still.path.name
        taken = still.path.parent == folder.path and still.path.name in new
        if target != still.path and target.is_file() and not taken:
            still.path.unlink(missing_ok=True)
    for unknown in folder.stills():
        if unknown.name not in new:
            _link(unknown, folder.apart(UNKNOWN) / unknown.name)
            unknown.unlink()
    for place in {still.path.parent for still in older} - {folder.path}:
        _remove_left(place)


def prune(folder: StillFolder, kept: Collection[int]) -> None:
    """Remove the older selections that are not kept. Files that are no stills of ours stay. Raises OSError."""
    for selection_id, place in folder.selections():
        if selection_id not in kept:
            for path in place.iterdir():
                if is_still(path) or path.name == MANIFEST:
                    path.unlink(missing_ok=True)
            remove_if_empty(place)
    remove_if_empty(folder.path / SELECTIONS)


def _remove_left(place: Path) -> None:
    """A folder that has lost its stills: its manifest goes with them, and the folder if nothing else is there."""
    if not place.is_dir() or any(is_still(path) for path in place.iterdir()):
        return
    (place / MANIFEST).unlink(missing_ok=True)
    remove_if_empty(place)
    if is_apart(place / MANIFEST):
        remove_if_empty(place.parent)
        remove_if_empty(place.parent.parent)
    else:
        remove_if_empty(place / SELECTIONS)
        remove_if_empty(place)


def _describes(manifest: Path, names: Collection[str]) -> bool:
    """Whether a manifest is the one of these stills: it may be another selection's."""
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        return {entry["file"] for entry in content["stills"]} == set(names)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _link(source: Path, target: Path) -> None:
    """A second name, or a copy where the file system has none or another one is meant."""
    make_synced_folder(target.parent)
    draft = target.with_name(f".{target.name}.new")
    with suppress(FileNotFoundError):
        draft.unlink()
    try:
        os.link(source, draft)
    except OSError:
        shutil.copy2(source, draft)
    draft.replace(target)
    # Of two names of one file the first is kept by the rename.
    with suppress(FileNotFoundError):
        draft.unlink()
