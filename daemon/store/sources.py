"""What becomes of a source once its stills are published: what is due, and what was done."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import Kind, StoreError
from daemon.model import FileIdentity
from daemon.runtime.durable import sync
from daemon.store.connection import Connection, as_store_error
from daemon.store.mapping import path_of, path_value


@dataclass(frozen=True, slots=True)
class DueSource:
    """A source that is to be moved or deleted.

    ``queued_at`` is when the video was taken (ISO 8601), ``target`` where an earlier try was moving it to, ``stills``
    are the files of the video's newest selection and their sizes in bytes.
    """

    video_id: int
    file: FileIdentity
    queued_at: str
    action: str
    target: Path | None
    stills: Sequence[tuple[Path, int]]


class Sources(Connection):
    """The table ``sources``: a row is written with the ``done`` of its video, in one transaction."""

    async def due_sources(self) -> list[DueSource]:
        """Everything that is due, oldest first. Raises StoreError."""
        with as_store_error():
            async with self._db.execute(
                "SELECT v.id, v.path, v.fingerprint, v.size_bytes, v.mtime_ns, v.queued_at, s.action, s.target"
                " FROM sources s JOIN videos v ON v.id = s.video_id"
                " WHERE s.state = 'due' AND v.status = 'done' ORDER BY s.at, v.id"
            ) as cursor:
                rows = list(await cursor.fetchall())
            return [
                DueSource(
                    video_id=row["id"],
                    file=FileIdentity(path_of(row["path"]), row["fingerprint"], row["size_bytes"], row["mtime_ns"]),
                    queued_at=row["queued_at"],
                    action=row["action"],
                    target=None if row["target"] is None else path_of(row["target"]),
                    stills=await self._newest_stills(row["id"]),
                )
                for row in rows
            ]

    async def source_back(self, video_id: int, reason: str) -> bool:
        """A source that was deleted is there again, and stays; whether there was one."""
        async with self._writing() as db:
            cursor = await db.execute(
                "UPDATE sources SET state = 'kept', reason = ?, at = ? WHERE video_id = ? AND state = 'deleted'",
                (reason, self._clock(), video_id),
            )
            return cursor.rowcount > 0

    async def record_target(self, video_id: int, target: Path) -> None:
        """Note where a source is about to be moved to, for the start after a kill."""
        async with self._writing() as db:
            await db.execute("UPDATE sources SET target = ? WHERE video_id = ?", (path_value(target), video_id))

    async def source_moved(self, video_id: int, file: FileIdentity) -> None:
        """It is there now; the video's path follows."""
        async with self._writing() as db:
            await db.execute(
                "UPDATE videos SET path = ?, size_bytes = ?, mtime_ns = ? WHERE id = ?",
                (path_value(file.path), file.size_bytes, file.mtime_ns, video_id),
            )
            await db.execute(
                "UPDATE sources SET state = 'moved', target = ?, at = ? WHERE video_id = ?",
                (path_value(file.path), self._clock(), video_id),
            )

    async def source_deleted(self, video_id: int) -> None:
        """It is gone; the video stays done."""
        async with self._writing() as db:
            await db.execute(
                "UPDATE sources SET state = 'deleted', at = ? WHERE video_id = ?", (self._clock(), video_id)
            )

    async def source_kept(self, video_id: int, reason: str) -> None:
        """It stays where it is, for good."""
        async with self._writing() as db:
            await db.execute(
                "UPDATE sources SET state = 'kept', reason = ?, at = ? WHERE video_id = ?",
                (reason, self._clock(), video_id),
            )

    async def make_durable(self) -> None:
        """Have everything that is committed on the disk, so that a power failure can't take it back.

        With ``synchronous = NORMAL`` a commit ends in the write-ahead log, which is not synced. Recovery reads
        that log up to the last whole commit, and SQLite starts it over only once all of it is in the database and
        synced there: a sync of the log is all that is missing. A checkpoint would do more and promise less, since
        it is refused while a statement of this connection is open and stops where another reader needs the log.

        Raises StoreError when the log cannot be synced.
        """
        await self.flush()
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
            async with self._db.execute(
                "SELECT CAST(file AS BLOB) FROM pragma_database_list WHERE name = 'main'"
            ) as cursor:
                (row,) = await cursor.fetchall()
        return Path(os.fsdecode(row[0] + b"-wal"))

    async def _newest_stills(self, video_id: int) -> list[tuple[Path, int]]:
        async with self._db.execute(
            "SELECT path, bytes FROM stills WHERE selection_id ="
            " (SELECT MAX(id) FROM selections WHERE video_id = ?) ORDER BY rank",
            (video_id,),
        ) as cursor:
            return [(path_of(row["path"]), row["bytes"]) for row in await cursor.fetchall()]
