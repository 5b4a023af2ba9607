"""The watch folder: watchdog's events, the rescan, and the filter that both go through.

Events are hints and the disk is the truth: whatever an event says, it only makes a path known, and
``scan`` finds every path without events. Nothing here decides whether a file is ready.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from watchdog import events
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserverVFS

from daemon.config.watch import WatchConfig
from daemon.errors import ConfigError
from daemon.inbox import inotify
from daemon.inbox.path_filter import PathFilter
from daemon.inbox.watch_mode import Mode, mode_and_file_system
from daemon.logs import setup

_INOTIFY_LIMITS = {
    errno.ENOSPC: "fs.inotify.max_user_watches",
    errno.EMFILE: "fs.inotify.max_user_instances",
}
_EVENTS: list[type[events.FileSystemEvent]] = [events.FileCreatedEvent, events.DirCreatedEvent]
_EVENTS += [events.FileMovedEvent, events.DirMovedEvent]
# No FileModifiedEvent: the kernel would send one for every write of a copy, and what settles a file
# is looking at it, not events. Polling has no close event, so there it stands for it.
_NATIVE_EVENTS = [*_EVENTS, events.FileClosedEvent]
_POLLING_EVENTS = [*_EVENTS, events.FileModifiedEvent]
_ABORT_SECONDS = 5.0

log = setup.get("watch")


def count_folders(config: WatchConfig) -> int:
    """How many folders a native watch covers, each of which takes one of the kernel's watches."""
    descends = PathFilter(config).descends
    count = 0
    for root, folders, _ in os.walk(config.path):
        count += 1
        folders[:] = [folder for folder in folders if descends(Path(root, folder))]
    return count


