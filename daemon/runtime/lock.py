"""The lock beside a database: one process works with it, others may see whether one does.

It lies beside the file itself, wherever links to the database lead, so that one database has one lock. What stands in
its place is never emptied and a link there is never followed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.errors import Kind, StoreError
from daemon.runtime.durable import make_synced_folder
from daemon.runtime.reading import READ

_OPEN = READ | os.O_NOFOLLOW
MODE = 0o660
"""Narrowed by the umask."""


@contextmanager
def only_one(database: Path) -> Iterator[None]:
    """Hold the lock beside the database. Raises StoreError(BUSY) when another process works with it.

    StoreError(DATABASE) where something that is no file stands in the lock's place, or it cannot be opened.
    """
    path = _lock_file(database)
    try:
        make_synced_folder(path.parent)
    except OSError as error:
        raise _not_opened(path, error) from error
    handle = _opened(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(
                Kind.BUSY,
                f"another stillwatch works with {database}: drop the files into its watch folder, or stop it first",
            ) from error
        yield
    finally:
        os.close(handle)


def is_locked(database: Path) -> bool:
    """Whether a daemon or a foreground run holds the lock beside the database.

    Raises StoreError(DATABASE) where the lock cannot be looked at.
    """
    try:
        handle = _opened(_lock_file(database), 0)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _opened(path: Path, flags: int) -> int:
    """Raises StoreError for what is no regular file or cannot be opened; FileNotFoundError, NotADirectoryError."""
    try:
        handle = os.open(path, _OPEN | flags, MODE)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _no_lock(path) from error
        raise _not_opened(path, error) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _no_lock(path)
    return handle


def _no_lock(path: Path) -> StoreError:
    return StoreError(Kind.DATABASE, f"{path} is no plain file, but stands where the lock belongs: remove it")


def _not_opened(path: Path, error: OSError) -> StoreError:
    reason = error.strerror or type(error).__name__
    return StoreError(
        Kind.DATABASE, f"{path} cannot be opened ({reason}): run as the user of the database, or give this one access"
    )


def beside(database: Path, ending: str) -> Path:
    """A file that belongs to a database: beside the file itself, wherever links to it lead."""
    real = Path(os.path.realpath(database))
    return real.with_name(real.name + ending)


def _lock_file(database: Path) -> Path:
    return beside(database, ".lock")
