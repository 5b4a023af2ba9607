"""``watch.after``: what becomes of a source once its stills are proven, published and committed.

The order survives a kill at any moment: the wish is committed with the video's ``done``, the target of
a move before anything is moved, the outcome last. Whatever is not exactly as expected keeps the source.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from daemon.config.output import OutputConfig
from daemon.config.watch import WatchConfig
from daemon.errors import ConfigError, Kind, StoreError, VideoError
from daemon.events import Ended, Event
from daemon.inbox import stability
from daemon.logs.setup import get
from daemon.model import FileIdentity, Status
from daemon.runtime.retry import is_global
from daemon.store.sources import DueSource
from daemon.store.store import Store

log = get(__name__)

T = TypeVar("T")

RETRY_SECONDS = 60.0
STOP_SECONDS = 2.0
CHUNK_BYTES = 8 * 1024 * 1024
CLOCK_SECONDS = 2.0
"""Times of folders lag by so much, on FAT most."""


class _Kept(Exception):  # noqa: N818 - a decision, not a failure
    """The source stays where it is; the message says why."""


class _NotNow(Exception):  # noqa: N818 - a decision, not a failure
    """Nothing can be done yet; the message says why."""


class _Taken(Exception):  # noqa: N818 - another name is tried
    """The name belongs to somebody else."""


class _Stopped(Exception):  # noqa: N818 - the daemon stops, the next start goes on
    pass


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
        watch.after_path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"watch.after_path = {watch.after_path} cannot be made: {error.strerror}") from error


class SourceDisposal:
    """Does what is due, one source after the other: ``tell`` it the news, ``run`` it."""

    def __init__(self, config: WatchConfig, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._store = store
        self._monotonic = monotonic
        self._wake = asyncio.Event()
        self._stopping = threading.Event()
        self._said: dict[int, str] = {}
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
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if waiting else None):
                    await self._wake.wait()

    async def _round(self) -> bool:
        """Everything that is due now; whether something has to be tried again."""
        waiting = False
        try:
            for due in await self._store.due_sources():
                waiting |= not await self._one(due)
        except StoreError as error:
            log.warning("source.waiting", reason=error.sentence)
            return True
        except Exception as error:
            # An attendant that ends is not started again.
            log.error("source.waiting", reason=repr(error), exc_info=error)
            return True
        return waiting

    async def _one(self, due: DueSource) -> bool:
        """One source; False when it has to be tried again. Raises StoreError for what would meet every source."""
        try:
            await self._settle(due)
        except (OSError, VideoError, _NotNow) as error:
            return self._failed(due, str(error))
        except Exception as error:
            if isinstance(error, StoreError) and is_global(error):
                raise
            return self._failed(due, repr(error), error)
        self._said.pop(due.video_id, None)
        return True

    async def _settle(self, due: DueSource) -> None:
        bound = log.bind(video=str(due.file.path), video_id=due.video_id)
        try:
            if due.action != self._config.after:
                raise _Kept(f"watch.after is {self._config.after} now")
            if due.action == "delete":
                await self._delete(due)
                bound.info("source.deleted")
            else:
                moved = await self._move(due)
                await self._store.source_moved(due.video_id, moved)
                bound.info("source.moved", to=str(moved.path))
        except _Kept as kept:
            await self._store.source_kept(due.video_id, str(kept))
            bound.warning("source.kept", reason=str(kept))

    def _failed(self, due: DueSource, reason: str, unforeseen: Exception | None = None) -> bool:
        """Say once why a source has to wait; always False."""
        if self._said.get(due.video_id) != reason:
            bound = log.bind(video=str(due.file.path), video_id=due.video_id)
            if unforeseen is None:
                bound.warning("source.failed", reason=reason)
            else:
                bound.error("source.failed", reason=reason, exc_info=unforeseen)
        self._said[due.video_id] = reason
        return False

    async def _delete(self, due: DueSource) -> None:
        # A target that is the source itself says that the deletion had begun: what is gone then, we deleted.
        begun = due.target == due.file.path
        if not (begun and await asyncio.to_thread(_gone, due, self._config.path)):
            await self._require(due)
            await self._store.record_target(due.video_id, due.file.path)
            await self._store.make_durable()
            await self._to_the_end(lambda: _delete_file(due.file))
        await self._store.source_deleted(due.video_id)

    async def _move(self, due: DueSource) -> FileIdentity:
        assert self._config.after_path is not None
        if due.target is not None and (there := await self._to_the_end(lambda: _arrived(due))) is not None:
            return there
        await self._require(due)
        if not due.file.path.is_relative_to(self._config.path):
            # watch.path was a link to where it leads now: what would be the subfolder under after_path?
            raise _Kept(f"its path does not begin with watch.path = {self._config.path} any more")
        wanted = self._config.after_path / due.file.path.relative_to(self._config.path)
        await asyncio.to_thread(_make_folder, wanted.parent)
        for target in _candidates(wanted):
            ours = target == due.target
            if not ours and await asyncio.to_thread(os.path.lexists, target):
                continue
            await self._store.record_target(due.video_id, target)
            await self._store.make_durable()
            try:
                return await self._to_the_end(partial(_move_file, due, target, self._stopping, begun=ours))
            except _Taken:
                continue
        raise AssertionError("there is always another name")

    async def _require(self, due: DueSource) -> None:
        """Raise _Kept unless everything is as expected, _NotNow while it may still come to be."""
        if await asyncio.to_thread(_gone, due, self._config.path):
            # One that was moved within the watch folder is found there by the next listing, and its path follows.
            patience_s = self._config.rescan_seconds + self._config.settle_seconds
            missed_at = self._missed_at.setdefault(due.video_id, self._monotonic())
            if self._monotonic() - missed_at <= patience_s:
                raise _NotNow("it is not there")
            del self._missed_at[due.video_id]
            raise _Kept("it is not there any more")
        self._missed_at.pop(due.video_id, None)
        await asyncio.to_thread(_require, due, self._config.path)

    async def _to_the_end(self, work: Callable[[], T]) -> T:
        """Work in a thread; at the stop it is asked to end, and waited for a short time."""
        task = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._stopping.set()
            done, _ = await asyncio.wait([task], timeout=STOP_SECONDS)
            for one in done:
                one.exception()
            raise


def _candidates(wanted: Path) -> Iterator[Path]:
    """The name itself, then ``film-2.mp4`` and so on."""
    yield wanted
    for number in itertools.count(2):
        yield wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")


def _require(due: DueSource, watched: Path) -> None:
    """Raise _Kept unless the stills are there and the source is the file that was admitted, in the watch folder."""
    if not due.stills or not all(path.is_file() and path.stat().st_size == size for path, size in due.stills):
        raise _Kept("its stills are not there as they were published")
    path = due.file.path
    look = path.lstat()
    if stat.S_ISLNK(look.st_mode):
        raise _Kept("it is a symbolic link")
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(watched)):
        raise _Kept("it lies outside of the watch folder")
    _require_unchanged(due.file, look)


def _gone(due: DueSource, watched: Path) -> bool:
    """Whether the source is not there although the folders that it can be in are; _NotNow while those are away.

    A folder changes when it loses a file; the empty place that a disk leaves behind does not.
    """
    if _look(due.file.path) is not None:
        return False
    since_s = datetime.fromisoformat(due.queued_at).timestamp() - CLOCK_SECONDS
    places = [(due.file.path.parent, watched)] if due.file.path.is_relative_to(watched) else []
    if due.action == "move" and due.target is not None:
        places.append((due.target.parent, due.target.parent))
    for folder, top in places:
        left = next((one for one in (folder, *folder.parents) if one.is_relative_to(top) and one.is_dir()), None)
        if left is None or left.stat().st_mtime < since_s:
            raise _NotNow(f"it is not there: the disk of {folder} may be away")
    return True


def _require_unchanged(file: FileIdentity, look: os.stat_result) -> None:
    if not stat.S_ISREG(look.st_mode) or (look.st_size, stability.mtime_ns(look)) != (file.size_bytes, file.mtime_ns):
        raise _Kept("it was changed after it was scored")


def _require_content(path: Path, file: FileIdentity) -> None:
    try:
        same = stability.fingerprint(path).fingerprint == file.fingerprint
    except VideoError as error:
        if error.kind is not Kind.CHANGED:
            raise
        same = False
    if not same:
        raise _Kept("its content is not what was scored")


def _delete_file(file: FileIdentity) -> None:
    _require_content(file.path, file)
    _require_unchanged(file, file.path.lstat())
    file.path.unlink()
    _sync(file.path.parent)


def _look(path: Path) -> os.stat_result | None:
    """What is there, None for nothing. What cannot be known is raised: a disk that fails holds what it holds."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _arrived(due: DueSource) -> FileIdentity | None:
    """Where the source is, when an earlier try had brought it there; what it left behind is removed."""
    assert due.target is not None
    there = _look(due.target)
    if there is None or not stat.S_ISREG(there.st_mode) or there.st_size == 0:
        return None
    try:
        _require_content(due.target, due.file)
    except _Kept:
        return None
    if (left := _look(due.file.path)) is not None:
        _require_unchanged(due.file, left)
        due.file.path.unlink()
        _sync(due.file.path.parent)
    return _identity(due.target, due.file)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        stands = next((one for one in (folder, *folder.parents) if os.path.lexists(one) and not one.is_dir()), folder)
        raise _NotNow(f"{stands} is no folder, but stands where one is needed: move it away") from error


