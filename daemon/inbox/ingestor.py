"""The asyncio side of arrival: what was found, has settled and is new goes into the queue."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Unpack

from daemon.config.watch import WatchConfig
from daemon.errors import ConfigError, Kind, StillwatchError, StoreError, VideoError
from daemon.events import Ended, Listener, ignore
from daemon.inbox import identity
from daemon.inbox.enqueue import enter, refuse
from daemon.inbox.left_alone import LeftAlone
from daemon.inbox.readiness import Looked, Readiness
from daemon.inbox.stability import Settled, StabilityTracker
from daemon.inbox.watch_mode import is_shared
from daemon.inbox.watcher import Watcher
from daemon.logs.setup import get
from daemon.model import FileIdentity, Status
from daemon.runtime.heartbeat import Heartbeats
from daemon.runtime.retry import StagePause, is_global
from daemon.runtime.tasks import is_set_within
from daemon.store.store import Store
from daemon.store.videos import Look

log = get(__name__)

STAGE = "watching"
"""The name of this stage in the log and among the heartbeats."""
STOP_SECONDS = 3.0
DROPPED_AGAIN = "it was dropped again after it was deleted"
ALIVE_SECONDS = 5.0
"""How often it is looked whether events can still arrive."""
OVERFLOW_SECONDS = 1.0
"""After lost events the folder is listed anew, but not more often than this."""


class Ingestor:
    """Watches, rescans, settles and admits until cancelled.

    ``on_queued`` is called on the loop whenever the queue has grown.
    """

    def __init__(
        self,
        config: WatchConfig,
        store: Store,
        on_queued: Callable[[], None],
        pause_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        listener: Listener = ignore,
        hearts: Heartbeats | None = None,
    ) -> None:
        self._hearts = hearts or Heartbeats(0.0)
        # This stage ends by task cancellation; the event is never set.
        self._pause = StagePause(STAGE, asyncio.Event(), pause_seconds, monotonic=monotonic)
        self._rescan_at = self._rescanned_at = monotonic()
        self._config = config
        self._store = store
        self._on_queued = on_queued
        self._monotonic = monotonic
        self._listener = listener
        self._alive = True
        self._tracker = StabilityTracker(config.settle_seconds, self._stat, clock=monotonic)
        self._left_alone = LeftAlone(config, listener)
        self._readiness = Readiness(config, shared=lambda: is_shared(config), listener=listener, beat=self._beat)
        self._watcher = Watcher(config, self._found, self._lost, self._left_alone.knows)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._closed = threading.Event()

    @property
    def mode(self) -> str:
        """native or polling."""
        return self._watcher.mode

    async def start(self) -> None:
        """Begin to watch. Raises ConfigError when the folder cannot be listed."""
        await asyncio.to_thread(self._watcher.start)
        await asyncio.to_thread(self._readiness.start)

    async def run(self) -> None:
        """Rescan when due, take what has settled, sleep exactly as long as nothing is due."""
        self._rescan_at = self._monotonic()
        while True:
            self._wake.clear()
            self._beat()
            try:
                if await self._step():
                    self._pause.went_well()
            except StillwatchError as error:
                if not is_global(error):
                    raise
                # What had settled is found again.
                self._rescan_at = self._monotonic()
                self._hearts.rest(STAGE)
                await self._pause.wait(error)
                continue
            self._hearts.rest(STAGE)
            now = self._monotonic()
            dues = (self._tracker.next_due(now), self._readiness.next_due(now))
            pause = min(self._rescan_at - now, ALIVE_SECONDS, *(due for due in dues if due is not None))
            await is_set_within(self._wake, max(pause, 0.01))

    def _beat(self) -> None:
        """It gets on; called on threads as well."""
        self._hearts.beat(STAGE)

    def _stat(self, path: Path) -> os.stat_result:
        self._beat()
        return path.stat()

    async def _step(self) -> bool:
        """Whether the database was asked for anything."""
        alive, before = await asyncio.to_thread(lambda: self._watcher.alive), self._alive
        self._alive = alive
        rescan = self._monotonic() >= self._rescan_at or (before and not alive)
        if rescan:
            self._rescanned_at = self._monotonic()
            # Events that are lost from here on ask for another one.
            self._rescan_at = math.inf
            await self._rescan()
            self._rescan_at = min(self._rescan_at, self._monotonic() + self._config.rescan_seconds)
        settled = await asyncio.to_thread(self._tracker.poll, self._monotonic())
        await self._admit(settled)
        finished, changed = await asyncio.to_thread(self._readiness.again, self._monotonic())
        for path in changed:
            self._tracker.noticed(path)
        await self._each(finished, self._take)
        self._readiness.say()
        return rescan or bool(settled) or bool(finished)

    async def stop(self) -> None:
        """End the watcher's threads."""
        self._closed.set()
        if not await asyncio.to_thread(self._watcher.stop, STOP_SECONDS):
            log.warning("watch.stuck", path=str(self._config.path))

    def _found(self, path: Path) -> None:
        """Called on watchdog's threads."""
        self._tracker.noticed(path)
        if not self._closed.is_set():
            self._loop.call_soon_threadsafe(self._wake.set)

    def _lost(self) -> None:
        """Called on watchdog's threads."""
        if not self._closed.is_set():
            self._loop.call_soon_threadsafe(self._rescan_soon)

    def _rescan_soon(self) -> None:
        soon = max(self._monotonic(), self._rescanned_at + OVERFLOW_SECONDS)
        if soon < self._rescan_at:
            self._rescan_at = soon
            log.warning(
                "watch.overflow",
                path=str(self._config.path),
                reason="the kernel dropped events: the folder is listed anew",
                fix="raise fs.inotify.max_queued_events with sysctl if this comes often",
            )
            self._wake.set()

    async def _rescan(self) -> None:
        """Notice everything on the disk that no row describes; mend a watcher that has died."""
        try:
            if not await asyncio.to_thread(lambda: self._watcher.alive and self._watcher.complete()):
                await asyncio.to_thread(self._watcher.stop, STOP_SECONDS)
                await asyncio.to_thread(self._watcher.start)
            looks = await asyncio.to_thread(self._looks)
        except ConfigError as error:
            log.warning("watch.unavailable", path=str(self._config.path), reason=error.sentence)
            return
        self._left_alone.forget_unseen()
        await self._forget_gone()
        for path in await self._store.videos.unknown(looks):
            if not self._readiness.waits(path):
                self._tracker.noticed(path)

    async def _forget_gone(self) -> None:
        """What could not be read and is gone was renamed or removed: nothing is left to be said of it."""
        ours = [(one, path) for one, path in await self._store.videos.never_read() if self._is_ours(path)]
        gone = await asyncio.to_thread(lambda: [one for one, path in ours if not os.path.lexists(path)])
        if gone:
            await self._store.videos.forget(gone)

    def _is_ours(self, path: Path) -> bool:
        return path.is_relative_to(self._config.path)

    def _looks(self) -> list[Look]:
        looks: list[Look] = []
        for path in self._watcher.scan():
            self._beat()
            if look := _look(path):
                looks.append(look)
        return looks

    async def _admit(self, settled: list[Settled]) -> None:
        looks: list[Look] = [(file.path, file.size_bytes or 0, file.mtime_ns or 0, file.inode) for file in settled]
        by_path = {look[0]: look[:3] for look in looks}
        wanted: list[Looked] = []

        async def judge(*look: *Looked) -> None:
            if await asyncio.to_thread(self._left_alone.judge, *look):
                wanted.append(look)

        await self._each([by_path[path] for path in await self._store.videos.unknown(looks)], judge)
        # All at once: what other processes have open is gone through once for all of them.
        await self._each(await asyncio.to_thread(self._readiness.ready, wanted, self._monotonic()), self._take)
        self._left_alone.say()

    async def _each(self, looks: list[Looked], do: Callable[[Unpack[Looked]], Awaitable[None]]) -> None:
        """Do it with each file, so that one file's error concerns that file alone. Raises StoreError."""
        for look in looks:
            self._beat()
            try:
                await do(*look)
            except StoreError:
                raise
            except VideoError as error:
                await self._not_taken(look, error)
            except MemoryError:
                self._tracker.noticed(look[0])
            except Exception as error:
                # One file that nobody foresaw must not keep all others out.
                unforeseen = VideoError(
                    Kind.INTERNAL, f"an unexpected {type(error).__name__}: {error}; please report it"
                )
                unforeseen.__cause__ = error
                await self._not_taken(look, unforeseen)

    async def _not_taken(self, look: Looked, error: VideoError) -> None:
        path, size_bytes, mtime_ns = look
        if error.kind is Kind.CHANGED:
            self._tracker.noticed(path)
            return
        if error.kind is Kind.MISSING:
            return
        file = FileIdentity(path, "", size_bytes, mtime_ns)
        if error.kind is Kind.UNREADABLE:
            said = [(before.error_kind, before.file) for before in await self._store.videos.at_path(path)]
            if (error.kind, file) in said:
                # Every rescan tries again.
                return
        refused = await refuse(self._store, file, error)
        self._listener(Ended(refused))

    async def _take(self, path: Path, size_bytes: int, mtime_ns: int) -> None:
        await asyncio.to_thread(identity.refuse_outside, path, self._config.path, self._config.follow_outside)
        file = await asyncio.to_thread(identity.fingerprint, path)
        if (file.size_bytes, file.mtime_ns) != (size_bytes, mtime_ns):
            raise VideoError(Kind.CHANGED, f"{path} changed again before it could be taken")
        record = await enter(self._store, file, copies=self._config.copies, on_read=self._beat)
        if record.error_kind == Kind.DUPLICATE:
            self._listener(Ended(record))
        if record.status is Status.DONE and await self._store.sources.returned(record.id, DROPPED_AGAIN):
            log.info("source.kept", video=str(path), video_id=record.id, reason=DROPPED_AGAIN)
        self._on_queued()


def _look(path: Path) -> Look | None:
    try:
        look = path.stat()
    except FileNotFoundError:
        return None
    except OSError:
        # Noticed all the same: settling says why it cannot be looked at.
        return path, 0, 0
    return path, look.st_size, identity.mtime_ns(look), identity.inode(look)