class Watcher:
    """Reports paths that may be videos: from events while it runs, and from ``scan`` at any time.

    Those are the names with a listed ending, whatever they are, and every other file but those that ``left_alone``
    knows: it is asked for each such path of a listing, on any thread.

    ``found`` is called on a thread of watchdog's with paths below ``config.path``, spelled like it;
    the same path any number of times, and paths that are gone again or are no regular file. ``lost``
    is called there when the kernel dropped events: only ``scan`` finds what they were about. Both must
    be quick. ``start`` and ``stop`` belong to one thread at a time.
    """

    def __init__(
        self,
        config: WatchConfig,
        found: Callable[[Path], None],
        lost: Callable[[], None] = lambda: None,
        left_alone: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._config = config
        self._found = found
        self._lost = lost
        self._left_alone = left_alone
        self._filter = PathFilter(config)
        self._mode: Mode = "polling" if config.mode == "polling" else "native"
        self._observer: BaseObserver | None = None
        self._threads: list[threading.Thread] = []
        self._real = str(config.path)
        self._started_on = (0, 0)
        self._unreadable: set[str] = set()

    @property
    def mode(self) -> Mode:
        """How the folder is watched since the last ``start``."""
        return self._mode

    @property
    def alive(self) -> bool:
        """Whether events can still arrive: every thread runs and the folder is the one that was started on.

        False before ``start`` and after ``stop``; also when the folder was deleted, moved away or
        mounted over. Then ``stop`` and ``start`` again.
        """
        if self._observer is None or not all(thread.is_alive() for thread in self._threads):
            return False
        # Polling goes by the path and notices itself; a share must not be able to block this.
        return self._mode == "polling" or _folder_id(self._config.path) == self._started_on

    def complete(self) -> bool:
        """Whether the kernel still has a watch for a new subfolder; ``stop`` and ``start`` then poll, and say so."""
        if self._observer is None or self._mode == "polling" or not self._config.recursive:
            return True
        try:
            inotify.require_spare_watch(self._observer, _Handler(self._on_event))
        except OSError as error:
            return error.errno not in _INOTIFY_LIMITS
        return True

    def start(self) -> None:
        """Begin to watch; takes as long as one walk through the folder.

        Files that are already there are not reported: ``scan`` after the start finds them. Falls
        back to polling with a warning when the kernel has no watches left. Raises ConfigError when
        the folder does not exist or cannot be listed.
        """
        if self._observer is not None:
            raise RuntimeError("the watcher was started already: stop it first")
        try:
            self._entries(str(self._config.path))
            self._real = os.path.realpath(self._config.path)
            self._started_on = _folder_id(self._config.path)
            self._mode, kind = mode_and_file_system(self._config)
            self._launch_or_poll()
        except OSError as error:
            raise self._folder_error(error) from error
        log.info("watch.started", path=str(self._config.path), mode=self._mode, file_system=kind)

    def stop(self, timeout_seconds: float) -> bool:
        """End every thread; False when one did not end in time (a read that a dead share blocks)."""
        watching, self._observer = self._observer, None
        return watching is None or inotify.end(watching, self._threads, timeout_seconds)

    def scan(self) -> Iterator[Path]:
        """Walk the folder and yield every path that may be a video, in the order of names.

        Needs no ``start``. Subfolders that cannot be listed are skipped with one warning each.
        Raises ConfigError when the watch folder itself cannot be listed: no answer is not the same
        as an empty folder.
        """
        try:
            yield from self._walk(str(self._config.path))
        except OSError as error:
            raise self._folder_error(error) from error

    def _launch_or_poll(self) -> None:
        try:
            self._launch()
        except OSError as error:
            if self._mode == "polling" or error.errno not in _INOTIFY_LIMITS:
                raise
            sysctl = _INOTIFY_LIMITS[error.errno]
            log.warning(
                "watch.limit",
                path=str(self._config.path),
                reason=error.strerror,
                fix=f"raise {sysctl} with sysctl; the folder is polled until the next start",
            )
            self._mode = "polling"
            self._launch()

    def _launch(self) -> None:
        """Start an observer for ``self._mode``; leaves nothing behind when it raises OSError."""
        native = self._mode == "native"
        watching = inotify.FolderObserver(self._watches, self._lost) if native else self._polling_observer()
        handler = _Handler(self._on_event)
        try:
            # The resolved path: watchdog would watch a symbolic link itself, not what it leads to.
            watching.schedule(
                handler,
                self._real,
                recursive=self._config.recursive,
                event_filter=_NATIVE_EVENTS if native else _POLLING_EVENTS,
            )
            watching.start()
            self._threads = inotify.threads(watching)
            if native and self._config.recursive:
                inotify.require_spare_watch(watching, handler)
        except BaseException:
            inotify.end(watching, inotify.threads(watching), _ABORT_SECONDS)
            raise
        self._observer = watching

    def _watches(self, folder: str) -> bool:
        """Whether a folder of the real tree is watched."""
        return self._filter.descends(self._spelled(folder))

    def _spelled(self, real: str) -> Path:
        """A path of the real tree as it is reported: below ``watch.path``."""
        return self._config.path / os.path.relpath(real, self._real)

    def _polling_observer(self) -> BaseObserver:
        interval = min(self._config.rescan_seconds, max(self._config.settle_seconds, 1.0))
        # lstat, since following links could lead the walk out of the folder and round in circles.
        return PollingObserverVFS(os.lstat, self._polled_entries, polling_interval=interval)

    def _polled_entries(self, folder: str | None) -> Iterator[os.DirEntry[str]]:
        for entry in self._entries(folder if folder is not None else self._real):
            if self._may_be_video(entry, self._as_reported(entry.path)) or _is_folder(entry, follow=False):
                yield entry

    def _as_reported(self, real: str) -> str:
        """``_spelled`` for many paths."""
        spelled = str(self._config.path)
        return real if spelled == self._real else spelled + real.removeprefix(self._real)

    def _may_be_video(self, entry: os.DirEntry[str], path: str) -> bool:
        """Names with a listed ending, whatever they are; files by other endings until they are left alone."""
        if self._left_alone(path):
            return False
        return self._filter.lists_ending(entry.name) or _is_file(entry)

    def _on_event(self, event: events.FileSystemEvent) -> None:
        raw = os.fsdecode(event.dest_path if event.event_type == "moved" else event.src_path)
        # Synthetic events repeat what the walk of a new folder finds.
        if not raw or event.is_synthetic:
            return
        path = self._spelled(raw)
        if self._filter.reaches(path) and (self._filter.lists_ending(path.name) or not event.is_directory):
            self._found(path)
        if event.event_type not in ("created", "moved") or not self._filter.descends(path):
            return
        if event.is_directory or (self._config.follow_outside and path.is_dir()):
            for below in self._walk(str(path)):
                self._found(below)

    def _walk(self, start: str) -> Iterator[Path]:
        """Paths that may be videos below a folder that is descended into; OSError only from the watch folder."""
        pending = deque([start])
        seen: set[tuple[int, int]] = set()
        while pending:
            folder = pending.popleft()
            if self._config.follow_outside:
                folder_id = _folder_id(folder)
                if folder_id in seen:
                    continue
                seen.add(folder_id)
            subfolders = []
            for entry in self._entries(folder):
                if self._may_be_video(entry, entry.path):
                    yield Path(entry.path)
                if not self._config.recursive:
                    continue
                if _is_folder(entry, follow=False):
                    subfolders.append(entry.path)
                elif self._config.follow_outside and _is_folder(entry, follow=True):
                    # Links come last, so that what is reachable without them keeps its own path.
                    pending.append(entry.path)
            pending.extendleft(reversed(subfolders))

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What a folder holds, excluded names left out, by name; OSError only from the watch folder."""
        try:
            with os.scandir(folder) as listing:
                entries = [entry for entry in listing if not self._filter.excludes_name(entry.name)]
        except (FileNotFoundError, NotADirectoryError):
            if folder in (self._real, str(self._config.path)):
                raise
            return []
        except OSError as error:
            if folder in (self._real, str(self._config.path)):
                raise
            if folder not in self._unreadable:
                self._unreadable.add(folder)
                log.warning("watch.unreadable", path=folder, reason=error.strerror)
            return []
        self._unreadable.discard(folder)
        return sorted(entries, key=lambda entry: entry.name)

    def _folder_error(self, error: OSError) -> ConfigError:
        folder = f"the watch folder {self._config.path}"
        if isinstance(error, FileNotFoundError):
            return ConfigError(f"{folder} does not exist: create or mount it, or change watch.path")
        if isinstance(error, NotADirectoryError):
            return ConfigError(f"{folder} is not a folder: set watch.path to one")
        if isinstance(error, PermissionError):
            return ConfigError(f"{folder} may not be listed by this user: give it read and search permission")
        reason = error.strerror or type(error).__name__
        return ConfigError(f"{folder} cannot be watched ({reason}): check the disk or share it is on")


class _Handler(events.FileSystemEventHandler):
    """Hands every event on; an error with one must not end watchdog's only dispatching thread."""

    def __init__(self, handle: Callable[[events.FileSystemEvent], None]) -> None:
        self._handle = handle

    def dispatch(self, event: events.FileSystemEvent) -> None:
        """Called by watchdog for each event that passed the event filter."""
        try:
            self._handle(event)
        except Exception as error:
            log.warning("watch.event_lost", path=os.fsdecode(event.src_path), reason=str(error))


def _folder_id(folder: str | Path) -> tuple[int, int]:
    """(device, inode) of a folder, zeros for what is none."""
    try:
        look = os.stat(folder)  # noqa: PTH116 - also takes the strings of a walk
    except OSError:
        return 0, 0
    return (look.st_dev, look.st_ino) if stat.S_ISDIR(look.st_mode) else (0, 0)


def _is_folder(entry: os.DirEntry[str], *, follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
