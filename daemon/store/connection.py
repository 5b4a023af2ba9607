"""The connection: opening, transactions, group commits.

One connection, one lock: no transaction of one task can hold statements of another.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite

from daemon.config.service import DatabaseConfig
from daemon.errors import Kind, StoreError
from daemon.runtime import systemd
from daemon.runtime.clock import utc_now
from daemon.runtime.durable import make_synced_folder, sync
from daemon.runtime.stall import run_in_abandonable_thread
from daemon.store.migrate import SCHEMA_VERSION, migrate

T = TypeVar("T")

_WAL_LIMIT_BYTES = 64 * 1024 * 1024
_EXTENSION_SECONDS = 120
_TOLD_SECONDS = 1.0
_MODE = 0o660
"""Narrowed by the umask."""


class Connection:
    """An open database with grouped and immediate transactions. Made by ``open``; must be closed."""

    def __init__(
        self, connection: aiosqlite.Connection, path: Path, commit_seconds: float, clock: Callable[[], str] = utc_now
    ) -> None:
        self.db = connection
        self._path = path
        self._file = _device_and_inode(path)
        self._beside: dict[Path, tuple[int, int] | None] = {}
        self._commit_seconds = commit_seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._pending_since: float | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._pending: set[int] = set()
        self._lost: dict[int, StoreError] = {}
        self._before_commit: Callable[[aiosqlite.Connection], Awaitable[None]] | None = None
        self._after_group: Callable[[], None] | None = None

    def with_group(
        self, before_commit: Callable[[aiosqlite.Connection], Awaitable[None]], after: Callable[[], None]
    ) -> None:
        """Have rows written at the end of each group of pending scores, in its transaction.

        ``before_commit`` may be called again when the commit fails; ``after`` follows the group's end, whichever it is.
        """
        self._before_commit, self._after_group = before_commit, after

    @classmethod
    async def open(cls, config: DatabaseConfig, *, create: bool = True, clock: Callable[[], str] = utc_now) -> Self:
        """Open or create the database and bring its schema up to date.

        With ``create`` False a missing file is a StoreError(NOT_FOUND). A file that is no database, or
        one written by a newer stillwatch, is a StoreError(DATABASE).
        """
        if not create and not config.path.exists():
            raise StoreError(
                Kind.NOT_FOUND,
                f"there is no database {config.path} yet: start `stillwatch run` or `once` first",
            )
        try:
            make_synced_folder(config.path.parent)
            if create:
                # SQLite would make it readable for everybody; log and index get the same mode.
                os.close(os.open(config.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, _MODE))
            # Whoever does not want to wait for it ends the process: the next start goes on.
            await run_in_abandonable_thread(lambda: _upgrade(config), "upgrade")
            # A URI is what another database is attached by.
            uri = config.path.absolute().as_uri()
            db = await aiosqlite.connect(uri, uri=True, timeout=config.busy_seconds, isolation_level=None)
        except (OSError, sqlite3.OperationalError) as error:
            kind = Kind.BUSY if "locked" in str(error) else Kind.DATABASE
            raise StoreError(kind, f"{config.path} cannot be opened: {error}") from error
        except sqlite3.Error as error:
            raise StoreError(Kind.DATABASE, f"{config.path} is not usable: {error}") from error
        async with AsyncExitStack() as failing:
            # Its thread would keep the process from ending.
            failing.push_async_callback(db.close)
            try:
                await db.execute("PRAGMA foreign_keys = ON")
                await db.execute("PRAGMA journal_mode = WAL")
                await db.execute("PRAGMA synchronous = NORMAL")
                await db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
                # The log and its index are opened by the first look into the database.
                await db.execute_fetchall("SELECT COUNT(*) FROM sqlite_master")
                db.row_factory = sqlite3.Row
                connection = cls(db, config.path, config.commit_seconds, clock)
                await connection._note_log()
            except sqlite3.Error as error:
                kind = Kind.BUSY if "locked" in str(error) else Kind.DATABASE
                raise StoreError(kind, f"{config.path} is not usable: {error}") from error
            failing.pop_all()
        return connection

    async def close(self) -> None:
        """Commit what is pending and close the connection."""
        try:
            await self.flush()
        finally:
            if self._flusher is not None:
                self._flusher.cancel()
            await self.db.close()

    async def require_file(self) -> None:
        """Raise StoreError(DATABASE) when the file or its log was deleted or replaced: what is written is lost."""
        if await asyncio.to_thread(_device_and_inode, self._path) != self._file:
            raise StoreError(
                Kind.DATABASE, f"{self._path} was deleted or replaced while it was in use: put it back, or start again"
            )
        for path, known in self._beside.items():
            if await asyncio.to_thread(_device_and_inode, path) != known:
                raise StoreError(
                    Kind.DATABASE,
                    f"{path} was deleted or replaced while it was in use: stop and start again",
                )

    def is_at(self, path: Path) -> bool:
        """Whether this very database is what the path leads to."""
        return _device_and_inode(path) == self._file

    async def _note_log(self) -> None:
        """Know the write-ahead log and its index by what they are: they stay the same while they are open."""
        log = await self._write_ahead_log()
        for path in (log, log.with_name(log.name.removesuffix("-wal") + "-shm")):
            if (known := await asyncio.to_thread(_device_and_inode, path)) is not None:
                self._beside[path] = known

    async def set_busy_timeout(self, busy_seconds: float) -> None:
        """Wait no longer than this for another writer from now on."""
        await self.db.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}")

    async def flush(self) -> None:
        """Commit pending scores now."""
        async with self._lock:
            await self._commit()

    async def make_durable(self) -> None:
        """Have everything that is committed on the disk, so that a power failure can't take it back.

        With ``synchronous = NORMAL`` a commit ends in the write-ahead log, which is not synced. Recovery reads
        that log up to the last whole commit, and SQLite starts it over only once all of it is in the database and
        synced there: a sync of the log is all that is missing. A checkpoint would do more and promise less, since
        it is refused while a statement of this connection is open and stops where another reader needs the log.

        Raises StoreError when the log cannot be synced, or is not the one that others would read.
        """
        await self.flush()
        await self.require_file()
        log = await self._write_ahead_log()
        try:
            # SQLite's locks are on the database and its index, never on the log: closing it takes none of them away.
            await asyncio.to_thread(sync, log)
        except OSError as error:
            kind = Kind.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else Kind.DATABASE
            raise StoreError(kind, f"{log} cannot be synced ({error.strerror}): check the disk it is on") from error

    async def _write_ahead_log(self) -> Path:
        # SQLite itself is asked: it puts the log beside the file that a link leads to.
        with as_store_error():
            async with self.db.execute(
                "SELECT CAST(file AS BLOB) FROM pragma_database_list WHERE name = 'main'"
            ) as cursor:
                (row,) = await cursor.fetchall()
        return Path(os.fsdecode(row[0] + b"-wal"))

    async def data_version(self) -> int:
        """A number that changes when another connection has written."""
        await self.require_file()
        async with self.db.execute("PRAGMA data_version") as cursor:
            row = await cursor.fetchone()
        return int(row[0]) if row is not None else 0

    async def _flush_at(self, due: float) -> None:
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        # Whoever has lost rows by it is told by `require_kept`; a group that is still open is tried again.
        with suppress(StoreError):
            await self.flush()

    async def _commit(self) -> None:
        """End the group of pending scores; the lock is held."""
        if self._pending_since is None:
            return
        try:
            with as_store_error():
                if self._before_commit is not None:
                    await self._before_commit(self.db)
                if self.db.in_transaction:
                    await to_the_end(self.db.execute("COMMIT"))
        except StoreError as error:
            self._group_failed(error)
            raise
        finally:
            if not self.db.in_transaction:
                self._group_ended()

    def _group_ended(self) -> None:
        self._pending_since = None
        self._pending.clear()
        if self._after_group is not None:
            self._after_group()

    def _group_failed(self, error: StoreError) -> None:
        """SQLite itself rolls a group back for some causes, such as a full disk; remember whose rows went."""
        if not self.db.in_transaction:
            self._lost.update(dict.fromkeys(self._pending, error))
            self._group_ended()

    def now(self) -> str:
        """The time now, as the store writes it."""
        return self._clock()

    def forget_lost(self, video_id: int) -> None:
        """A video is scored anew: rows that were lost before do not matter any more."""
        self._lost.pop(video_id, None)

    def lose(self, video_id: int, error: StoreError) -> None:
        """Rows of the video that were taken as written cannot be: ``require_kept`` says so."""
        self._lost[video_id] = error

    def require_kept(self, video_id: int) -> None:
        """Raise what has undone rows of the video that were taken as written."""
        error = self._lost.pop(video_id, None)
        if error is not None:
            raise StoreError(error.kind, error.sentence) from error

    @asynccontextmanager
    async def in_group(self, video_id: int) -> AsyncIterator[aiosqlite.Connection]:
        """Within the group of pending scores, which is begun and ended as its time says; what is written is no piece.

        Whoever writes here uses ``piece``; rows that are kept for ``before_commit`` need none. The transaction begins
        with the first piece: others who write have the database while rows are only waiting.
        """
        loop = asyncio.get_running_loop()
        async with self._lock:
            self.require_kept(video_id)
            started = self._pending_since is None
            try:
                with as_store_error():
                    if started:
                        self._pending_since = loop.time()
                    yield self.db
            except BaseException as error:
                try:
                    if started:
                        await to_the_end(self._undo("ROLLBACK"))
                finally:
                    if started:
                        self._group_ended()
                    elif isinstance(error, StoreError):
                        self._group_failed(error)
                raise
            self._pending.add(video_id)
            due = (self._pending_since or 0.0) + self._commit_seconds
            if loop.time() >= due:
                await self._commit()
            elif self._flusher is None or self._flusher.done():
                self._flusher = asyncio.create_task(self._flush_at(due))

    @asynccontextmanager
    async def piece(self) -> AsyncIterator[None]:
        """A part of the transaction of a group, begun where none is open: all of it or nothing, and that goes on."""
        try:
            with as_store_error():
                if not self.db.in_transaction:
                    await self.db.execute("BEGIN IMMEDIATE")
                await self.db.execute("SAVEPOINT piece")
                yield
                await self.db.execute("RELEASE piece")
        except BaseException:
            await to_the_end(self._undo("ROLLBACK TO piece", "RELEASE piece"))
            raise

    @asynccontextmanager
    async def grouped(self, video_id: int) -> AsyncIterator[aiosqlite.Connection]:
        """A piece of the group of pending scores: all of it or nothing, and the group goes on."""
        async with self.in_group(video_id) as db, self.piece():
            yield db

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[aiosqlite.Connection]:
        """A transaction of its own, after the pending scores are committed."""
        async with self._lock:
            await self._commit()
            with as_store_error():
                try:
                    await self.db.execute("BEGIN IMMEDIATE")
                    yield self.db
                    await self.db.execute("COMMIT")
                except BaseException:
                    await to_the_end(self._undo("ROLLBACK"))
                    raise

    async def _undo(self, *statements: str) -> None:
        """Statements run in the order they were given to the connection, so this follows what was cancelled."""
        for statement in statements:
            try:
                await self.db.execute(statement)
            except sqlite3.OperationalError:
                # There was nothing to undo: the transaction did not begin, or its end got through.
                return


async def to_the_end(statement: Awaitable[T]) -> T:
    """Await something that must not be left half done; a cancellation is passed on afterwards."""
    task = asyncio.ensure_future(statement)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
        except BaseException:  # raised by task.result() below
            pass
    if cancelled:
        raise asyncio.CancelledError
    return task.result()


@contextmanager
def as_store_error() -> Iterator[None]:
    """SQLite's errors as a StoreError with the fix."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise StoreError(
                Kind.BUSY, "another program holds the database locked: end it, or raise database.busy_seconds"
            ) from error
        if "full" in str(error):
            raise StoreError(Kind.DISK_FULL, "the disk of the database is full: make room there") from error
        raise StoreError(Kind.DATABASE, f"the database cannot be used: {error}") from error
    except sqlite3.Error as error:
        raise StoreError(Kind.DATABASE, f"the database refuses this: {error}") from error


