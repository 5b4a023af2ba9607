"""The lock beside a database: one process works with it, others may see whether one does."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.errors import Kind, StoreError
from daemon.runtime.durable import make_synced_folder


@contextmanager
def only_one(database: Path) -> Iterator[None]:
    """Hold the lock beside the database. Raises StoreError(BUSY) when another process works with it."""
    make_synced_folder(database.parent)
    with _lock_file(database).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(
                Kind.BUSY,
                f"another stillwatch works with {database}: drop the files into its watch folder, or stop it first",
            ) from error
        yield


def is_locked(database: Path) -> bool:
    """Whether a daemon or a foreground run holds the lock beside the database."""
    path = _lock_file(database)
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _lock_file(database: Path) -> Path:
    return database.with_name(database.name + ".lock")
