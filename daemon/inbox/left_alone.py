"""Files in the watch folder that are not taken: remembered by name, and said once, with the key that decides."""

from __future__ import annotations

import fnmatch
import re
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from daemon.config.watch import VIDEO_EXTENSIONS, WatchConfig
from daemon.errors import VideoError
from daemon.events import NAMES_SAID, FileLeftAlone, FilesLeftAlone, Listener, ignore
from daemon.inbox import content
from daemon.inbox.companions import film_of
from daemon.inbox.identity import refuse_outside
from daemon.logs.setup import get

log = get("watch")


@dataclass(frozen=True, slots=True)
class _Left:
    size_bytes: int
    mtime_ns: int
    reason: str
    key: str
    again: bool = False
    """It may become a video without a new name: a later listing looks again."""


class LeftAlone:
    """Judges each name once and remembers those that are not taken.

    ``knows`` may be called on any thread, the others belong to one at a time.
    """

    def __init__(self, config: WatchConfig, listener: Listener = ignore) -> None:
        self._config = config
        self._listener = listener
        self._left: dict[str, _Left] = {}
        self._seen: set[str] = set()
        self._new: list[str] = []
        self._endings = listed_endings(config)
        self._in_progress = re.compile("|".join(map(fnmatch.translate, config.in_progress)) or r"\Z.", re.IGNORECASE)
        self._probes = config.other_endings == "probe" or (
            config.other_endings == "auto" and list(config.extensions) == VIDEO_EXTENSIONS
        )
        self._changed = threading.Event()

    def knows(self, path: str) -> bool:
        """Whether a path is one that is not taken; a listing that meets it goes on without looking at it."""
        left = self._left.get(path)
        if left is None:
            return False
        self._seen.add(path)
        return not left.again

    def judge(self, path: Path, size_bytes: int, mtime_ns: int) -> bool:
        """Whether a settled file is taken; one that has not changed since the last time is not opened again.

        Opens what has no listed ending, and reads 4 KiB at most.
        """
        known = self._left.get(str(path))
        same = known is not None and (known.size_bytes, known.mtime_ns) == (size_bytes, mtime_ns)
        if known is not None and same and not known.again:
            return False
        left = self._why_not(path, size_bytes, mtime_ns)
        if left is not None:
            self._remember(str(path), left)
        elif self._left.pop(str(path), None) is not None:
            self._changed.set()
        return left is None

    def _remember(self, path: str, left: _Left) -> None:
        known = self._left.get(path)
        if known is None or (known.reason, known.key) != (left.reason, left.key):
            self._new.append(path)
            self._changed.set()
        self._left[path] = left
        self._seen.add(path)

    def say(self) -> None:
        """Tell of what is new since the last time: one line for each reason."""
        by_reason: dict[tuple[str, str], list[str]] = defaultdict(list)
        for path in self._new:
            if (left := self._left.get(path)) is not None:
                by_reason[left.reason, left.key].append(path)
        self._new.clear()
        for (reason, key), paths in by_reason.items():
            names = [Path(path).name for path in paths[:NAMES_SAID]]
            log.info(
                "watch.not_taken", path=str(self._config.path), files=len(paths), names=names, reason=reason, key=key
            )
        if self._changed.is_set():
            self._changed.clear()
            self._listener(self.told())

    def told(self) -> FilesLeftAlone:
        """What is left alone now: how many, and the newest NAMES_SAID."""
        newest = list(self._left.items())[-NAMES_SAID:]
        return FilesLeftAlone(
            len(self._left), tuple(FileLeftAlone(path, left.reason, left.key) for path, left in reversed(newest))
        )

    def forget_unseen(self) -> None:
        """After a whole listing: what it did not meet is gone, and is new when it comes back."""
        gone = self._left.keys() - self._seen
        for path in gone:
            del self._left[path]
        self._seen = set()
        if gone:
            self._changed.set()

    def _why_not(self, path: Path, size_bytes: int, mtime_ns: int) -> _Left | None:
        """Why a file is not taken, by the key that decides; None for one that is."""
        left = partial(_Left, size_bytes, mtime_ns)
        listed = path.name.lower().endswith(self._endings)
        try:
            if self._config.companions == "link" and (film := film_of(path)) is not None:
                return left(f"a camera's companion of {film.name}", "watch.companions")
            if self._in_progress.match(path.stem):
                return left("its name says that it is still made", "watch.in_progress")
            if listed:
                return None
            if not self._probes:
                return left("its ending is not listed", "watch.extensions")
            refuse_outside(path, self._config.path, self._config.follow_outside)
            found = content.look(path)
        except VideoError:
            return left("it leads out of the watch folder", "watch.follow_outside")
        except OSError as error:
            return None if listed else left(f"it cannot be read: {error.strerror}", "watch.other_endings", again=True)
        if found.video:
            return None
        return left(f"not a video: {found.what}", "watch.extensions", again=found.unfinished)


def listed_endings(config: WatchConfig) -> tuple[str, ...]:
    """The endings of ``watch.extensions``, in lower case with their dot."""
    return _with_dots(config.extensions)


def _with_dots(endings: Iterable[str]) -> tuple[str, ...]:
    bare = (ending.lower().lstrip(".") for ending in endings)
    return tuple(f".{ending}" for ending in bare if ending)
