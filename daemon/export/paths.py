"""Where the stills of a video lie; every path of a still is made here.

::

    <output.path>/
      <stem>-<fingerprint8>/            the current selection
        <stem>_r01_f000431_….png
        manifest.json
        selections/
          17/                           an older one, by its id: of this video or of content that it replaced
            <stem>_r01_f000102_….png
            manifest.json
          0/                            stills that no selection is known of any more
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daemon.export.file_names import FOLDER, folder_name, parse_name, safe_stem
from daemon.export.metadata import read_head
from daemon.model import FileIdentity

MANIFEST = "manifest.json"
MANIFEST_BYTES = 16 * 1024 * 1024
"""More than any manifest has: a thousand stills need less than one MiB."""
SELECTIONS = "selections"
UNKNOWN = 0
"""Stands for a selection that is not known."""


@dataclass(frozen=True, slots=True)
class StillFolder:
    """The folder of one video's stills."""

    path: Path

    @classmethod
    def of(
        cls, output: Path, file: FileIdentity, alike: bool = False, template: str = FOLDER, date: str = ""
    ) -> StillFolder:
        """A video's folder below ``output``; ``alike``: another one of this name has the same fingerprint.

        ``date`` is when the film was shot, ISO 8601 or empty.
        """
        name = file.digest if alike and file.digest is not None else file.fingerprint
        return cls(output / folder_name(file.path.stem, name, template, date))

    @property
    def manifest(self) -> Path:
        """What the current selection says of itself."""
        return self.path / MANIFEST

    def still(self, name: str) -> Path:
        """A still of the current selection."""
        return self.path / name

    def apart(self, selection_id: int) -> Path:
        """The folder of an older selection."""
        return self.path / SELECTIONS / str(selection_id)


def is_apart(still: Path) -> bool:
    """Whether a still lies with an older selection."""
    return still.parent.parent.name == SELECTIONS and still.parent.name.isdecimal()


def is_still(path: Path) -> bool:
    """Whether a file is named as a still, or is a picture that says that it is one."""
    try:
        parse_name(path.name)
    except ValueError:
        return path.suffix in (".png", ".jpg") and _says_so(path)
    return True


def _says_so(path: Path) -> bool:
    try:
        return "hash" in read_head(path)
    except OSError:
        return False


def same_folder(one: Path, other: Path, template: str = FOLDER) -> bool:
    """Whether films of these paths have folders of the same name but for the fingerprint."""
    return "{stem}" not in template or safe_stem(one.stem) == safe_stem(other.stem)