def _device_and_inode(path: Path) -> tuple[int, int] | None:
    """Device and inode; None for a file that is not there."""
    try:
        look = path.stat()
    except OSError:
        return None
    return look.st_dev, look.st_ino


def _upgrade(config: DatabaseConfig) -> None:
    """Open and close once, so that aiosqlite finds a file that is well: it leaves a thread behind when that fails."""
    began = time.monotonic()
    told = False

    def on_piece(frames: int) -> None:
        nonlocal told
        # A start that upgrades is slow, not stuck.
        systemd.tell(
            f"EXTEND_TIMEOUT_USEC={_EXTENSION_SECONDS * 1_000_000}", f"STATUS=upgrading: {frames} frames moved"
        )
        if not told and time.monotonic() - began > _TOLD_SECONDS:
            told = True
            log = _logger()
            log.info("database.upgrading", path=str(config.path), version=SCHEMA_VERSION)

    moved = migrate(config.path, config.busy_seconds, on_piece)
    if moved:
        log, seconds = _logger(), round(time.monotonic() - began, 1)
        log.info("database.upgraded", path=str(config.path), version=SCHEMA_VERSION, frames=moved, seconds=seconds)


def _logger() -> Any:
    # Commands that only look do without the log.
    from daemon.logs.setup import get

    return get(__name__)
