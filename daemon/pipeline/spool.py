"""A file for what is needed for a while and may be too much for memory."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile, gettempdir
from typing import IO

from daemon.errors import Kind, StoreError

MEMORY_BYTES = 32 * 1024 * 1024
"""What it may be in memory; beyond it is on the disk."""


@contextmanager
def spool(folder: Path | None = None, memory_bytes: int = MEMORY_BYTES) -> Iterator[IO[bytes]]:
    """An empty file that nobody else sees, in a folder or where temporary files lie; it is gone with the block.

    Raises StoreError(DISK_FULL) where there is no room for it.
    """
    place = Path(gettempdir()) if folder is None else folder
    with SpooledTemporaryFile(memory_bytes, dir=str(place)) as file:
        try:
            yield file
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise StoreError(Kind.DISK_FULL, f"{place} has no room to look at the film in: make room there") from error
