"""What is stored of every frame: its score, its hash and its features."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import aiosqlite

from daemon.errors import Kind, StoreError
from daemon.media.info_text import info_json
from daemon.model import Scored, VideoInfo
from daemon.store import feature_blocks, features
from daemon.store.columns import CURRENT_SCORER, hash_of, hash_value
from daemon.store.connection import Connection
from daemon.store.pending_rows import PendingRows
from daemon.store.scores import PUT_SCORE, keep_scorer

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
    ``subtitled`` bool: it is one of these for a subtitle, ``reserve`` bool: it is chosen only where nothing better is,
    ``damaged`` bool: it is one of these for damage. ``last_s`` is how long the file says that the last frame is shown;
    None where it does not.
    """

    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    score: NDArray[np.float64]
    noted: NDArray[np.bool_]
    good: NDArray[np.bool_]
    spared: NDArray[np.bool_]
    reserve: NDArray[np.bool_]
    subtitled: NDArray[np.bool_]
    damaged: NDArray[np.bool_]
    last_s: float | None = None


TABLE_ROWS = 4_000
_FLAGS = (
    "(s.note IS NOT NULL) + CASE f.verdict WHEN 'good' THEN 2 WHEN 'spared' THEN 4 WHEN 'subtitled' THEN 36 ELSE 0 END"
    " + CASE f.reserve WHEN 'damaged' THEN 72 ELSE (f.reserve IS NOT NULL) * 8 END + (s.score IS NULL) * 16"
)
"""What is said of a frame, a bit each, beside its number: three columns are read in less time than seven."""
_FLAG_BITS = 7


