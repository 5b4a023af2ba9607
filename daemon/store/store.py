"""The database: the only aiosqlite, all SQL.

Scores are committed in groups; every other write commits at once, together with the scores before it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.errors import Kind, StillwatchError, StoreError
from daemon.model import Scored, Selection, Status, Still, VideoInfo, VideoRecord
from daemon.store.analysis import Judgement
from daemon.store.connection import SCHEMA_VERSION
from daemon.store.mapping import info_json, path_of, path_value, plain
from daemon.store.queries import QUERIES
from daemon.store.queue import LONGEST_RETRY_SECONDS, Queue
from daemon.store.sources import Sources

if TYPE_CHECKING:
    # Only two of its methods need numpy: who shows what is stored does without.
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LONGEST_RETRY_SECONDS", "SCHEMA_VERSION", "PastSelection", "ScoreTable", "Store"]


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


TABLE_ROWS = 1_000
_TABLE_TYPES = ("int64", "float64", "float64", "bool", "bool")


@dataclass(frozen=True, slots=True)
class PastSelection:
    """A recorded selection, and by rank the files of its stills and how each was written (None: not known)."""

    id: int
    params: dict[str, Any]
    paths: tuple[Path, ...]
    images: tuple[str | None, ...]


class Store(Queue, Judgement, Sources):
    """Videos, scores, selections and stills, on one open database."""

    # Scores

    async def add_frames(self, video_id: int, rows: Sequence[Scored]) -> None:
        """Write rows and their features, replacing those that are there; committed within ``commit_seconds``.

        Raises StoreError, also when rows that were written before could not be committed.
        """
        values = [(video_id, r.frame, r.pts, r.time_s, r.score, r.note, r.hash) for r in rows]
        async with self._scores(video_id) as db:
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

    # One video's way

    async def begin_scoring(
        self, video_id: int, info: VideoInfo, metric: str, lower_better: bool, scorer: str
    ) -> list[str]:
        """Note what the video is and who scores it; returns the stored hashes by frame.

        Rows of another scorer are dropped: scores with different identities are never mixed.
        """
        async with self._writing() as db:
            self._lost.pop(video_id, None)
            await db.execute("DELETE FROM refined WHERE video_id = ?", (video_id,))
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
            self._require_kept(video_id)
            for table in ("frames", "features"):
                await db.execute(f"DELETE FROM {table} WHERE video_id = ? AND frame >= ?", (video_id, frames_decoded))
            cursor = await db.execute(
                "UPDATE videos SET status = 'scored', attempts = 0, retries = 0, retry_at = NULL,"
                " error_kind = NULL, error = NULL, scored_at = ?, frames_decoded = ?,"
                " frames_scored = (SELECT COUNT(score) FROM frames WHERE video_id = ?), damaged = ?, mixed = ?,"
                " damage = ? WHERE id = ? RETURNING frames_scored",
                (self._clock(), frames_decoded, video_id, damaged, mixed, damage, video_id),
            )
            rows = list(await cursor.fetchall())
        return int(rows[0][0]) if rows else 0

    async def score_table(self, video_id: int) -> ScoreTable:
        """All rows of a video as columns."""
        import numpy as np

        async with self._db.execute(
            "SELECT frame, time_s, score, note IS NOT NULL, verdict IS 'good' FROM frames WHERE video_id = ?"
            " ORDER BY frame",
            (video_id,),
        ) as cursor:
            # Plain tuples, some at a time: a million rows at once would keep the garbage collector busy.
            cursor.row_factory = None
            parts: list[list[NDArray[Any]]] = [[np.zeros(0, kind) for kind in _TABLE_TYPES]]
            while rows := await cursor.fetchmany(TABLE_ROWS):
                columns = zip(*rows, strict=True)
                # NULL becomes NaN.
                parts.append([np.array(c, kind) for c, kind in zip(columns, _TABLE_TYPES, strict=True)])
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

    async def finish(
        self, video_id: int, selection: Selection, stills: Sequence[Still], after: str | None = None
    ) -> int:
        """Record a selection and its proven stills, and mark the video done; returns the selection's id.

        ``after``, move or delete, is what is then due for the source.
        """
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
                "UPDATE videos SET status = 'done', attempts = 0, retries = 0, retry_at = NULL, error_kind = NULL,"
                " error = NULL, finished_at = ? WHERE id = ?",
                (now, video_id),
            )
            if after is not None:
                await db.execute(
                    # Once: what was decided about a source before stays, and what was done before it was asked for.
                    "INSERT OR IGNORE INTO sources (video_id, action, state, at) SELECT ?, ?, 'due', ?"
                    " WHERE (SELECT COUNT(*) FROM selections WHERE video_id = ?) = 1",
                    (video_id, after, now, video_id),
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
            "SELECT path, image FROM stills WHERE selection_id = ? ORDER BY rank", (row[0],)
        ) as cursor:
            stills = list(await cursor.fetchall())
        paths, images = tuple(path_of(still[0]) for still in stills), tuple(still[1] for still in stills)
        return PastSelection(row[0], json.loads(row[1]), paths, images)

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
        await self.require_file()
        async with self._db.execute("PRAGMA data_version") as cursor:
            row = await cursor.fetchone()
        return int(row[0]) if row is not None else 0
