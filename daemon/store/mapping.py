"""How records are laid down in columns and read back."""

from __future__ import annotations

import sqlite3

from daemon.media.info_text import info_of
from daemon.model import FileIdentity, Status, VideoRecord
from daemon.store.columns import path_of


def file_of(row: sqlite3.Row) -> FileIdentity:
    """The file of a row of ``videos``."""
    return FileIdentity(
        path_of(row["path"]), row["fingerprint"], row["size_bytes"], row["mtime_ns"], row["digest"], row["inode"]
    )


def record(row: sqlite3.Row) -> VideoRecord:
    """A row of ``videos``."""
    path = path_of(row["path"])
    return VideoRecord(
        id=row["id"],
        file=file_of(row),
        status=Status(row["status"]),
        metric=row["metric"],
        lower_better=None if row["lower_better"] is None else bool(row["lower_better"]),
        scorer=row["scorer"],
        info=info_of(row["info"], path),
        frames_decoded=row["frames_decoded"],
        frames_scored=row["frames_scored"],
        damaged=bool(row["damaged"]),
        mixed=bool(row["mixed"]),
        error_kind=row["error_kind"],
        error=row["error"],
        attempts=row["attempts"],
        retries=row["retries"],
        damage=row["damage"],
        replaced_by=row["replaced_by"],
    )
