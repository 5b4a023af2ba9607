"""The database: the only aiosqlite, all SQL.

Scores are committed in groups; every other write commits at once, together with the scores before it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.errors import Kind, StillwatchError, StoreError
from daemon.model import FileIdentity, Scored, Selection, Status, Still, VideoInfo, VideoRecord
from daemon.store.connection import SCHEMA_VERSION
from daemon.store.judgement import Judgement
from daemon.store.rows import info_json, path_of, path_value, plain, record
from daemon.store.views import QUERIES

__all__ = ["SCHEMA_VERSION", "PastSelection", "ScoreTable", "Store"]


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A video's rows as columns, by ascending frame.

    ``frame`` int64, ``time_s`` float64, ``score`` float64 with NaN where there is none, ``noted`` bool:
    the row carries a note, ``good`` bool: no gate refuses it.
    """

    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    score: NDArray[np.float64]
    noted: NDArray[np.bool_]
    good: NDArray[np.bool_]


TABLE_ROWS = 20_000
_TABLE_PART: list[NDArray[Any]] = [np.zeros(0, kind) for kind in (np.int64, np.float64, np.float64, np.bool_, np.bool_)]


@dataclass(frozen=True, slots=True)
class PastSelection:
    """A recorded selection and the files of its stills, by rank."""

    id: int
    params: dict[str, Any]
    paths: tuple[Path, ...]


