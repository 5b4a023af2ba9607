"""Another database beside this one, to be read and never written: attached to this one's connection as ``other``.

::

    at rest, of this version    →  attached as it lies (immutable: no log or index is made beside it)
    a program works with it     →  attached read-only, with its log: what is committed counts
    of an older version         →  copied, the copy is brought up to date and attached
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from daemon.errors import Kind, StoreError
from daemon.runtime.reading import opened
from daemon.store.connection import Connection, as_store_error
from daemon.store.migrate import SCHEMA_VERSION, is_unfinished, migrate

NAME = "other"
_MAGIC = b"SQLite format 3\0"


@asynccontextmanager
async def attached(connection: Connection, path: Path) -> AsyncIterator[None]:
    """Have the database at ``path`` as the schema ``other`` of the connection, for as long as the block lasts.

    Raises StoreError(NOT_FOUND) where there is none, StoreError(DATABASE) for what is no database of stillwatch or
    cannot be read, or was written while it was taken to be at rest.
    """
    if connection.is_at(path):
        raise StoreError(Kind.DATABASE, f"{path} is the database of this configuration itself: name others")
    with tempfile.TemporaryDirectory(prefix="stillwatch-merge-") as folder:
        source = _Source.of(path)
        if await asyncio.to_thread(source.is_older):
            source = _Source.of(await asyncio.to_thread(source.lifted, Path(folder)))
        await connection.flush()
        with _as_unreadable(path):
            await connection.db.execute(f"ATTACH ? AS {NAME}", (source.uri,))
        try:
            yield
            source.require_rest()
        finally:
            with as_store_error():
                await connection.db.execute(f"DETACH {NAME}")


class _Source:
    """A database file as it was when it was first looked at."""

    def __init__(self, path: Path, at_rest: tuple[int, int, int] | None) -> None:
        self._path = path
        self._at_rest = at_rest
        how = "mode=ro" if at_rest is None else "mode=ro&immutable=1"
        self.uri = f"file:{quote(os.fsencode(path))}?{how}"

    @classmethod
    def of(cls, path: Path) -> _Source:
        """Raises StoreError for what is no database."""
        # SQLite puts the log beside the file that a link leads to.
        real = Path(os.path.realpath(path))
        try:
            with opened(real) as handle:
                # What is no plain file has no first bytes either.
                if os.pread(handle, len(_MAGIC), 0) != _MAGIC:
                    raise _not_ours(path)
        except FileNotFoundError as error:
            raise StoreError(Kind.NOT_FOUND, f"there is no database {path}") from error
        except OSError as error:
            raise StoreError(Kind.DATABASE, f"{path} cannot be read: {error.strerror}") from error
        return cls(real, None if _has_log(real) else _look(real))

    def is_older(self) -> bool:
        """Whether it is of an older version, or was not brought up to date to its end. Raises StoreError."""
        with _as_unreadable(self._path), self._connection() as db:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'videos'").fetchone() is None:
                raise _not_ours(self._path)
            if version > SCHEMA_VERSION:
                raise StoreError(
                    Kind.DATABASE,
                    f"{self._path} was written by a newer stillwatch (schema {version}, not {SCHEMA_VERSION}): update"
                    " this one",
                )
            return version < SCHEMA_VERSION or is_unfinished(db)

    def lifted(self, folder: Path) -> Path:
        """A copy in ``folder``, brought up to date. Raises StoreError."""
        copy = folder / "lifted.db"
        with _as_unreadable(self._path):
            with self._connection() as db, closing(sqlite3.connect(copy)) as target:
                db.backup(target)
            migrate(copy, busy_seconds=1.0)
        return copy

    def require_rest(self) -> None:
        """Raise StoreError(DATABASE) when somebody has written to a file that was taken to be at rest."""
        if self._at_rest is not None and (_has_log(self._path) or _look(self._path) != self._at_rest):
            raise StoreError(
                Kind.DATABASE, f"{self._path} was written while it was read: merge it again once nobody works with it"
            )

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.uri, uri=True, isolation_level=None)) as db:
            yield db


def _has_log(path: Path) -> bool:
    """Whether there is a write-ahead log with something in it, or an older kind of journal."""
    for ending in ("-wal", "-journal"):
        with suppress(OSError):
            if path.with_name(path.name + ending).stat().st_size:
                return True
    return False


def _look(path: Path) -> tuple[int, int, int]:
    look = path.stat()
    return look.st_ino, look.st_size, look.st_mtime_ns


def _not_ours(path: Path) -> StoreError:
    return StoreError(Kind.DATABASE, f"{path} is no database of stillwatch: name the file that database.path was there")


@contextmanager
def _as_unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreError(
            Kind.DATABASE,
            f"{path} cannot be read ({error}): end what works with it, or copy it with its -wal file to where you may"
            " write",
        ) from error
    except sqlite3.Error as error:
        raise StoreError(Kind.DATABASE, f"{path} is not usable: {error}") from error
