"""Whether a settled file is finished: who writes to it, what lies beside it, what its container says, the marker.

A file that somebody has open for writing waits for as long as that lasts. Every other sign may have been left behind by
a writer that has died, so it counts until the file has stood still for ``watch.unfinished_seconds``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from daemon.config.watch import WatchConfig
from daemon.events import NAMES_SAID, FilesWaiting, FileWaiting, Listener, ignore
from daemon.inbox import wholeness, writers
from daemon.inbox.identity import mtime_ns
from daemon.inbox.wholeness import Says, Wholeness
from daemon.inbox.writers import UNKNOWN, OpenFiles, Writer
from daemon.logs.setup import get

log = get("watch")

Looked = tuple[Path, int, int]
"""A path, its size in bytes and its mtime in nanoseconds, as they were when it had settled."""

PAUSES = 3.0
"""A writer that went on after a pause is waited for three times as long the next time."""
LONGEST_WAIT_SECONDS = 3600.0
_MOST_EVERY_SECONDS = 5.0
_FILES_A_SECOND = 500
BESIDE = ("part", "partial", "aria2", "ytdl", "crdownload", "download", "opdownload", "filepart", "!qB", "st")
"""What downloaders put beside the name that they will give, or fill already: NAME.part and so on."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What there is to see of a settled file. ``beside``: a download's file, ``marker``: one that is missed; names."""

    writer: Writer
    container: Wholeness = wholeness.NOTHING
    beside: str = ""
    marker: str = ""


def reason_to_wait(signs: Signs, still_s: float, needed_s: float) -> str:
    """Why a file is not taken yet, empty when it is; ``still_s`` is how long nothing about it has changed.

    >>> reason_to_wait(Signs(Writer(open=True, sure=True, by="cp (process 7)")), 9e9, 60)
    'cp (process 7) has it open for writing'
    """
    if signs.writer.open:
        return f"{signs.writer.by} has it open for writing"
    if signs.marker:
        return f"its marker {signs.marker} is not there"
    if still_s >= needed_s:
        return ""
    if signs.beside:
        return f"{signs.beside} is beside it, as during a download"
    if signs.container.says is Says.UNFINISHED:
        return signs.container.why
    if not signs.writer.sure and signs.container.says is Says.NOTHING:
        return f"who writes to it cannot be seen: it is taken once it has stood still for {needed_s:.0f} s"
    return ""


@dataclass(slots=True)
class _Waiting:
    looked: Looked
    state: tuple[object, ...] = ()
    since: float = 0.0
    longest_pause_s: float = 0.0
    container: Wholeness = wholeness.NOTHING
    reason: str = ""
    due: float = field(default=float("inf"))


