"""Which paths below the watch folder are looked at or taken, by their names alone."""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from pathlib import Path

from daemon.config.watch import WatchConfig
from daemon.inbox.left_alone import listed_endings


class PathFilter:
    """Which paths below the watch folder are looked at or taken, by their names; never touches the disk."""

    def __init__(self, config: WatchConfig) -> None:
        self._folder = config.path
        self._recursive = config.recursive
        self._endings = listed_endings(config)
        patterns = (fnmatch.translate(unicodedata.normalize("NFC", name)) for name in config.exclude)
        self._excluded = re.compile("|".join(patterns) or r"\Z.")

    def excludes_name(self, name: str) -> bool:
        """Whether a file or folder of that name is left alone."""
        # Accents come as one character or as two, by the system that wrote the name.
        name = name if name.isascii() else unicodedata.normalize("NFC", name)
        return self._excluded.match(name) is not None

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