class Frames:
    """What is stored of a video's frames, and the state of its scoring.

    A frame's place, time, hash and verdict are those of the decoder and are kept once; its score is kept for every
    scorer that has given one. ``scorer`` is the identity of one; None: the current one, by which the film is chosen.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._scoring: dict[int, int] = {}
        self._stored: dict[int, int] = {}
        self._rows = PendingRows(connection, self._put)
        self._features = features.PendingFeatures()
        connection.with_group(self._end_group, self._clear)

    async def begin_scoring(
        self, video_id: int, info: VideoInfo, metric: str, lower_better: bool, scorer: str
    ) -> list[str]:
        """Note what the video is and who scores it now; returns the hashes of the frames that this scorer has scored.

        Other scorers' numbers stay. Frames of another stream go with all their scores: they are another film's.
        """
        async with self._connection.writing() as db:
            self._connection.forget_lost(video_id)
            async with db.execute(
                "SELECT stream_index IS ? FROM videos WHERE id = ?", (info.stream_index, video_id)
            ) as rows:
                same_stream = await rows.fetchone()
            if same_stream is not None and not same_stream[0]:
                for table in ("decoded_frames", "frame_scores", "feature_blocks"):
                    await db.execute(f"DELETE FROM {table} WHERE video_id = ?", (video_id,))
            self._scoring[video_id] = await keep_scorer(db, scorer, metric, lower_better)
            self._stored[video_id] = await _frames_stored(db, video_id)
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

        The scores are those of the current scorer. A frame whose hash is another than before loses the scores of the
        others. Raises StoreError, also when rows that were written before could not be committed.
        """
        if any(row.score is None and row.note is None for row in rows):
            raise StoreError(Kind.DATABASE, "a frame has neither a score nor a reason why: report this as a fault")
        async with self._connection.in_group(video_id):
            # Before the group may end.
            self._features.add(video_id, rows)
            if self._rows.add(video_id, rows):
                await self._rows.write(video_id)

    async def _put(self, films: Mapping[int, Sequence[Scored]]) -> None:
        """Write rows of some films; within a transaction."""
        db, frames, scores = self._connection.db, list[tuple[Any, ...]](), list[tuple[Any, ...]]()
        for video_id, rows in films.items():
            scorer_id = self._scoring.get(video_id) or await self._current_scorer(db, video_id)
            values = [(video_id, row.frame, row.pts, row.time_s, row.duration_s, hash_value(row.hash)) for row in rows]
            await self._drop_other_pictures(db, video_id, scorer_id, values)
            frames += values
            scores += [(video_id, scorer_id, row.frame, row.score, row.note) for row in rows]
        await db.executemany(
            "INSERT INTO decoded_frames (video_id, frame, pts, time_s, duration_s, hash) VALUES (?,?,?,?,?,?)"
            " ON CONFLICT (video_id, frame) DO UPDATE SET pts = excluded.pts, time_s = excluded.time_s,"
            " duration_s = excluded.duration_s, hash = excluded.hash, verdict = NULL",
            frames,
        )
        await db.executemany(PUT_SCORE, scores)

    async def _end_group(self, db: aiosqlite.Connection) -> None:
        for video_id in await self._rows.write_all():
            self._features.forget(video_id)
        await self._features.write(db)

    def _clear(self) -> None:
        self._rows.clear()
        self._features.clear()

    async def _write_pending(self, video_id: int) -> None:
        """Have a film's rows where this connection reads them."""
        if self._rows.waits(video_id):
            async with self._connection.in_group(video_id):
                try:
                    await self._rows.write(video_id)
                except StoreError as error:
                    # Whoever scores the film has to know.
                    self._connection.lose(video_id, error)
                    raise

    async def hashes(self, video_id: int, scorer: str | None = None) -> list[str]:
        """Per frame from 0 to the last one the stored hash where the scorer has scored it, '' where it has not."""
        await self._write_pending(video_id)
        async with self._connection.db.execute(
            "SELECT s.frame, f.hash FROM frame_scores s CROSS JOIN decoded_frames f ON f.video_id = s.video_id"
            f" AND f.frame = s.frame WHERE s.video_id = ?1 AND s.scorer_id = {_SCORER} ORDER BY s.frame",
            (video_id, scorer),
        ) as cursor:
            return await _by_frame(cursor)

    async def decoded(self, video_id: int) -> list[str]:
        """The stored hash of each frame from 0 to the last stored one, whoever has scored it; '' for a gap."""
        await self._write_pending(video_id)
        async with self._connection.db.execute(
            "SELECT frame, hash FROM decoded_frames WHERE video_id = ? ORDER BY frame", (video_id,)
        ) as cursor:
            return await _by_frame(cursor)

    async def _current_scorer(self, db: aiosqlite.Connection, video_id: int) -> int:
        """The id of a film's current scorer; one whose scoring was not begun here has none of a name."""
        async with db.execute(
            "SELECT COALESCE(scorer, ''), COALESCE(metric, ''), lower_better FROM videos WHERE id = ?", (video_id,)
        ) as cursor:
            row = await cursor.fetchone()
        identity, metric, lower_better = row if row is not None else ("", "", None)
        if video_id not in self._stored:
            self._stored[video_id] = await _frames_stored(db, video_id)
        # Not kept: what is written now may be undone.
        return await keep_scorer(db, identity, metric, lower_better)

    async def _drop_other_pictures(
        self, db: aiosqlite.Connection, video_id: int, scorer_id: int, values: Sequence[tuple[Any, ...]]
    ) -> None:
        """Of frames that decode to another picture than before, take away what other scorers said of that.

        Only frames that were there when the scoring began have scores of others.
        """
        frames = [value[1] for value in values if value[1] < self._stored.get(video_id, 0)]
        if not frames:
            return
        async with db.execute(
            "SELECT frame, hash FROM decoded_frames WHERE video_id = ? AND frame BETWEEN ? AND ?",
            (video_id, min(frames), max(frames)),
        ) as cursor:
            before = {row[0]: row[1] for row in await cursor.fetchall()}
        changed = [(video_id, value[1], scorer_id) for value in values if before.get(value[1], value[5]) != value[5]]
        if changed:
            await db.executemany(
                "DELETE FROM frame_scores WHERE video_id = ? AND frame = ?"
                " AND scorer_id IN (SELECT id FROM scorers WHERE id != ?)",
                changed,
            )

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
            await db.execute("DELETE FROM decoded_frames WHERE video_id = ? AND frame >= ?", (video_id, frames_decoded))
            await db.execute(
                "DELETE FROM frame_scores WHERE video_id = ? AND frame >= ? AND scorer_id IN (SELECT id FROM scorers)",
                (video_id, frames_decoded),
            )
            await features.cut(db, video_id, frames_decoded)
            await db.execute(
                "UPDATE decoded_frames SET reserve = NULL WHERE video_id = ? AND reserve IS NOT NULL", (video_id,)
            )
            await db.executemany(
                "UPDATE decoded_frames SET reserve = ? WHERE video_id = ? AND frame BETWEEN ? AND ?",
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
            scorer_id = self._scoring.get(video_id) or await self._current_scorer(db, video_id)
            self._scoring.pop(video_id, None)
            self._stored.pop(video_id, None)
            cursor = await db.execute(
                # One whose file was replaced in the meantime keeps that word.
                "UPDATE videos SET status = CASE status WHEN 'replaced' THEN status ELSE 'scored' END,"
                " attempts = 0, retries = 0, retry_at = NULL,"
                " error_kind = NULL, error = NULL, scored_at = ?, frames_decoded = ?,"
                " frames_scored = (SELECT COUNT(score) FROM frame_scores WHERE video_id = ? AND scorer_id = ?),"
                " damaged = ?, mixed = ?, damage = ? WHERE id = ? RETURNING frames_scored",
                (self._connection.now(), frames_decoded, video_id, scorer_id, damaged, mixed, damage, video_id),
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

    async def table(self, video_id: int, scorer: str | None = None) -> ScoreTable:
        """All rows of a video that the scorer has scored, as columns."""
        import numpy as np

        await self._write_pending(video_id)
        async with self._connection.db.execute(
            f"SELECT s.frame * {1 << _FLAG_BITS} + {_FLAGS}, f.time_s, ifnull(s.score, 0.0) {_FRAMES} ORDER BY s.frame",
            (video_id, scorer),
        ) as cursor:
            # Plain tuples, some at a time: a million rows at once would keep the garbage collector busy.
            cursor.row_factory = None
            parts = [np.zeros((0, 3))]
            while rows := await cursor.fetchmany(TABLE_ROWS):
                parts.append(np.fromiter(chain.from_iterable(rows), np.float64).reshape(-1, 3))
        async with self._connection.db.execute(
            "SELECT duration_s FROM decoded_frames WHERE video_id = ? ORDER BY frame DESC LIMIT 1", (video_id,)
        ) as cursor:
            last = await cursor.fetchone()
        flagged, time_s, score = (np.concatenate([part[:, column] for part in parts]) for column in range(3))
        del parts
        frame, flags = np.divmod(flagged.astype(np.int64), 1 << _FLAG_BITS)
        said = (flags >> bit & 1 == 1 for bit in range(_FLAG_BITS))
        noted, good, spared, reserve, no_score, subtitled, damaged = said
        score[no_score] = np.nan
        last_s = None if last is None else last[0]
        return ScoreTable(frame, time_s, score, noted, good, spared, reserve, subtitled, damaged, last_s)

    async def with_note(self, video_id: int, note: str) -> list[int]:
        """The frames that carry this note of the current scorer."""
        async with self._connection.db.execute(
            f"SELECT frame FROM frame_scores WHERE video_id = ?1 AND note = ?2 AND scorer_id = {CURRENT_SCORER}",
            (video_id, note),
        ) as cursor:
            return [row[0] for row in await cursor.fetchall()]

    async def rows(self, video_id: int, frames: Sequence[int], scorer: str | None = None) -> dict[int, Scored]:
        """The stored rows of some frames, with the scorer's scores."""
        await self._write_pending(video_id)
        rows: dict[int, Scored] = {}
        for start in range(0, len(frames), 500):
            part = frames[start : start + 500]
            async with self._connection.db.execute(
                f"SELECT s.frame, f.pts, f.time_s, s.score, s.note, f.hash, f.duration_s {_FRAMES}"
                f" AND s.frame IN ({','.join(str(int(frame)) for frame in part)})",
                (video_id, scorer),
            ) as cursor:
                for frame, pts, time_s, score, note, digest, duration_s in await cursor.fetchall():
                    rows[frame] = Scored(frame, pts, time_s, score, note, hash_of(digest), None, duration_s)
        return rows

    async def feature_records(self, video_id: int) -> AsyncIterator[list[bytes | None]]:
        """The features of every frame in order, None where it has none, FEATURES_READ at a time."""
        await self._write_pending(video_id)
        after = -1
        while True:
            async with self._connection.db.execute(
                f"SELECT s.frame {_FRAMES} AND s.frame > ?3 ORDER BY s.frame LIMIT ?4",
                (video_id, None, after, FEATURES_READ),
            ) as cursor:
                frames = [row[0] for row in await cursor.fetchall()]
            if not frames:
                return
            after = frames[-1]
            yield await self.features_of(video_id, frames)

    async def features_of(self, video_id: int, frames: Sequence[int]) -> list[bytes | None]:
        """The features of some frames, in the order given."""
        wanted: dict[int, set[int]] = {}
        for frame in frames:
            block, place = divmod(frame, feature_blocks.FRAMES)
            wanted.setdefault(block, set()).add(place)
        blocks = sorted(wanted)
        records: dict[int, bytes] = {}
        for start in range(0, len(blocks), 500):
            part = ",".join(str(int(block)) for block in blocks[start : start + 500])
            async with self._connection.db.execute(
                f"SELECT block, packed FROM feature_blocks WHERE video_id = ? AND block IN ({part})", (video_id,)
            ) as cursor:
                packed = [(row[0], row[1]) for row in await cursor.fetchall()]
            records |= await asyncio.to_thread(features.unpacked, packed, wanted)
        records |= self._features.of(video_id)
        return [records.get(frame) for frame in frames]


_SCORER = (
    "(SELECT c.id FROM scorers c WHERE c.identity ="
    " COALESCE(?2, (SELECT COALESCE(scorer, '') FROM videos WHERE id = ?1)))"
)
"""The id of the scorer whose identity is the second parameter, or of the current one of the video, the first."""

_FRAMES = (
    # CROSS JOIN keeps SQLite from walking through the frames of all videos first.
    "FROM frame_scores s CROSS JOIN decoded_frames f ON f.video_id = s.video_id AND f.frame = s.frame"
    f" WHERE s.video_id = ?1 AND s.scorer_id = {_SCORER}"
)
"""A video's frames that the scorer has scored."""


async def _frames_stored(db: aiosqlite.Connection, video_id: int) -> int:
    async with db.execute("SELECT MAX(frame) + 1 FROM decoded_frames WHERE video_id = ?", (video_id,)) as cursor:
        row = await cursor.fetchone()
    return int(row[0] or 0) if row is not None else 0


async def _by_frame(cursor: aiosqlite.Cursor) -> list[str]:
    """Rows of frame and hash as a list, '' where a frame has none."""
    found: list[str] = []
    async for frame, digest in cursor:
        found += [""] * (frame - len(found))
        found.append(hash_of(digest))
    return found


async def _put_packet_index(db: aiosqlite.Connection, video_id: int, packets: int, record: bytes | None) -> None:
    await db.execute("DELETE FROM packet_index WHERE video_id = ?", (video_id,))
    if record is not None:
        await db.execute("INSERT INTO packet_index VALUES (?, ?, ?)", (video_id, packets, record))