class Readiness:
    """Keeps the settled files that are not finished yet.

    ``now`` is in seconds, monotonic; ``beat`` is called for each file. Belongs to one thread at a time.
    """

    def __init__(
        self,
        config: WatchConfig,
        *,
        shared: Callable[[], bool] = lambda: False,
        listener: Listener = ignore,
        beat: Callable[[], None] = lambda: None,
        open_files: Callable[[bool], OpenFiles] = lambda shared: OpenFiles(shared=shared),
    ) -> None:
        self._config = config
        self._shared = shared
        self._listener = listener
        self._beat = beat
        self._open_files = open_files
        self._known: dict[Path, _Waiting] = {}
        self._new: list[Path] = []
        self._changed = False
        self._writers_seen = False

    def start(self) -> None:
        """Tell whether writers can be seen here. Looks at /proc."""
        self._writers_seen = writers.others_are_seen() and not self._shared()
        self._changed = True

    def waits(self, path: Path) -> bool:
        """Whether a path is one of those that are looked at again and again already."""
        return path in self._known and bool(self._known[path].reason)

    def ready(self, settled: Iterable[Looked], now: float) -> list[Looked]:
        """Those of the settled files that are finished; the others wait. Looks at the disk and at /proc."""
        if self._config.ready == "settled":
            return list(settled)
        open_files = self._open_files(self._shared())
        return [looked for looked in settled if self._is_ready(looked, open_files, now)]

    def again(self, now: float) -> tuple[list[Looked], list[Path]]:
        """Look at what waits and is due: those that are finished now, and those that have changed and settle anew."""
        due = [one for one in self._known.values() if one.reason and one.due <= now]
        same, changed = [], []
        for one in due:
            path = one.looked[0]
            try:
                look = path.stat()
            except OSError:
                # A listing meets it again when it comes back.
                self.forget(path)
                continue
            if (look.st_size, mtime_ns(look)) == one.looked[1:]:
                same.append(one.looked)
            else:
                one.due = now + self._every_s()
                changed.append(path)
        return self.ready(same, now), changed

    def next_due(self, now: float) -> float | None:
        """Seconds until ``again`` has something to look at; None when nothing waits."""
        due = min((one.due for one in self._known.values() if one.reason), default=None)
        return None if due is None else max(0.0, due - now)

    def forget(self, path: Path) -> None:
        """The path is gone."""
        if self._known.pop(path, None) is not None:
            self._changed = True

    def say(self) -> None:
        """Tell of what has begun to wait, one line for each reason, and of all that waits."""
        by_reason: dict[str, list[str]] = {}
        for path in self._new:
            if (one := self._known.get(path)) is not None and one.reason:
                by_reason.setdefault(one.reason, []).append(path.name)
        self._new.clear()
        for reason, names in by_reason.items():
            log.info(
                "watch.waiting",
                path=str(self._config.path),
                files=len(names),
                names=names[:NAMES_SAID],
                reason=reason,
            )
        if self._changed:
            self._changed = False
            self._listener(self.told())

    def told(self) -> FilesWaiting:
        """What waits now: how many, and the newest NAMES_SAID."""
        waiting = [(path, one.reason) for path, one in self._known.items() if one.reason]
        newest = tuple(FileWaiting(str(path), reason) for path, reason in reversed(waiting[-NAMES_SAID:]))
        return FilesWaiting(len(waiting), newest, self._writers_seen)

    def _is_ready(self, looked: Looked, open_files: OpenFiles, now: float) -> bool:
        self._beat()
        path = looked[0]
        known = self._known.get(path)
        one = known or _Waiting(looked, since=now - self._config.settle_seconds)
        one.looked = looked
        try:
            signs = self._signs(one, open_files, now)
        except OSError:
            # Whoever takes it says why it cannot be read.
            signs = Signs(UNKNOWN, wholeness.WHOLE)
        needed_s = max(self._config.unfinished_s, PAUSES * one.longest_pause_s)
        reason = reason_to_wait(signs, now - one.since, min(needed_s, LONGEST_WAIT_SECONDS))
        if not reason:
            self.forget(path)
            return True
        if known is None or reason != one.reason:
            self._new.append(path)
            self._changed = True
        one.reason = reason
        one.due = now + self._every_s()
        self._known[path] = one
        return False

    def _signs(self, one: _Waiting, open_files: OpenFiles, now: float) -> Signs:
        """What there is to see now; the stillness begins anew when the file or what lies beside it has changed."""
        path = one.looked[0]
        writer = open_files.writer(path)
        beside, growth = _beside(path)
        if beside and not writer.open:
            other = open_files.writer(path.with_name(beside))
            writer = other if other.open else writer
        state = (*one.looked[1:], growth)
        if state != one.state:
            if one.state:
                one.longest_pause_s = max(one.longest_pause_s, now - one.since - self._config.settle_seconds)
                one.since = now - self._config.settle_seconds
            one.state = state
            one.container = wholeness.look(path)
        return Signs(writer, one.container, beside, self._missing_marker(path))

    def _missing_marker(self, path: Path) -> str:
        if self._config.ready != "marker":
            return ""
        name = marker_name(self._config.marker, path)
        return "" if os.path.lexists(path.with_name(name)) else name

    def _every_s(self) -> float:
        """How often a file that waits is looked at: with many of them less often, so that they cost little."""
        return max(1.0, min(self._config.settle_seconds, _MOST_EVERY_SECONDS), len(self._known) / _FILES_A_SECOND)


def marker_name(pattern: str, path: Path) -> str:
    """The name of a file's marker: ``{name}`` is its name, ``{stem}`` the same without its ending.

    >>> marker_name("{name}.done", Path("/in/film.mp4")), marker_name("{stem}.ok", Path("/in/film.mp4"))
    ('film.mp4.done', 'film.ok')
    """
    return pattern.replace("{name}", path.name).replace("{stem}", path.stem)


def _beside(path: Path) -> tuple[str, tuple[int, int] | None]:
    """The name of a download's file beside a file, and its size and mtime, which change while it goes on."""
    for ending in BESIDE:
        name = f"{path.name}.{ending}"
        try:
            look = os.stat(path.with_name(name))  # noqa: PTH116
        except OSError:
            continue
        return name, (look.st_size, look.st_mtime_ns)
    return "", None