def _claim(target: Path, *, begun: bool) -> None:
    """Take a name with an empty file; ``begun`` says that one that is there is ours. Raises _Taken."""
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    except FileExistsError as error:
        look = _look(target)
        if not begun or look is None or not stat.S_ISREG(look.st_mode) or look.st_size:
            raise _Taken from error


def _move_file(due: DueSource, target: Path, stopping: threading.Event, *, begun: bool) -> FileIdentity:
    """Move without ever replacing a file of somebody else's. Raises _Taken when the name was taken.

    The name is claimed with an empty file first, which the rename then replaces.
    """
    source = due.file.path
    _claim(target, begun=begun)
    try:
        try:
            source.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_file(due, target, stopping)
        else:
            _give_back_if_changed(due.file, target)
    except BaseException:
        with suppress(FileNotFoundError):
            if target.lstat().st_size == 0:
                target.unlink()
        raise
    _sync(target.parent)
    _sync(source.parent)
    return _identity(target, due.file)


def _give_back_if_changed(file: FileIdentity, target: Path) -> None:
    """The file may have been replaced in the moment before the rename."""
    try:
        _require_unchanged(file, target.lstat())
    except _Kept:
        if not os.path.lexists(file.path):
            target.rename(file.path)
        raise


def _copy_file(due: DueSource, target: Path, stopping: threading.Event) -> None:
    """To another file system: a whole, proven copy takes the name in one step, then the source goes."""
    source, part = due.file.path, target.with_name(f".stillwatch-{due.video_id}.part")
    if shutil.disk_usage(target.parent).free < due.file.size_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target.parent))
    try:
        with source.open("rb") as reader, part.open("wb") as writer:
            while chunk := reader.read(CHUNK_BYTES):
                if stopping.is_set():
                    raise _Stopped
                writer.write(chunk)
            writer.flush()
            # Not every file system can hold the mode and the times.
            with suppress(OSError):
                shutil.copystat(source, part)
            os.fsync(writer.fileno())
        _require_content(part, due.file)
        _require_unchanged(due.file, source.lstat())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    _sync(target.parent)
    source.unlink()


def _identity(path: Path, file: FileIdentity) -> FileIdentity:
    look = path.stat()
    return replace(file, path=path, size_bytes=look.st_size, mtime_ns=stability.mtime_ns(look))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
