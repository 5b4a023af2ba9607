"""What is stored of every frame: its score, its hash and its features."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiosqlite

from daemon.model import Scored, VideoInfo
from daemon.store.connection import Connection
from daemon.store.mapping import info_json

if TYPE_CHECKING:
    # Only one method needs numpy: who shows what is stored does without.
    import numpy as np
    from numpy.typing import NDArray

FEATURES_READ = 256
"""Feature records that are read together."""


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A video's rows as columns, by ascending frame.

    ``frame`` int64, ``time_s`` float64, ``score`` float64 with NaN where there is none, ``noted`` bool:
    the row carries a note, ``good`` bool: no gate refuses it, ``spared`` bool: its gate lets it in after all good ones,
    ``reserve`` bool: it is chosen only where nothing better is. ``last_s`` is how long the file says that the last
    frame is shown; None where it does not.
    """

    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    score: NDArray[np.float64]
    noted: NDArray[np.bool_]
    good: NDArray[np.bool_]
    spared: NDArray[np.bool_]
    reserve: NDArray[np.bool_]
    last_s: float | None = None


TABLE_ROWS = 1_000
_TABLE_TYPES = ("int64", "float64", "float64", "bool", "bool", "bool", "bool")


class Frames:
    """The tables ``frames`` and ``features``, and the state of a video's scoring."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin_scoring(
        self, video_id: int, info: VideoInfo, metric: str, lower_better: bool, scorer: str
    ) -> list[str]:
        """Note what the video is and who scores it; returns the stored hashes by frame.

        Rows of another scorer or stream are dropped: scores with different identities are never mixed.
        """
        async with self._connection.writing() as db:
            self._connection.forget_lost(video_id)
            await db.execute("DELETE FROM refined WHERE video_id = ?", (video_id,))
            await db.execute(
                "DELETE FROM frames WHERE video_id = ? AND EXISTS (SELECT 1 FROM videos WHERE id = ?"
                " AND (scorer IS NOT ? OR stream_index IS NOT ?))",
                (video_id, video_id, scorer, info.stream_index),
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

    async def add(self, video_id: int, rows: Sequence[Scored]) -> None:
        """Write rows and their features, replacing those that are there; committed within ``commit_seconds``.

        Raises StoreError, also when rows that were written before could not be committed.
        """
        values = [(video_id, r.frame, r.pts, r.time_s, r.score, r.note, r.hash, r.duration_s) for r in rows]
        async with self._connection.grouped(video_id) as db:
            await db.executemany(
                "INSERT INTO frames (video_id, frame, pts, time_s, score, note, hash, duration_s)"
                " VALUES (?,?,?,?,?,?,?,?)"
                " ON CONFLICT (video_id, frame) DO UPDATE SET pts = excluded.pts, time_s = excluded.time_s,"
                " score = excluded.score, note = excluded.note, hash = excluded.hash,"
                " duration_s = excluded.duration_s, verdict = NULL",
                values,
            )
            await db.executemany(
                "INSERT OR REPLACE INTO features (video_id, frame, record) VALUES (?, ?, ?)",
                [(video_id, row.frame, row.features) for row in rows if row.features is not None],
            )

    async def hashes(self, video_id: int) -> list[str]:
        """The stored hash of each frame from 0 to the last stored one; '' for a gap."""
        async with self._connection.db.execute(
            "SELECT frame, hash FROM frames WHERE video_id = ? ORDER BY frame", (video_id,)
        ) as cursor:
            known: list[str] = []
            async for row in cursor:
                known += [""] * (row[0] - len(known))
                known.append(row[1])
        return known

    async def end_scoring(
        self,
        video_id: int,
        *,
        frames_decoded: int,
        damaged: bool,
        mixed: bool,
        damage: str | None,
        reserve: Sequence[tuple[int, int, str]] = (),
        info: VideoInfo | None = None,
        packets: int = 0,
        packet_index: bytes | None = None,
    ) -> int:
        """Every frame is in: drop rows beyond the last, count, and go on to ``scored``.

        ``reserve`` are runs of frames, first and last, that are chosen only where nothing better is, and why. ``info``
        is what all of the film has shown of it, where that is more than the probe had found. ``packet_index`` is where
        its packets lie, in the stored form, and ``packets`` how many they are.
        """
        async with self._connection.writing() as db:
            self._connection.require_kept(video_id)
            for table in ("frames", "features"):
                await db.execute(f"DELETE FROM {table} WHERE video_id = ? AND frame >= ?", (video_id, frames_decoded))
            await db.execute("UPDATE frames SET reserve = NULL WHERE video_id = ? AND reserve IS NOT NULL", (video_id,))
            await db.executemany(
                "UPDATE frames SET reserve = ? WHERE video_id = ? AND frame BETWEEN ? AND ?",
                [(why, video_id, first, last) for first, last, why in reserve],
            )
            if info is not None:
                seen = next(
                    (one.info for one in info.stretches if info.best == (one.info.width, one.info.height)), info
                )
                await db.execute(
                    "UPDATE videos SET info = ?, width = ?, height = ?, pix_fmt = ?, bit_depth = ? WHERE id = ?",
                    (info_json(info), seen.width, seen.height, seen.pix_fmt, seen.bit_depth, video_id),
                )
            await _put_packet_index(db, video_id, packets, packet_index)
            cursor = await db.execute(
                "UPDATE videos SET status = 'scored', attempts = 0, retries = 0, retry_at = NULL,"
                " error_kind = NULL, error = NULL, scored_at = ?, frames_decoded = ?,"
                " frames_scored = (SELECT COUNT(score) FROM frames WHERE video_id = ?), damaged = ?, mixed = ?,"
                " damage = ? WHERE id = ? RETURNING frames_scored",
                (self._connection.now(), frames_decoded, video_id, damaged, mixed, damage, video_id),
            )
            rows = list(await cursor.fetchall())
        return int(rows[0][0]) if rows else 0

    async def packet_index(self, video_id: int) -> bytes | None:
        """Where a film's packets lie, in its stored form; None for one that was scored before that was kept."""
        async with self._connection.db.execute(
            "SELECT record FROM packet_index WHERE video_id = ?", (video_id,)
        ) as cursor:
            row = await cursor.fetchone()
        return None if row is None else bytes(row[0])

    async def keep_packet_index(self, video_id: int, packets: int, record: bytes) -> None:
        """Keep an index that was made after the scoring."""
        async with self._connection.writing() as db:
            await _put_packet_index(db, video_id, packets, record)

    async def table(self, video_id: int) -> ScoreTable:
        """All rows of a video as columns."""
        import numpy as np

        async with self._connection.db.execute(
            "SELECT frame, time_s, score, note IS NOT NULL, verdict IS 'good', verdict IS 'spared',"
            " reserve IS NOT NULL FROM frames WHERE video_id = ? ORDER BY frame",
            (video_id,),
        ) as cursor:
            # Plain tuples, some at a time: a million rows at once would keep the garbage collector busy.
            cursor.row_factory = None
            parts: list[list[NDArray[Any]]] = [[np.zeros(0, kind) for kind in _TABLE_TYPES]]
            while rows := await cursor.fetchmany(TABLE_ROWS):
                columns = zip(*rows, strict=True)
                # NULL becomes NaN.
                parts.append([np.array(c, kind) for c, kind in zip(columns, _TABLE_TYPES, strict=True)])
        async with self._connection.db.execute(
            "SELECT duration_s FROM frames WHERE video_id = ? ORDER BY frame DESC LIMIT 1", (video_id,)
        ) as cursor:
            last = await cursor.fetchone()
        whole = (np.concatenate(column) for column in zip(*parts, strict=True))
        frame, time_s, score, noted, good, spared, reserve = whole
        return ScoreTable(frame, time_s, score, noted, good, spared, reserve, None if last is None else last[0])

    async def with_note(self, video_id: int, note: str) -> list[int]:
        """The frames that carry this note."""
        async with self._connection.db.execute(
            "SELECT frame FROM frames WHERE video_id = ? AND note = ?", (video_id, note)
        ) as cursor:
            return [row[0] for row in await cursor.fetchall()]

    async def rows(self, video_id: int, frames: Sequence[int]) -> dict[int, Scored]:
        """The stored rows of some frames."""
        rows: dict[int, Scored] = {}
        for start in range(0, len(frames), 500):
            part = frames[start : start + 500]
            async with self._connection.db.execute(
                "SELECT frame, pts, time_s, score, note, hash, NULL, duration_s FROM frames WHERE video_id = ?"
                f" AND frame IN ({','.join('?' * len(part))})",
                (video_id, *part),
            ) as cursor:
                rows.update({row[0]: Scored(*row) for row in await cursor.fetchall()})
        return rows

    async def feature_records(self, video_id: int) -> AsyncIterator[list[bytes | None]]:
        """The features of every frame in order, None where it has none, FEATURES_READ at a time."""
        after = -1
        while True:
            async with self._connection.db.execute(
                "SELECT f.frame, r.record FROM frames f LEFT JOIN features r ON r.video_id = f.video_id"
                " AND r.frame = f.frame WHERE f.video_id = ? AND f.frame > ? ORDER BY f.frame LIMIT ?",
                (video_id, after, FEATURES_READ),
            ) as cursor:
                rows = list(await cursor.fetchall())
            if not rows:
                return
            after = rows[-1][0]
            yield [row[1] for row in rows]

    async def features_of(self, video_id: int, frames: Sequence[int]) -> list[bytes | None]:
        """The features of some frames, in the order given."""
        features: dict[int, bytes] = {}
        for start in range(0, len(frames), 500):
            part = frames[start : start + 500]
            async with self._connection.db.execute(
                f"SELECT frame, record FROM features WHERE video_id = ? AND frame IN ({','.join('?' * len(part))})",
                (video_id, *part),
            ) as cursor:
                features.update({row[0]: row[1] for row in await cursor.fetchall()})
        return [features.get(frame) for frame in frames]


async def _put_packet_index(db: aiosqlite.Connection, video_id: int, packets: int, record: bytes | None) -> None:
    await db.execute("DELETE FROM packet_index WHERE video_id = ?", (video_id,))
    if record is not None:
        await db.execute("INSERT INTO packet_index VALUES (?, ?, ?)", (video_id, packets, record))
