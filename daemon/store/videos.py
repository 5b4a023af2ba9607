"""The rows of the table ``videos``: looking one up, and whether a file on the disk has one."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from daemon.errors import Kind, StoreError
from daemon.model import FileIdentity, Status, VideoRecord
from daemon.store.columns import path_of, path_value
from daemon.store.connection import Connection
from daemon.store.mapping import record

Look: TypeAlias = tuple[Path, int, int] | tuple[Path, int, int, int | None]
"""What a look at a file has shown: path, size in bytes, mtime in nanoseconds, and its inode; None is not compared."""


class Videos:
    """Videos by id, path, content or status."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, video_id: int) -> VideoRecord:
        """One video by id. Raises StoreError(NOT_FOUND)."""
        records = await self._records("WHERE id = ?", (video_id,))
        if not records:
            raise StoreError(Kind.NOT_FOUND, f"there is no video {video_id}: see `stillwatch list`")
        return records[0]

    async def find(self, key: str) -> VideoRecord:
        """The newest video that the key names: id, path, file name or start (6 or more) of the fingerprint or
        digest. Of a name, the video whose content is there now.

        Names are the same in either Unicode normal form. Raises StoreError: NOT_FOUND, also when a name is that of
        files in several folders.
        """
        if key.isdecimal() and len(key) <= 18 and (records := await self._records("WHERE id = ?", (int(key),))):
            return records[0]
        if records := await self.at_path(Path(os.path.abspath(key))):
            return records[0]
        if key:
            # As bytes, since a name that is not UTF-8 is stored so.
            tail = os.fsencode("/" + key)
            where = "WHERE substr(CAST(path AS BLOB), ?) = ? ORDER BY status = 'replaced', id DESC"
            if records := await self._records(where, (-len(tail), tail)) or await self._in_other_form(key):
                return _only(key, records)
        if len(key) >= 6 and key.isalnum() and key.isascii():
            where = "WHERE substr(fingerprint, 1, ?1) = ?2 OR substr(digest, 1, ?1) = ?2"
            if records := await self._records(
                f"{where} ORDER BY status = 'replaced', id DESC LIMIT 1", (len(key), key)
            ):
                return records[0]
        raise StoreError(Kind.NOT_FOUND, f"no video is known as {key!r}: see `stillwatch list`")

    async def _in_other_form(self, key: str) -> list[VideoRecord]:
        """Videos whose path ends like the key but for the Unicode normal form, newest first."""
        if key.isascii():
            return []
        tail = unicodedata.normalize("NFC", str("/" / Path(key)))
        async with self._connection.db.execute("SELECT id, path FROM videos ORDER BY id DESC") as cursor:
            paths = [(row[0], str(path_of(row[1]))) for row in await cursor.fetchall()]
        ids = [video_id for video_id, path in paths if unicodedata.normalize("NFC", path).endswith(tail)]
        return [await self.get(video_id) for video_id in ids]

    async def counts(self) -> dict[str, int]:
        """How many videos stand in each status."""
        async with self._connection.db.execute("SELECT status, COUNT(*) FROM videos GROUP BY status") as cursor:
            counts = {row[0]: row[1] for row in await cursor.fetchall()}
        return {status.value: counts.get(status.value, 0) for status in Status}

    async def unknown(self, candidates: Sequence[Look]) -> list[Path]:
        """Those that no row describes."""
        missing: list[Path] = []
        for start in range(0, len(candidates), 200):
            part = candidates[start : start + 200]
            values = ",".join("(?,?,?,?)" for _ in part)
            arguments = [value for path, *look in part for value in (path_value(path), *look, None)[:4]]
            async with self._connection.db.execute(
                f"WITH c (path, size_bytes, mtime_ns, inode) AS (VALUES {values}) SELECT c.path FROM c WHERE EXISTS"
                " (SELECT 1 FROM videos v WHERE v.path = c.path AND v.size_bytes = c.size_bytes"
                " AND v.mtime_ns = c.mtime_ns AND COALESCE(v.inode = c.inode, 1)"
                " AND v.status NOT IN ('missing', 'replaced')"
                # A file that could not be read is looked at again until it can.
                " AND NOT (v.fingerprint = '' AND v.error_kind = 'unreadable')"
                # One that watch.after deleted is there again.
                " AND NOT EXISTS (SELECT 1 FROM sources s WHERE s.video_id = v.id AND s.state = 'deleted'))",
                arguments,
            ) as cursor:
                known = {path_of(row[0]) for row in await cursor.fetchall()}
            missing += [path for path, *_ in part if path not in known]
        return missing

    async def never_read(self) -> list[tuple[int, Path]]:
        """Files that could not be read when they were to be taken: nothing is known of them but their names."""
        async with self._connection.db.execute(
            "SELECT id, path FROM videos WHERE fingerprint = '' AND error_kind = 'unreadable'"
        ) as cursor:
            return [(row[0], path_of(row[1])) for row in await cursor.fetchall()]

    async def forget(self, video_ids: Sequence[int]) -> None:
        """Delete the rows of files that were never read."""
        async with self._connection.writing() as db:
            await db.executemany(
                "DELETE FROM videos WHERE id = ? AND fingerprint = '' AND error_kind = 'unreadable'",
                [(video_id,) for video_id in video_ids],
            )

    async def same_content(self, fingerprint: str) -> list[VideoRecord]:
        """Rows with this fingerprint, oldest first."""
        return await self._records("WHERE fingerprint = ? ORDER BY id", (fingerprint,))

    async def same_fingerprint_before(self, video_id: int) -> list[Path]:
        """The paths of older videos that this one's fingerprint is also that of, although their content is another."""
        async with self._connection.db.execute(
            "SELECT o.path FROM videos v JOIN videos o ON o.fingerprint = v.fingerprint AND o.id < v.id"
            " AND o.digest IS NOT v.digest AND o.status != 'replaced' WHERE v.id = ?",
            (video_id,),
        ) as cursor:
            return [path_of(row[0]) for row in await cursor.fetchall()]

    async def replaced_by(self, video_id: int) -> list[int]:
        """The ids of the rows whose place this one took."""
        async with self._connection.db.execute(
            "SELECT id FROM videos WHERE replaced_by = ? ORDER BY id", (video_id,)
        ) as cursor:
            return [row[0] for row in await cursor.fetchall()]

    async def at_path(self, path: Path) -> list[VideoRecord]:
        """Rows of this path, the one whose content is there first, then the newest."""
        return await self._records("WHERE path = ? ORDER BY status = 'replaced', id DESC", (path_value(path),))

    async def relocate(self, video_id: int, file: FileIdentity) -> None:
        """The same content is now found here; where its inode alone is new, that is not compared any more."""
        async with self._connection.writing() as db:
            await db.execute(
                # A file system that gives new numbers at each mount would have all of its files read each time.
                "UPDATE videos SET inode = CASE WHEN path = ?1 AND size_bytes = ?2 AND mtime_ns = ?3"
                " AND inode IS NOT ?4 THEN NULL ELSE ?4 END, path = ?1, size_bytes = ?2, mtime_ns = ?3,"
                " digest = COALESCE(?5, digest) WHERE id = ?6",
                (path_value(file.path), file.size_bytes, file.mtime_ns, file.inode, file.digest, video_id),
            )

    async def keep_digest(self, video_id: int, digest: str) -> None:
        """All of a video's bytes were read: what its content is."""
        async with self._connection.writing() as db:
            await db.execute("UPDATE videos SET digest = ? WHERE id = ?", (digest, video_id))

    async def _records(self, where: str, arguments: Sequence[Any]) -> list[VideoRecord]:
        async with self._connection.db.execute(f"SELECT * FROM videos {where}", arguments) as cursor:
            return [record(row) for row in await cursor.fetchall()]


def _only(key: str, records: Sequence[VideoRecord]) -> VideoRecord:
    """The newest of records of one path. Raises StoreError(NOT_FOUND) when they are of several."""
    newest = {record.file.path: record for record in reversed(records)}
    if len(newest) > 1:
        shown = "; ".join(f"{record.file.path} (video {record.id})" for record in list(newest.values())[:10])
        more = f"; and {len(newest) - 10} more" if len(newest) > 10 else ""
        raise StoreError(
            Kind.NOT_FOUND, f"{len(newest)} videos are named {key!r}: say which by its path or number: {shown}{more}"
        )
    return records[0]
