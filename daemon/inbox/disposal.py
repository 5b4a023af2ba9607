"""``watch.after``: what becomes of a source once its stills are proven, published and committed.

A kill at any moment loses nothing: what is due is committed together with the video's ``done``, the target of
a move before anything is moved, the outcome last. Where anything is not exactly as expected, the source is kept.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from daemon.config.output import OutputConfig
from daemon.config.watch import WatchConfig
from daemon.errors import ConfigError, StoreError, VideoError
from daemon.events import Ended, Event
from daemon.inbox import source_file, wholeness
from daemon.inbox.source_file import KeepSource, NameTaken, NotStillYet, NotYet
from daemon.inbox.watch_mode import is_shared
from daemon.logs.setup import get
from daemon.model import FileIdentity, Status, VideoRecord
from daemon.runtime.durable import make_synced_folder
from daemon.runtime.retry import is_global
from daemon.runtime.tasks import is_set_within
from daemon.store.sources import DueSource
from daemon.store.store import Store

log = get(__name__)

T = TypeVar("T")

RETRY_SECONDS = 60.0
STOP_SECONDS = 2.0
SHORTENED = 0.9
"""A film that ends before this part of what its container announces is not whole."""


def check(watch: WatchConfig, output: OutputConfig) -> None:
    """Refuse a configuration under which moved sources would come back in. Raises ConfigError."""
    if watch.after != "move":
        return
    if watch.after_path is None:
        raise ConfigError("watch.after = move needs watch.after_path: name the folder that sources are moved to")
    target = Path(os.path.realpath(watch.after_path))
    for key, folder in (("watch.path", watch.path), ("output.path", output.path)):
        real = Path(os.path.realpath(folder))
        if target.is_relative_to(real) or (key == "watch.path" and real.is_relative_to(target)):
            raise ConfigError(
                f"watch.after_path = {watch.after_path} and {key} = {folder} must not lie in one another:"
                " choose a folder beside it"
            )
    try:
        make_synced_folder(watch.after_path)
    except OSError as error:
        raise ConfigError(f"watch.after_path = {watch.after_path} cannot be made: {error.strerror}") from error


class SourceDisposal:
    """Moves or deletes what is due, one source after the other: ``tell`` it the events, ``run`` it.

    ``follow`` takes along what lies beside a source: the file as it was, and its new path, None when it is deleted.
    """

    def __init__(
        self,
        config: WatchConfig,
        store: Store,
        monotonic: Callable[[], float] = time.monotonic,
        follow: Callable[[FileIdentity, Path | None], None] = lambda *_: None,
    ) -> None:
        self._follow_source = follow
        self._config = config
        self._store = store
        self._monotonic = monotonic
        self._wake = asyncio.Event()
        self._stopping = threading.Event()
        self._reported: dict[int, str] = {}
        self._again_s = RETRY_SECONDS
        self._missed_at: dict[int, float] = {}

    def tell(self, event: Event) -> None:
        """A video that is done may have something due; a Listener."""
        if isinstance(event, Ended) and event.record.status is Status.DONE:
            self._wake.set()

    async def run(self) -> None:
        """Do what is due, also from the time before the start, until cancelled."""
        while True:
            self._wake.clear()
            waiting = await self._round()
            await is_set_within(self._wake, self._again_s if waiting else None)

    async def _round(self) -> bool:
        """Dispose of all that is due now; whether something has to be tried again."""
        waiting = False
        self._again_s = RETRY_SECONDS
        try:
            for due in await self._store.sources.due():
                waiting |= not await self._try(due)
        except StoreError as error:
            log.warning("source.waiting", reason=error.sentence)
            return True
        except Exception as error:
            # A background task that ends is not started again.
            log.error("source.waiting", reason=repr(error), exc_info=error)
            return True
        return waiting

    async def _try(self, due: DueSource) -> bool:
        """Dispose of one source; False when it has to be tried again. Raises StoreError that concerns every source."""
        try:
            await self._dispose(due)
        except NotStillYet as wait:
            self._again_s = max(0.1, min(self._again_s, wait.left_s))
            if self._is_new(due, str(wait)):
                log.info("source.waiting", video=str(due.file.path), video_id=due.video_id, reason=str(wait))
            return False
        except (OSError, VideoError, NotYet) as error:
            return self._report_failure(due, str(error))
        except Exception as error:
            if isinstance(error, StoreError) and is_global(error):
                raise
            return self._report_failure(due, repr(error), error)
        self._reported.pop(due.video_id, None)
        return True

    async def _dispose(self, due: DueSource) -> None:
        bound = log.bind(video=str(due.file.path), video_id=due.video_id)
        try:
            if due.action != self._config.after:
                raise KeepSource(f"watch.after is {self._config.after} now")
            if due.action == "delete":
                await self._delete(due)
                bound.info("source.deleted")
                await self._follow(due.file, None)
            else:
                moved = await self._move(due)
                await self._store.sources.moved(due.video_id, moved)
                bound.info("source.moved", to=str(moved.path))
                await self._follow(due.file, moved.path)
        except KeepSource as decision:
            await self._store.sources.kept(due.video_id, str(decision))
            bound.warning("source.kept", reason=str(decision))

    async def _follow(self, file: FileIdentity, moved: Path | None) -> None:
        try:
            await asyncio.to_thread(self._follow_source, file, moved)
        except OSError as error:
            log.warning("export.not_beside", video=str(file.path), reason=f"they did not follow: {error.strerror}")

    def _report_failure(self, due: DueSource, reason: str, unforeseen: Exception | None = None) -> bool:
        """Log once why a source has to wait; always False."""
        if self._is_new(due, reason):
            bound = log.bind(video=str(due.file.path), video_id=due.video_id)
            if unforeseen is None:
                bound.warning("source.failed", reason=reason)
            else:
                bound.error("source.failed", reason=reason, exc_info=unforeseen)
        return False

    def _is_new(self, due: DueSource, reason: str) -> bool:
        """Whether this reason is another one than the last that was said of the source; it is now."""
        before, self._reported[due.video_id] = self._reported.get(due.video_id), reason
        return before != reason

    async def _delete(self, due: DueSource) -> None:
        # A target that is the source itself says that the deletion had begun: what is gone then, we deleted.
        begun = due.target == due.file.path
        if not (begun and await asyncio.to_thread(source_file.is_gone, due, self._config.path)):
            await self._check_source(due)
            await self._store.sources.record_target(due.video_id, due.file.path)
            await self._store.make_durable()
            await self._uninterrupted(lambda: source_file.delete(due.file, self._config.path))
        await self._store.sources.deleted(due.video_id)

    async def _move(self, due: DueSource) -> FileIdentity:
        archive = self._config.after_path
        assert archive is not None
        if due.target is not None:
            moved = await self._uninterrupted(lambda: source_file.arrived(due, self._config.path, archive))
            if moved is not None:
                return moved
        await self._check_source(due)
        if not due.file.path.is_relative_to(self._config.path):
            # watch.path was a link to where it leads now: what would be the subfolder under after_path?
            raise KeepSource(f"its path does not begin with watch.path = {self._config.path} any more")
        wanted = archive / due.file.path.relative_to(self._config.path)
        await asyncio.to_thread(source_file.make_folder, wanted.parent, archive)
        for target in _candidates(wanted):
            ours = target == due.target
            if not ours and await asyncio.to_thread(os.path.lexists, target):
                continue
            await self._store.sources.record_target(due.video_id, target)
            await self._store.make_durable()
            try:
                return await self._uninterrupted(
                    partial(
                        source_file.move,
                        due,
                        target,
                        self._stopping,
                        begun=ours,
                        watched=self._config.path,
                        archive=archive,
                    )
                )
            except NameTaken:
                continue
        raise AssertionError("there is always another name")

    async def _check_source(self, due: DueSource) -> None:
        """Raise KeepSource unless everything is as expected, NotYet while it may still come to be."""
        if await asyncio.to_thread(source_file.is_gone, due, self._config.path):
            # One that was moved within the watch folder is found there by the next listing, and its path follows.
            grace_s = self._config.rescan_seconds + self._config.settle_seconds
            missed_at = self._missed_at.setdefault(due.video_id, self._monotonic())
            if self._monotonic() - missed_at <= grace_s:
                raise NotYet("it is not there")
            del self._missed_at[due.video_id]
            raise KeepSource("it is not there any more")
        self._missed_at.pop(due.video_id, None)
        await asyncio.to_thread(source_file.check_source, due, self._config.path)
        await self._check_finished(due)

    async def _check_finished(self, due: DueSource) -> None:
        """Raise KeepSource for what is not whole or is written to, NotYet where that cannot be known so soon."""
        record = await self._store.videos.get(due.video_id)
        if due.action == "delete" and (lost := what_is_lost(record, await self._last_s(record))):
            raise KeepSource(lost)
        container = await asyncio.to_thread(wholeness.look, due.file.path)
        if due.action == "delete" and container.why:
            raise KeepSource(container.why)
        sure = await asyncio.to_thread(
            lambda: source_file.keep_if_written_to(due.file.path, shared=is_shared(self._config))
        )
        # It is as it was admitted, so it has stood still since then.
        still_s = (datetime.now(UTC) - datetime.fromisoformat(due.queued_at)).total_seconds()
        if not sure and still_s < self._config.unfinished_s:
            needed = f"it has to stand still for {self._config.unfinished_s:.0f} s"
            raise NotStillYet(f"who writes to it cannot be seen: {needed}", self._config.unfinished_s - still_s)

    async def _last_s(self, record: VideoRecord) -> float:
        """The time of a film's last frame in seconds, infinite where it is not known."""
        last = (record.frames_decoded or 0) - 1
        rows = await self._store.frames.rows(record.id, [last])
        return rows[last].time_s if last in rows else math.inf

    async def _uninterrupted(self, callback: Callable[[], T]) -> T:
        """Run ``callback`` in a thread. At a stop it is asked to end, and awaited for a short time."""
        task = asyncio.ensure_future(asyncio.to_thread(callback))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._stopping.set()
            done, _ = await asyncio.wait([task], timeout=STOP_SECONDS)
            for ended in done:
                ended.exception()
            raise


def what_is_lost(record: VideoRecord, last_s: float) -> str:
    """Why a film must not be deleted: a part of it could not be decoded, or is not there. Empty for a whole one.

    ``last_s`` is the time of its last frame in seconds. Frames and duration are estimates: both must fall short.
    """
    if record.damaged:
        return f"it is damaged ({record.damage})" if record.damage else "it is damaged"
    if record.info is None or record.frames_decoded is None:
        return ""
    expected, duration_s = record.info.frames_estimate, record.info.duration_s or 0.0
    if record.frames_decoded < SHORTENED * expected and last_s < SHORTENED * duration_s:
        return f"it is shortened: {record.frames_decoded} of about {expected} frames are there"
    return ""


def _candidates(wanted: Path) -> Iterator[Path]:
    """The name itself, then ``film-2.mp4`` and so on."""
    yield wanted
    for number in itertools.count(2):
        yield wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
