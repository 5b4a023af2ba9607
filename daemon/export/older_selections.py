"""Older selections lie apart from the current one, so that a folder never holds two stills of one rank.

A still has its second name before the database says so, and loses its first one only afterwards: a kill in between
leaves every still where the database looks for it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.export.paths import MANIFEST, MANIFEST_BYTES, SELECTIONS, UNKNOWN, StillFolder, is_apart, is_still
from daemon.runtime.shared_folder import SharedFolder


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
    with _Below.open(output) as below:
        for still in older:
            target = folder.apart(still.selection_id) / still.path.name
            if target == still.path or not still.path.is_relative_to(output):
                continue
            if below.is_file(still.path):
                below.link(still.path, target)
            if below.is_file(target):
                moved[still.selection_id, still.rank] = target
                places[still.selection_id, still.path.parent].append(still.path)
        for (selection_id, place), stills in places.items():
            if below.describes(place / MANIFEST, {path.name for path in stills}):
                below.link(place / MANIFEST, folder.apart(selection_id) / MANIFEST)
            with below.folder(folder.apart(selection_id)) as apart:
                apart.sync()
    return moved


def clear(folder: StillFolder, output: Path, older: Sequence[OlderStill], new: Collection[str]) -> None:
    """Take away the first names of stills that lie apart now, where no file of ``new`` takes them. Raises OSError.

    A still that no selection is known of goes apart as well. Folders that are empty then are removed.
    """
    with _Below.open(output) as below:
        for still in older:
            target = folder.apart(still.selection_id) / still.path.name
            taken = still.path.parent == folder.path and still.path.name in new
            if target != still.path and below.is_file(target) and not taken:
                below.remove(still.path)
        for unknown in below.stills(folder.path):
            if unknown.name not in new:
                below.link(unknown, folder.apart(UNKNOWN) / unknown.name)
                below.remove(unknown)
        for place in {still.path.parent for still in older} - {folder.path}:
            _remove_left(below, place)


def prune(folder: StillFolder, output: Path, kept: Collection[int]) -> None:
    """Remove the older selections that are not kept. Files that are no stills of ours stay. Raises OSError."""
    with _Below.open(output) as below:
        for name in below.names(folder.path / SELECTIONS):
            place = folder.path / SELECTIONS / name
            if name.isascii() and name.isdecimal() and int(name) not in kept and below.is_folder(place):
                for path in [*below.stills(place), place / MANIFEST]:
                    below.remove(path)
                below.remove_if_empty(place)
        below.remove_if_empty(folder.path / SELECTIONS)


def _remove_left(below: _Below, place: Path) -> None:
    """A folder that has lost its stills: its manifest goes with them, and the folder if nothing else is there."""
    if not below.is_folder(place) or below.stills(place):
        return
    below.remove(place / MANIFEST)
    below.remove_if_empty(place)
    if is_apart(place / MANIFEST):
        below.remove_if_empty(place.parent)
        below.remove_if_empty(place.parent.parent)
    else:
        below.remove_if_empty(place / SELECTIONS)
        below.remove_if_empty(place)


class _Below:
    """What lies below the output folder, by whole paths. No link below it is followed; other paths are left alone."""

    def __init__(self, top: SharedFolder) -> None:
        self._top = top

    @classmethod
    @contextmanager
    def open(cls, output: Path) -> Iterator[_Below]:
        with SharedFolder.open(output, make=True) as top:
            yield cls(top)

    @contextmanager
    def folder(self, path: Path, *, make: bool = False) -> Iterator[SharedFolder]:
        with self._top.below(path.relative_to(self._top.path), make=make) as folder:
            yield folder

    def names(self, folder: Path) -> list[str]:
        """Nothing for what is no folder below the output."""
        with suppress(OSError, ValueError), self.folder(folder) as opened:
            return opened.names()
        return []

    def stills(self, folder: Path) -> list[Path]:
        """The files and links of a folder that are named as stills."""
        return [folder / name for name in self.names(folder) if is_still(folder / name)]

    def is_folder(self, path: Path) -> bool:
        with suppress(OSError, ValueError), self.folder(path):
            return True
        return False

    def is_file(self, path: Path) -> bool:
        with suppress(OSError, ValueError), self.folder(path.parent) as folder:
            return folder.is_file(path.name)
        return False

    def describes(self, manifest: Path, names: Collection[str]) -> bool:
        """Whether a manifest is the one of these stills: it may be another selection's."""
        try:
            with self.folder(manifest.parent) as folder:
                content = json.loads(folder.read(manifest.name, MANIFEST_BYTES))
            return {entry["file"] for entry in content["stills"]} == set(names)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False

    def link(self, source: Path, target: Path) -> None:
        """A second name, or a copy where the file system has none; a link at ``source`` is none of ours and stays."""
        with self.folder(source.parent) as old, self.folder(target.parent, make=True) as new:
            if old.is_file(source.name):
                old.link(source.name, new, target.name)

    def remove(self, path: Path) -> None:
        with suppress(FileNotFoundError, ValueError), self.folder(path.parent) as folder:
            folder.remove(path.name)

    def remove_if_empty(self, path: Path) -> None:
        with suppress(OSError, ValueError), self.folder(path.parent) as folder:
            folder.remove_if_empty(path.name)
