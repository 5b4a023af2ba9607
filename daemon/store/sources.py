"""What becomes of a source once its stills are published: what is due, and what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.model import FileIdentity
from daemon.store.columns import CURRENT_SELECTION, path_of, path_value
from daemon.store.connection import Connection, as_store_error
from daemon.store.mapping import file_of


@dataclass(frozen=True, slots=True)
class DueSource:
    """A source that is to be moved or deleted.

    ``queued_at`` is when the video was taken (ISO 8601), ``target`` where an earlier try was moving it to, ``stills``
    are the files of the video's current selection and their sizes in bytes.
    """

    video_id: int
    file: FileIdentity
    queued_at: str
    action: str
    target: Path | None
    stills: Sequence[tuple[Path, int]]


class Sources:
    """The table ``sources``: a row is written with the ``done`` of its video, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def due(self) -> list[DueSource]:
        """Everything that is due, oldest first. Raises StoreError."""
        with as_store_error():
            async with self._connection.db.execute(
                "SELECT v.id, v.path, v.fingerprint, v.size_bytes, v.mtime_ns, v.digest, v.inode, v.queued_at,"
                " s.action, s.target"
                " FROM sources s JOIN videos v ON v.id = s.video_id"
                " WHERE s.state = 'due' AND v.status = 'done' ORDER BY s.at, v.id"
            ) as cursor:
                rows = list(await cursor.fetchall())
            return [
                DueSource(
                    video_id=row["id"],
                    file=file_of(row),
                    queued_at=row["queued_at"],
                    action=row["action"],
                    target=None if row["target"] is None else path_of(row["target"]),
                    stills=await self._current_stills(row["id"]),
                )
                for row in rows
            ]

    async def returned(self, video_id: int, reason: str) -> bool:
        """A source that was deleted is there again, and stays; whether there was one."""
        async with self._connection.writing() as db:
            cursor = await db.execute(
                "UPDATE sources SET state = 'kept', reason = ?, at = ? WHERE video_id = ? AND state = 'deleted'",
                (reason, self._connection.now(), video_id),
            )
            return cursor.rowcount > 0

    async def record_target(self, video_id: int, target: Path) -> None:
        """Note where a source is about to be moved to, for the start after a kill."""
        async with self._connection.writing() as db:
            await db.execute("UPDATE sources SET target = ? WHERE video_id = ?", (path_value(target), video_id))

    async def moved(self, video_id: int, file: FileIdentity) -> None:
        """It is there now; the video's path follows."""
        async with self._connection.writing() as db:
            await db.execute(
                "UPDATE videos SET path = ?, size_bytes = ?, mtime_ns = ?, inode = ? WHERE id = ?",
                (path_value(file.path), file.size_bytes, file.mtime_ns, file.inode, video_id),
            )
            await db.execute(
                "UPDATE sources SET state = 'moved', target = ?, at = ? WHERE video_id = ?",
                (path_value(file.path), self._connection.now(), video_id),
            )

    async def deleted(self, video_id: int) -> None:
        """It is gone; the video stays done."""
        async with self._connection.writing() as db:
            await db.execute(
                "UPDATE sources SET state = 'deleted', at = ? WHERE video_id = ?", (self._connection.now(), video_id)
            )

    async def kept(self, video_id: int, reason: str) -> None:
        """It stays where it is, for good."""
        async with self._connection.writing() as db:
            await db.execute(
                "UPDATE sources SET state = 'kept', reason = ?, at = ? WHERE video_id = ?",
                (reason, self._connection.now(), video_id),
            )

    async def _current_stills(self, video_id: int) -> list[tuple[Path, int]]:
        async with self._connection.db.execute(
            f"SELECT path, bytes FROM stills WHERE selection_id = ({CURRENT_SELECTION} ?) ORDER BY rank",
            (video_id,),
        ) as cursor:
            return [(path_of(row["path"]), row["bytes"]) for row in await cursor.fetchall()]
