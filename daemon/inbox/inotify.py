"""watchdog's inotify observer, with what it lacks: folders that are left alone are not watched at all, and an
overflow of the kernel's queue is told; and an end within a time."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from watchdog import events
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter, InotifyObserver, InotifyWatchGroup

_OWN_WORDS = ("called when the thread is inactive", "queue overflowed")
"""Of watchdog's log: a harmless race at a stop, and what ``on_overflow`` tells."""


class FolderObserver(InotifyObserver):
    """Watches a tree but for the folders that ``descends`` says no to; the folder that is scheduled is watched always.

    ``descends`` gets a folder's path as the kernel knows it. ``on_overflow`` is called when events were lost.
    Both are called on watchdog's threads.
    """

    def __init__(self, descends: Callable[[str], bool], on_overflow: Callable[[], None]) -> None:
        _calm_watchdog()
        super().__init__()
        emitter: Any = partial(_Emitter, descends=descends, on_overflow=on_overflow)
        self._emitter_class = emitter


class _Emitter(InotifyEmitter):
    def __init__(
        self, *arguments: Any, descends: Callable[[str], bool], on_overflow: Callable[[], None], **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._descends = descends
        self._on_overflow = on_overflow

    def on_thread_start(self) -> None:
        self._inotify = _WatchGroup(
            self._inotify_fd,
            os.fsencode(self.watch.path),
            self.get_event_mask_from_filter(),
            self.watch.is_recursive,
            descends=self._descends,
            on_overflow=self._on_overflow,
        )


@dataclass(kw_only=True)
class _WatchGroup(InotifyWatchGroup):
    descends: Callable[[str], bool]
    on_overflow: Callable[[], None]

    def _add_all_callbacks(self, path: bytes) -> None:
        """Where watchdog adds its watches, at the start and for every new folder."""
        if path != self.path and not self.descends(os.fsdecode(path)):
            return
        self._add_callback(path)
        if not self.is_recursive:
            return
        for root, folders, _ in os.walk(path):
            paths = {folder: os.path.join(root, folder) for folder in folders}  # noqa: PTH118 - bytes
            folders[:] = [folder for folder, whole in paths.items() if self.descends(os.fsdecode(whole))]
            for folder in folders:
                if not os.path.islink(paths[folder]):  # noqa: PTH114 - bytes
                    self._add_callback(paths[folder])

    def on_queue_overflow(self) -> None:
        super().on_queue_overflow()
        self.on_overflow()


def _calm_watchdog() -> None:
    """Keep harmless words of watchdog 7 out of the log; the first would be an error in tests.

    A folder that is copied in with its subfolders is registered twice, and an event that arrives
    while an emitter is being stopped is reported as an error.
    """
    warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)
    for name in ("watchdog.observers.inotify", "watchdog.observers.inotify_c"):
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not any(words in str(record.msg) for words in _OWN_WORDS)


def require_spare_watch(observer: BaseObserver, handler: events.FileSystemEventHandler) -> None:
    """Raise OSError when the kernel's limit was hit while the subfolders were being watched.

    watchdog keeps that to itself for everything but the scheduled folder, so one more folder that
    no inbox lies in is scheduled and taken back.
    """
    watch = observer.schedule(handler, "/", recursive=False, event_filter=[events.DirMovedEvent])
    observer.unschedule(watch)


def threads(observer: BaseObserver) -> list[threading.Thread]:
    """Every running thread of an observer: itself, its emitters, and the reader behind them.

    The reader sits in a private attribute of one or the other, depending on watchdog's version, and
    its death is what silences a watch unnoticed.
    """
    owners: list[threading.Thread] = [observer, *observer.emitters]
    inner = [value for owner in owners for value in vars(owner).values()]
    running = [thread for thread in [*owners, *inner] if isinstance(thread, threading.Thread)]
    return [thread for thread in dict.fromkeys(running) if thread.is_alive()]


def end(observer: BaseObserver, running: list[threading.Thread], timeout_seconds: float) -> bool:
    """Stop an observer and wait for its threads; False when one is still there after the time."""
    # observer.stop() joins its emitters without a timeout.
    stopper = threading.Thread(target=observer.stop, name="watch-stop", daemon=True)
    stopper.start()
    deadline = time.monotonic() + timeout_seconds
    for thread in (stopper, *running):
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in (stopper, *running))
