"""Which paths below the watch folder are looked at or taken, by their names alone."""

from __future__ import annotations

import fnmatch
import glob
import re
import unicodedata
from pathlib import Path

from daemon.config.watch import WatchConfig
from daemon.inbox.left_alone import listed_endings

_ENDING = re.compile(r"\*[^*?\[\]]+")


class PathFilter:
    """Which paths below the watch folder are looked at or taken, by their names; never touches the disk."""

    def __init__(self, config: WatchConfig) -> None:
        self._folder = config.path
        self._recursive = config.recursive
        self._endings = listed_endings(config)
        names = [unicodedata.normalize("NFC", name) for name in (*config.exclude, *_marker_names(config))]
        # Most patterns are an ending, which is much quicker to compare.
        self._excluded_endings = tuple(name[1:] for name in names if _ENDING.fullmatch(name))
        others = (fnmatch.translate(name) for name in names if not _ENDING.fullmatch(name))
        self._excluded = re.compile("|".join(others) or r"\Z.")

    def excludes_name(self, name: str) -> bool:
        """Whether a file or folder of that name is left alone."""
        # Accents come as one character or as two, by the system that wrote the name.
        name = name if name.isascii() else unicodedata.normalize("NFC", name)
        return name.endswith(self._excluded_endings) or self._excluded.match(name) is not None

    def lists_ending(self, name: str) -> bool:
        """Whether a name ends like a video's by ``watch.extensions``."""
        return name.lower().endswith(self._endings)

    def reaches(self, path: Path) -> bool:
        """Whether a path is looked at: below the folder, no part of it excluded."""
        parts = self._parts(path)
        if not parts or (len(parts) > 1 and not self._recursive):
            return False
        return not any(map(self.excludes_name, parts))

    def descends(self, path: Path) -> bool:
        """Whether the content of a folder is looked at; true for the watch folder itself."""
        parts = self._parts(path)
        if parts is None or (parts and not self._recursive):
            return False
        return not any(map(self.excludes_name, parts))

    def _parts(self, path: Path) -> tuple[str, ...] | None:
        """The components below the watch folder, None for a path that is not below it."""
        if not path.is_relative_to(self._folder):
            return None
        parts = path.relative_to(self._folder).parts
        return None if ".." in parts else parts


def _marker_names(config: WatchConfig) -> list[str]:
    """The pattern of the markers that say that a video is finished: they are no videos themselves."""
    if config.ready != "marker":
        return []
    return [glob.escape(config.marker).replace("{name}", "*").replace("{stem}", "*")]