class Store(Judgement):
    """Videos, scores, selections and stills, on one open database."""

    # Scores

    async def add_frames(self, video_id: int, rows: Sequence[Scored]) -> None:
        """Write rows and their features, replacing those that are there; committed within ``commit_seconds``."""
        if self._failure is not None:
            raise StoreError(Kind.DATABASE, f"scores could not be committed: {self._failure}")
        values = [(video_id, r.frame, r.pts, r.time_s, r.score, r.note, r.hash) for r in rows]
        async with self._scores() as db:
            await db.executemany(
                "INSERT INTO frames (video_id, frame, pts, time_s, score, note, hash) VALUES (?,?,?,?,?,?,?)"
                " ON CONFLICT (video_id, frame) DO UPDATE SET pts = excluded.pts, time_s = excluded.time_s,"
                " score = excluded.score, note = excluded.note, hash = excluded.hash, verdict = NULL",
                values,
            )
            await db.executemany(
                "INSERT OR REPLACE INTO features (video_id, frame, record) VALUES (?, ?, ?)",
                [(video_id, row.frame, row.features) for row in rows if row.features is not None],
            )

    # The queue

    async def unknown(self, candidates: Sequence[tuple[Path, int, int]]) -> list[Path]:
        """Of (path, size_bytes, mtime_ns) those that no row describes."""
        missing: list[Path] = []
        for start in range(0, len(candidates), 200):
            part = candidates[start : start + 200]
            values = ",".join("(?,?,?)" for _ in part)
            arguments = [value for path, size, mtime in part for value in (path_value(path), size, mtime)]
            async with self._db.execute(
                f"WITH c (path, size_bytes, mtime_ns) AS (VALUES {values}) SELECT c.path FROM c WHERE EXISTS"
                " (SELECT 1 FROM videos v WHERE v.path = c.path AND v.size_bytes = c.size_bytes"
                " AND v.mtime_ns = c.mtime_ns AND v.status != 'missing')",
                arguments,
            ) as cursor:
                known = {path_of(row[0]) for row in await cursor.fetchall()}
            missing += [path for path, _, _ in part if path not in known]
        return missing

    async def same_content(self, fingerprint: str) -> list[VideoRecord]:
        """Rows with this fingerprint, oldest first."""
        return await self._records("WHERE fingerprint = ? ORDER BY id", (fingerprint,))

    async def at_path(self, path: Path) -> list[VideoRecord]:
        """Rows of this path, newest first."""
        return await self._records("WHERE path = ? ORDER BY id DESC", (path_value(path),))

    async def enqueue(self, file: FileIdentity) -> int:
        """Add a video to the queue and return its id."""
        async with self._writing() as db:
            cursor = await db.execute(
                "INSERT INTO videos (path, fingerprint, size_bytes, mtime_ns, status, queued_at)"
                " VALUES (?, ?, ?, ?, 'queued', ?)",
                (path_value(file.path), file.fingerprint, file.size_bytes, file.mtime_ns, self._clock()),
            )
            return int(cursor.lastrowid or 0)

    async def refuse(self, file: FileIdentity, status: Status, error: StillwatchError) -> int:
        """Record a file that was not taken, once per path and state of the file; returns its id."""
        values = (status, error.kind, error.sentence, self._clock())
        async with self._writing() as db:
            cursor = await db.execute(
                "UPDATE videos SET status = ?, error_kind = ?, error = ?, finished_at = ? WHERE path = ?"
                " AND size_bytes = ? AND mtime_ns = ? AND fingerprint = ? RETURNING id",
                (*values, path_value(file.path), file.size_bytes, file.mtime_ns, file.fingerprint),
            )
            changed = list(await cursor.fetchall())
            if changed:
                return int(changed[-1][0])
            cursor = await db.execute(
                "INSERT INTO videos (status, error_kind, error, finished_at, path, fingerprint, size_bytes,"
                " mtime_ns, queued_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *values,
                    path_value(file.path),
                    file.fingerprint,
                    file.size_bytes,
                    file.mtime_ns,
                    self._clock(),
                ),
            )
            return int(cursor.lastrowid or 0)

    async def relocate(self, video_id: int, file: FileIdentity) -> None:
        """The same content is now found here."""
        async with self._writing() as db:
            await db.execute(
                "UPDATE videos SET path = ?, size_bytes = ?, mtime_ns = ? WHERE id = ?",
                (path_value(file.path), file.size_bytes, file.mtime_ns, video_id),
            )

    async def recover(self, max_attempts: int) -> tuple[int, int]:
        """At the start: put back what a killed run left; returns (resumed, set aside)."""
        async with self._writing() as db:
            aside = await db.execute(
                "UPDATE videos SET status = 'failed', error_kind = ?, finished_at = ?, error = 'work on this"
                " file ended the process ' || attempts || ' times; `stillwatch retry` tries again'"
                " WHERE status IN ('scoring', 'exporting') AND attempts >= ?",
                (Kind.ATTEMPTS, self._clock(), max_attempts),
            )
            scoring = await db.execute("UPDATE videos SET status = 'queued' WHERE status = 'scoring'")
            exporting = await db.execute("UPDATE videos SET status = 'scored' WHERE status = 'exporting'")
            return scoring.rowcount + exporting.rowcount, aside.rowcount

    async def claim(self, waiting: Status, working: Status, among: Collection[int] | None = None) -> VideoRecord | None:
        """Take the next video from one state to the next; the attempt is committed before it returns.

        With ``among`` only those ids are taken.
        """
        limit = "" if among is None else f" AND id IN ({','.join(str(int(one)) for one in among)})"
        async with self._db.execute(
            f"SELECT id FROM videos WHERE status = ?{limit} ORDER BY id LIMIT 1", (waiting,)
        ) as looked:
            if await looked.fetchone() is None:
                return None
        async with self._writing() as db:
            cursor = await db.execute(
                "UPDATE videos SET status = ?, attempts = attempts + 1, started_at = COALESCE(started_at, ?)"
                f" WHERE id = (SELECT id FROM videos WHERE status = ?{limit} ORDER BY id LIMIT 1) RETURNING *",
                (working, self._clock(), waiting),
            )
            rows = list(await cursor.fetchall())
        return record(rows[0]) if rows else None

    async def release(self, video_id: int, status: Status) -> None:
        """Give a claimed video back unharmed; the attempt does not count."""
        async with self._writing() as db:
            await db.execute(
                "UPDATE videos SET status = ?, attempts = MAX(attempts - 1, 0) WHERE id = ?",
                (status, video_id),
            )

    async def requeue(self, video_ids: Iterable[int]) -> int:
        """Queue failed, rejected or missing videos again; scored rows are kept. Returns how many."""
        changed = 0
        async with self._writing() as db:
            for video_id in video_ids:
                cursor = await db.execute(
                    "UPDATE videos SET status = 'queued', attempts = 0, error_kind = NULL, error = NULL,"
                    " finished_at = NULL WHERE id = ? AND status IN ('failed', 'rejected', 'missing')",
                    (video_id,),
                )
                changed += cursor.rowcount
        return changed

    async def set_status(self, video_id: int, status: Status) -> None:
        """Send a finished video back to a stage."""
        async with self._writing() as db:
            await db.execute(
                "UPDATE videos SET status = ?, attempts = 0, error_kind = NULL, error = NULL, finished_at = NULL"
                " WHERE id = ?",
                (status, video_id),
            )

    # One video's way

    async def begin_scoring(
        self, video_id: int, info: VideoInfo, metric: str, lower_better: bool, scorer: str
    ) -> list[str]:
        """Note what the video is and who scores it; returns the stored hashes by frame.

        Rows of another scorer are dropped: scores with different identities are never mixed.
        """
        async with self._writing() as db:
            await db.execute(
                "DELETE FROM frames WHERE video_id = ? AND (SELECT scorer FROM videos WHERE id = ?) IS NOT ?",
                (video_id, video_id, scorer),
            )
            await db.execute(
                "UPDATE videos SET judged = NULL, metric = ?, lower_better = ?, scorer = ?, width = ?, height = ?,"
                " pix_fmt = ?, bit_depth = ?, codec = ?, stream_index = ?, time_base = ?, info = ? WHERE id = ?",
                (
                    metric, lower_better, scorer, info.width, info.height, info.pix_fmt, info.bit_depth,
                    info.codec, info.stream_index, str(info.time_base), info_json(info), video_id,
                ),
            )  # fmt: skip
        return await self.hashes(video_id)

    async def hashes(self, video_id: int) -> list[str]:
        """The stored hash of each frame from 0 to the last stored one; '' for a gap."""
        async with self._db.execute(
            "SELECT frame, hash FROM frames WHERE video_id = ? ORDER BY frame", (video_id,)
        ) as cursor:
            known: list[str] = []
            async for row in cursor:
                known += [""] * (row[0] - len(known))
                known.append(row[1])
        return known

    async def end_scoring(
        self, video_id: int, *, frames_decoded: int, damaged: bool, mixed: bool, damage: str | None
    ) -> int:
        """Every frame is in: drop rows beyond the last, count, and go on to ``scored``."""
        async with self._writing() as db:
            for table in ("frames", "features"):
                await db.execute(f"DELETE FROM {table} WHERE video_id = ? AND frame >= ?", (video_id, frames_decoded))
            cursor = await db.execute(
                "UPDATE videos SET status = 'scored', attempts = 0, scored_at = ?, frames_decoded = ?,"
                " frames_scored = (SELECT COUNT(score) FROM frames WHERE video_id = ?), damaged = ?, mixed = ?,"
                " damage = ? WHERE id = ? RETURNING frames_scored",
                (self._clock(), frames_decoded, video_id, damaged, mixed, damage, video_id),
            )
            rows = list(await cursor.fetchall())
        return int(rows[0][0]) if rows else 0

    async def score_table(self, video_id: int) -> ScoreTable:
        """All rows of a video as columns."""
        async with self._db.execute(
            "SELECT frame, time_s, score, note IS NOT NULL, verdict IS 'good' FROM frames WHERE video_id = ?"
            " ORDER BY frame",
            (video_id,),
        ) as cursor:
            # Plain tuples, some at a time: a million rows at once would keep the garbage collector busy.
            cursor.row_factory = None
            parts = [_TABLE_PART]
            while rows := await cursor.fetchmany(TABLE_ROWS):
                columns = zip(*rows, strict=True)
                # NULL becomes NaN.
                parts.append([np.array(c, empty.dtype) for c, empty in zip(columns, _TABLE_PART, strict=True)])
        return ScoreTable(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    async def rows_of(self, video_id: int, frames: Sequence[int]) -> dict[int, Scored]:
        """The stored rows of some frames."""
        found: dict[int, Scored] = {}
        for start in range(0, len(frames), 500):
            part = frames[start : start + 500]
            async with self._db.execute(
                "SELECT frame, pts, time_s, score, note, hash FROM frames WHERE video_id = ?"
                f" AND frame IN ({','.join('?' * len(part))})",
                (video_id, *part),
            ) as cursor:
                found.update({row[0]: Scored(*row) for row in await cursor.fetchall()})
        return found

    async def finish(self, video_id: int, selection: Selection, stills: Sequence[Still]) -> int:
        """Record a selection and its proven stills, and mark the video done; returns the selection's id."""
        now = self._clock()
        async with self._writing() as db:
            cursor = await db.execute(
                "INSERT INTO selections (video_id, params, requested, chosen, shortfall, reasons, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    video_id, json.dumps(selection.params, sort_keys=True), selection.requested, len(stills),
                    selection.shortfall, json.dumps(selection.reasons, sort_keys=True), now,
                ),
            )  # fmt: skip
            selection_id = int(cursor.lastrowid or 0)
            await db.executemany(
                "INSERT INTO stills (selection_id, video_id, rank, frame, time_s, score, path, width, height,"
                " bytes, sha256, method, reason, image, created_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                [
                    (
                        selection_id, video_id, s.rank, s.frame, s.time_s, s.score, path_value(s.path), s.width,
                        s.height, s.bytes, s.sha256, s.method, json.dumps(asdict(s.reason)), s.image, now,
                    )
                    for s in stills
                ],
            )  # fmt: skip
            await db.execute(
                "UPDATE videos SET status = 'done', attempts = 0, error_kind = NULL, error = NULL,"
                " finished_at = ? WHERE id = ?",
                (now, video_id),
            )
        return selection_id

    async def fail(self, video_id: int, status: Status, error: StillwatchError) -> None:
        """End a video's way with a kind and a sentence; its scores are kept."""
        async with self._writing() as db:
            await db.execute(
                "UPDATE videos SET status = ?, error_kind = ?, error = ?, finished_at = ? WHERE id = ?",
                (status, error.kind, error.sentence, self._clock(), video_id),
            )

    async def latest_selection(self, video_id: int) -> PastSelection | None:
        """The newest selection of a video."""
        async with self._db.execute(
            "SELECT id, params FROM selections WHERE video_id = ? ORDER BY id DESC LIMIT 1", (video_id,)
        ) as cursor:
            row = await cursor.fetchone()
        if row is None:
            return None
        async with self._db.execute(
            "SELECT path FROM stills WHERE selection_id = ? ORDER BY rank", (row[0],)
        ) as cursor:
            paths = tuple(path_of(still[0]) for still in await cursor.fetchall())
        return PastSelection(row[0], json.loads(row[1]), paths)

    # Looking

    async def video(self, video_id: int) -> VideoRecord:
        """One video by id. Raises StoreError(NOT_FOUND)."""
        records = await self._records("WHERE id = ?", (video_id,))
        if not records:
            raise StoreError(Kind.NOT_FOUND, f"there is no video {video_id}: see `stillwatch list`")
        return records[0]

    async def find(self, key: str) -> VideoRecord:
        """The newest video that the key names: id, path, file name or start (6 or more) of the fingerprint."""
        if key.isdecimal() and len(key) <= 18 and (records := await self._records("WHERE id = ?", (int(key),))):
            return records[0]
        if records := await self.at_path(Path(os.path.abspath(key))):
            return records[0]
        if key:
            # As bytes, since a name that is not UTF-8 is stored so.
            tail = os.fsencode("/" + key)
            where = "WHERE substr(CAST(path AS BLOB), ?) = ? ORDER BY id DESC LIMIT 1"
            if records := await self._records(where, (-len(tail), tail)):
                return records[0]
        if len(key) >= 6 and key.isalnum() and key.isascii():
            where = "WHERE substr(fingerprint, 1, ?) = ? ORDER BY id DESC LIMIT 1"
            if records := await self._records(where, (len(key), key)):
                return records[0]
        raise StoreError(Kind.NOT_FOUND, f"no video is known as {key!r}: see `stillwatch list`")

    async def counts(self) -> dict[str, int]:
        """How many videos stand in each status."""
        async with self._db.execute("SELECT status, COUNT(*) FROM videos GROUP BY status") as cursor:
            found = {row[0]: row[1] for row in await cursor.fetchall()}
        return {status.value: found.get(status.value, 0) for status in Status}

    async def rows(self, query: str, arguments: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of one of this module's named queries, as dictionaries."""
        async with self._db.execute(QUERIES[query], arguments) as cursor:
            return [plain(row) for row in await cursor.fetchall()]

    async def data_version(self) -> int:
        """A number that changes when another connection has written."""
        async with self._db.execute("PRAGMA data_version") as cursor:
            row = await cursor.fetchone()
        return int(row[0]) if row is not None else 0

    async def _records(self, where: str, arguments: Sequence[Any]) -> list[VideoRecord]:
        async with self._db.execute(f"SELECT * FROM videos {where}", arguments) as cursor:
            return [record(row) for row in await cursor.fetchall()]
