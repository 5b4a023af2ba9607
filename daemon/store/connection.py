"""The connection: opening, migrations, group commits.

One connection, one lock: no transaction of one task can hold statements of another.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Self

import aiosqlite

from daemon.config import DatabaseConfig
from daemon.errors import Kind, StillwatchError, StoreError

SCHEMA_VERSION = 1
MIGRATIONS: dict[int, str] = {}
"""SQL that lifts a database from the key's version to the next."""

_WAL_LIMIT_BYTES = 64 * 1024 * 1024


def utc_now() -> str:
    """The time now, ISO 8601 in UTC to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Connection:
    """An open database with grouped and immediate transactions. Made by ``open``; must be closed."""

    def __init__(
        self, connection: aiosqlite.Connection, commit_seconds: float, clock: Callable[[], str] = utc_now
    ) -> None:
        self._db = connection
        self._commit_seconds = commit_seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._pending_since: float | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

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
            config.path.parent.mkdir(parents=True, exist_ok=True)
            db = await aiosqlite.connect(config.path, timeout=config.busy_seconds, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(Kind.DATABASE, f"{config.path} cannot be opened: {error}") from error
        try:
            await db.execute("PRAGMA foreign_keys = ON")
            await db.execute("PRAGMA journal_mode = WAL")
            await db.execute("PRAGMA synchronous = NORMAL")
            await db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
            db.row_factory = sqlite3.Row
            await migrate(db, config.path)
        except sqlite3.Error as error:
            await db.close()
            raise StoreError(Kind.DATABASE, f"{config.path} is not usable: {error}") from error
        except StillwatchError:
            await db.close()
            raise
        return cls(db, config.commit_seconds, clock)

    async def close(self) -> None:
        """Commit what is pending and close the connection."""
        try:
            await self.flush()
        finally:
            if self._flusher is not None:
                self._flusher.cancel()
            await self._db.close()

    async def flush(self) -> None:
        """Commit pending scores now."""
        async with self._lock:
            await self._commit()

    async def _flush_at(self, due: float) -> None:
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        try:
            await self.flush()
        except sqlite3.Error as error:
            self._failure = error

    async def _commit(self) -> None:
        if self._pending_since is not None:
            self._pending_since = None
            await self._db.execute("COMMIT")

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[aiosqlite.Connection]:
        """A transaction that commits at its end, pending scores included."""
        async with self._lock:
            if self._pending_since is None:
                await self._db.execute("BEGIN IMMEDIATE")
            self._pending_since = None
            try:
                yield self._db
            except BaseException:
                await self._db.execute("ROLLBACK")
                raise
            await self._db.execute("COMMIT")


async def migrate(db: aiosqlite.Connection, path: Path) -> None:
    """Bring the schema up to date. Raises StoreError(DATABASE) for one that is newer than this code."""
    async with db.execute("PRAGMA user_version") as cursor:
        row = await cursor.fetchone()
    version = int(row[0]) if row is not None else 0
    if version > SCHEMA_VERSION:
        raise StoreError(
            Kind.DATABASE,
            f"{path} was written by a newer stillwatch (schema {version}, this one knows {SCHEMA_VERSION}): update it",
        )
    if version == 0:
        await _apply(db, (files("daemon.store") / "schema.sql").read_text(encoding="utf-8"), SCHEMA_VERSION)
    for step in range(max(version, 1), SCHEMA_VERSION):
        await _apply(db, MIGRATIONS[step], step + 1)


async def _apply(db: aiosqlite.Connection, script: str, version: int) -> None:
    """A schema step and its version number, both or neither."""
    await db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {version};\nCOMMIT;")
