"""The watch folder: watchdog's events, the rescan, and the filters that both go through.

Events are hints and the disk is the truth: whatever an event says, it only makes a path known, and
``scan`` finds every path without events. Nothing here decides whether a file is ready.
"""

from __future__ import annotations

import errno
import fnmatch
import glob
import os
import re
import stat
import threading
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import psutil
from watchdog import events
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserverVFS

from daemon.config.watch import WatchConfig
from daemon.errors import ConfigError
from daemon.inbox import inotify
from daemon.inbox.left_alone import listed_endings
from daemon.logs import setup

Mode = Literal["native", "polling"]

# Kernel events tell only of what this host itself does, so anything that others may write to is
# polled. fuseblk (a local NTFS disk) has no other writer, and overlay and the disk formats are local.
_SHARED_FILE_SYSTEMS = frozenset(
    {
        *("9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "drvfs", "fakeowner", "fuse", "gfs2"),
        *("glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs"),
        *("prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"),
    }
)
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
_ENDING = re.compile(r"\*[^*?\[\]]+")

log = setup.get("watch")


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

    def accepts(self, path: Path) -> bool:
        """Whether a path is taken by its name alone: looked at, and a video's ending."""
        return self.lists_ending(path.name) and self.reaches(path)

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


def accepts(path: Path, config: WatchConfig) -> bool:
    """Whether ``path`` is taken by its name alone; see PathFilter.accepts."""
    return PathFilter(config).accepts(path)


def file_system(path: Path, mounts: Iterable[tuple[str, str]]) -> str:
    """The type of the file system that holds ``path``, an absolute path without symbolic links.

    ``mounts`` are (mount point, type) pairs in the order they were mounted: of two at the same
    point the later covers the earlier. Empty when no mount point fits.

    >>> file_system(Path("/srv/in/box"), [("/", "ext4"), ("/srv", "nfs4"), ("/srv/inbox", "xfs")])
    'nfs4'
    """
    longest, of_longest = -1, ""
    for point, kind in mounts:
        depth = len(Path(point).parts)
        if depth >= longest and path.is_relative_to(point):
            longest, of_longest = depth, kind
    return of_longest


def mode_for(kind: str) -> Mode:
    """``polling`` for a file system that others can write to without this kernel's knowledge."""
    return "polling" if kind in _SHARED_FILE_SYSTEMS or kind.startswith("fuse.") else "native"


def way(config: WatchConfig) -> tuple[Mode, str]:
    """How the watch folder is to be watched, and the type of the file system that it is on."""
    kind = file_system(Path(os.path.realpath(config.path)), _mounts())
    return (mode_for(kind) if config.mode == "auto" else config.mode), kind


def is_shared(config: WatchConfig) -> bool:
    """Whether other machines may write to the watch folder without this kernel's knowledge, by its file system."""
    return mode_for(way(config)[1]) == "polling"


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
            self._mode, kind = way(self._config)
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


def _mounts() -> list[tuple[str, str]]:
    try:
        return [(mount.mountpoint, mount.fstype) for mount in psutil.disk_partitions(all=True)]
    except OSError:
        return []
