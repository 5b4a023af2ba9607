"""The queue: what waits, who works on what, and what is tried again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import aiosqlite

from daemon.errors import Kind, StillwatchError
from daemon.model import FileIdentity, Status, VideoRecord
from daemon.store.columns import path_value
from daemon.store.connection import Connection
from daemon.store.mapping import record

_IN_WORK = "status IN ('scoring', 'exporting')"

LONGEST_RETRY_SECONDS = 3600.0
"""No video waits longer for its next try."""


class Queue:
    """The states of the videos: what waits, is claimed, has failed, is tried again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def enqueue(self, file: FileIdentity) -> int:
        """Add a video to the queue and return its id; the row of a file that could not be read so far becomes its.

        What else was at its path is replaced in the same transaction: a kill leaves no two that stand for one path.
        """
        async with self._connection.writing() as db:
            video_id = await self._put(db, file)
            await self._replace(db, video_id, file)
            return video_id

    async def _put(self, db: aiosqlite.Connection, file: FileIdentity) -> int:
        cursor = await db.execute(
            "UPDATE videos SET fingerprint = ?, digest = ?, size_bytes = ?, mtime_ns = ?, inode = ?,"
            " status = 'queued', error_kind = NULL, error = NULL, finished_at = NULL, queued_at = ?"
            " WHERE id = (SELECT MAX(id) FROM videos WHERE path = ?"
            " AND fingerprint = '' AND COALESCE(error_kind, 'unreadable') = 'unreadable') RETURNING id",
            (*_state(file), self._connection.now(), path_value(file.path)),
        )
        if taken := list(await cursor.fetchall()):
            return int(taken[0][0])
        cursor = await db.execute(
            "INSERT INTO videos (path, fingerprint, digest, size_bytes, mtime_ns, inode, status, queued_at)"
            " VALUES (?, ?, ?, ?, ?, ?, 'queued', ?)",
            (path_value(file.path), *_state(file), self._connection.now()),
        )
        return int(cursor.lastrowid or 0)

    async def refuse(self, file: FileIdentity, status: Status, error: StillwatchError) -> int:
        """Record a file that was not taken, once per path and state of the file; returns its id."""
        values = (status, error.kind, error.sentence, self._connection.now())
        async with self._connection.writing() as db:
            cursor = await db.execute(
                "UPDATE videos SET status = ?, error_kind = ?, error = ?, finished_at = ? WHERE path = ?"
                " AND size_bytes = ? AND mtime_ns = ? AND fingerprint = ? RETURNING id",
                (*values, path_value(file.path), file.size_bytes, file.mtime_ns, file.fingerprint),
            )
            changed = list(await cursor.fetchall())
            if changed:
                return int(changed[-1][0])
            cursor = await db.execute(
                "INSERT INTO videos (status, error_kind, error, finished_at, path, fingerprint, digest, size_bytes,"
                " mtime_ns, inode, queued_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, path_value(file.path), *_state(file), self._connection.now()),
            )
            return int(cursor.lastrowid or 0)

    async def recover(self, max_attempts: int) -> tuple[int, int]:
        """At the start: put back what a killed run left; returns (resumed, set aside).

        Of several that were worked on at once only one may have ended the process. Those with ``max_attempts`` are
        then put back to be tried alone, see ``claim``; set aside is what has ended it alone.
        """
        async with self._connection.writing() as db:
            aside = await db.execute(
                "UPDATE videos SET status = 'failed', error_kind = ?1, finished_at = ?2, error = 'work on this"
                " file ended the process ' || attempts || ' times; `stillwatch retry` tries again'"
                f" WHERE {_IN_WORK} AND attempts >= ?3"
                f" AND (error_kind IS ?1 OR 1 = (SELECT COUNT(*) FROM videos WHERE {_IN_WORK}))",
                (Kind.ATTEMPTS, self._connection.now(), max_attempts),
            )
            await db.execute(
                "UPDATE videos SET error_kind = ?, error = 'the process ended ' || attempts || ' times while this file"
                " and others were worked on: it is tried alone, after the others'"
                f" WHERE {_IN_WORK} AND attempts >= ?",
                (Kind.ATTEMPTS, max_attempts),
            )
            # A new start may find what was missing.
            await db.execute("UPDATE videos SET retry_at = NULL WHERE retry_at IS NOT NULL")
            scoring = await db.execute("UPDATE videos SET status = 'queued' WHERE status = 'scoring'")
            exporting = await db.execute("UPDATE videos SET status = 'scored' WHERE status = 'exporting'")
            return scoring.rowcount + exporting.rowcount, aside.rowcount

    async def claim(self, waiting: Status, working: Status, among: Collection[int] | None = None) -> VideoRecord | None:
        """Take the next video from one state to the next; the attempt is committed before it returns.

        With ``among`` only those ids are taken. One that is under suspicion (``recover``) is taken once no other waits
        or is worked on, and none beside it.
        """
        await self._connection.require_file()
        limit = "" if among is None else f" AND id IN ({','.join(str(int(video_id)) for video_id in among)})"
        now = self._connection.now()
        # A time beyond every delay was noted before the clock was set back.
        due = "(retry_at IS NULL OR retry_at <= ? OR retry_at > ?)"
        times = (now, later(now, LONGEST_RETRY_SECONDS))
        # Whoever waits has no kind of error, or that of a cause that may pass.
        query = (
            f"SELECT id FROM videos v WHERE status = ?{limit} AND {due} AND NOT EXISTS (SELECT 1 FROM videos w"
            f" WHERE {_IN_WORK} AND '{Kind.ATTEMPTS}' IN (v.error_kind, w.error_kind)) AND (error_kind IS NOT"
            f" '{Kind.ATTEMPTS}' OR NOT EXISTS (SELECT 1 FROM videos WHERE status IN ('queued', 'scored'){limit}"
            f" AND error_kind IS NOT '{Kind.ATTEMPTS}' AND {due})) ORDER BY id LIMIT 1"
        )
        arguments = (waiting, *times, *times)
        async with self._connection.db.execute(query, arguments) as cursor:
            if await cursor.fetchone() is None:
                return None
        async with self._connection.writing() as db:
            cursor = await db.execute(
                "UPDATE videos SET status = ?, attempts = attempts + 1, started_at = COALESCE(started_at, ?)"
                f" WHERE id = ({query}) RETURNING *",
                (working, now, *arguments),
            )
            rows = list(await cursor.fetchall())
        return record(rows[0]) if rows else None

    async def release(self, video_id: int, status: Status) -> None:
        """Give a claimed video back unharmed, if it still is claimed; the attempt does not count."""
        async with self._connection.writing() as db:
            await db.execute(
                "UPDATE videos SET status = ?, attempts = MAX(attempts - 1, 0) WHERE id = ?"
                " AND status IN ('scoring', 'exporting')",
                (status, video_id),
            )

    async def postpone(
        self,
        video_id: int,
        status: Status,
        error: StillwatchError,
        delay_seconds: float,
        *,
        attempt_counts: bool,
        retry_counts: bool = True,
    ) -> None:
        """Give a claimed video back, to be taken again after a while; the row keeps the reason."""
        async with self._connection.writing() as db:
            await db.execute(
                "UPDATE videos SET status = ?, attempts = MAX(attempts - ?, 0), retries = retries + ?, retry_at = ?,"
                " error_kind = ?, error = ? WHERE id = ? AND status != 'replaced'",
                (
                    status,
                    0 if attempt_counts else 1,
                    int(retry_counts),
                    later(self._connection.now(), delay_seconds),
                    error.kind,
                    error.sentence,
                    video_id,
                ),
            )

    async def any_due(self, status: Status) -> bool:
        """Whether a postponed video of this status may be taken again."""
        async with self._connection.db.execute(
            "SELECT 1 FROM videos WHERE status = ? AND retry_at <= ? LIMIT 1", (status, self._connection.now())
        ) as cursor:
            return await cursor.fetchone() is not None

    async def requeue(self, video_ids: Iterable[int]) -> int:
        """Queue failed, rejected or missing videos again, and hurry those that wait for their next try.

        Scored rows are kept. A file that was never read is to be taken anew, by whoever watches. Returns how many.
        """
        changed = 0
        async with self._connection.writing() as db:
            for video_id in video_ids:
                cursor = await db.execute(
                    "UPDATE videos SET status = CASE WHEN status = 'scored' THEN status"
                    " WHEN fingerprint = '' THEN 'missing' ELSE 'queued' END, attempts = 0, retries = 0,"
                    " retry_at = NULL, error_kind = NULL, error = NULL, finished_at = NULL WHERE id = ?"
                    " AND (status IN ('failed', 'rejected', 'missing') OR retry_at IS NOT NULL)",
                    (video_id,),
                )
                changed += cursor.rowcount
        return changed

    async def force(self, video_id: int) -> None:
        """Have a video read and scored again whatever is known of it; only scores of frames that are the same stay."""
        async with self._connection.writing() as db:
            await db.execute(
                "UPDATE videos SET status = 'queued', attempts = 0, retries = 0, retry_at = NULL, error_kind = NULL,"
                " error = NULL, finished_at = NULL, damaged = 0 WHERE id = ? AND status = 'done'",
                (video_id,),
            )

    async def replaced(self, by: int, file: FileIdentity) -> list[int]:
        """Mark what else was at the path of this video as replaced by it; returns the ids of those rows.

        Their scores, selections and stills stay.
        """
        async with self._connection.writing() as db:
            return await self._replace(db, by, file)

    async def _replace(self, db: aiosqlite.Connection, by: int, file: FileIdentity) -> list[int]:
        cursor = await db.execute(
            "UPDATE videos SET status = 'replaced', replaced_by = ?1, error_kind = NULL,"
            " error = 'other content took its place: video ' || ?1, retry_at = NULL,"
            " finished_at = COALESCE(finished_at, ?2) WHERE path = ?3"
            " AND id != ?1 AND fingerprint != '' AND status != 'replaced'"
            # Copies that were noted as such stay what they are.
            " AND (fingerprint != ?4 OR digest IS NOT ?5) RETURNING id",
            (by, self._connection.now(), path_value(file.path), file.fingerprint, file.digest),
        )
        return [row[0] for row in await cursor.fetchall()]

    async def restore(self, video_id: int) -> Status:
        """Content that was replaced is there again: it goes on where it was; returns its new status."""
        async with self._connection.writing() as db:
            cursor = await db.execute(
                "UPDATE videos SET status = CASE WHEN scored_at IS NULL THEN 'queued' ELSE 'scored' END,"
                " replaced_by = NULL, error = NULL, attempts = 0, retries = 0, finished_at = NULL WHERE id = ?"
                " RETURNING status",
                (video_id,),
            )
            return Status(next(iter(await cursor.fetchall()))[0])

    async def set_status(self, video_id: int, status: Status) -> None:
        """Send a finished video back to a stage."""
        async with self._connection.writing() as db:
            await db.execute(
                "UPDATE videos SET status = ?, attempts = 0, retries = 0, retry_at = NULL, error_kind = NULL,"
                " error = NULL, finished_at = NULL"
                " WHERE id = ?",
                (status, video_id),
            )

    async def reset_attempts(self, video_id: int) -> None:
        """Starts that have not come to an end are forgotten but for this one, and so are workers that were lost."""
        async with self._connection.writing() as db:
            await db.execute(
                "UPDATE videos SET attempts = MIN(attempts, 1),"
                " retries = CASE error_kind WHEN ?2 THEN 0 ELSE retries END WHERE id = ?1",
                (video_id, Kind.WORKER_LOST),
            )

    async def caught_up(self, video_id: int, frames: int) -> None:
        """So many stored frames were met again, which is progress where no attempt before has met so many.

        Then starts that have not come to an end are forgotten but for this one. How many is kept where the number of
        decoded frames is kept in the end.
        """
        async with self._connection.writing() as db:
            await db.execute(
                "UPDATE videos SET attempts = MIN(attempts, 1), frames_decoded = ?1 WHERE id = ?2"
                " AND scored_at IS NULL AND COALESCE(frames_decoded, 0) < ?1",
                (frames, video_id),
            )

    async def score_again(self, video_id: int) -> None:
        """Queue a video whose damage showed only at its export: it is decoded with one thread from now on."""
        async with self._connection.writing() as db:
            await db.execute(
                "UPDATE videos SET status = 'queued', damaged = 1, attempts = 0 WHERE id = ? AND status != 'replaced'",
                (video_id,),
            )

    async def fail(self, video_id: int, status: Status, error: StillwatchError) -> None:
        """End a video's way with a kind and a sentence; its scores are kept."""
        async with self._connection.writing() as db:
            await db.execute(
                "UPDATE videos SET status = ?, error_kind = ?, error = ?, finished_at = ? WHERE id = ?"
                " AND status != 'replaced'",
                (status, error.kind, error.sentence, self._connection.now(), video_id),
            )


def _state(file: FileIdentity) -> tuple[str, str | None, int, int, int | None]:
    return file.fingerprint, file.digest, file.size_bytes, file.mtime_ns, file.inode


def later(moment: str, seconds: float) -> str:
    """The time ``seconds`` after ``moment``, both ISO 8601 as the store writes them.

    >>> later("2026-01-31T23:59:30.000+00:00", 45.5)
    '2026-02-01T00:00:15.500+00:00'
    """
    return (datetime.fromisoformat(moment) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
