"""The scores of every scorer, side by side: the tables ``scorers`` and ``frame_scores``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiosqlite

from daemon.model import Outcome
from daemon.store.columns import hash_of
from daemon.store.connection import Connection

ROWS = 1_000
"""Rows that are read at once."""

PUT_SCORE = (
    "INSERT INTO frame_scores (video_id, scorer_id, frame, score, note) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (video_id, scorer_id, frame) DO UPDATE SET score = excluded.score, note = excluded.note"
)


@dataclass(frozen=True, slots=True)
class ScoredBy:
    """What one scorer has said of a film.

    ``scorer`` is its whole identity; ``lower_better`` is None where that was not kept. ``frames`` have a score or a
    note, ``scored`` a score; ``lowest``, ``highest`` and ``mean`` are of these, None where there is none. ``current``:
    the film is chosen by it unless another is asked for.
    """

    scorer: str
    metric: str
    lower_better: bool | None
    frames: int
    scored: int
    lowest: float | None
    highest: float | None
    mean: float | None
    current: bool


@dataclass(frozen=True, slots=True)
class FrameScores:
    """A frame with what each scorer has said of it, by identity; a scorer that has not seen it is missing."""

    frame: int
    pts: int | None
    time_s: float
    duration_s: float | None
    hash: str
    verdict: str | None
    outcomes: Mapping[str, Outcome]


class Scores:
    """What scorers have said of a video's frames."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(
        self, video_id: int, metric: str, lower_better: bool | None, scorer: str, outcomes: Mapping[int, Outcome]
    ) -> None:
        """Keep a scorer's outcomes by frame, beside those of others; committed at once."""
        async with self._connection.writing() as db:
            scorer_id = await keep_scorer(db, scorer, metric, lower_better)
            await db.executemany(
                PUT_SCORE,
                [(video_id, scorer_id, frame, outcome.score, outcome.note) for frame, outcome in outcomes.items()],
            )

    async def outcomes(self, video_id: int, scorer: str) -> dict[int, Outcome]:
        """A scorer's outcomes by frame."""
        async with self._connection.db.execute(
            "SELECT frame, score, note FROM frame_scores WHERE video_id = ? AND scorer_id ="
            " (SELECT id FROM scorers WHERE identity = ?)",
            (video_id, scorer),
        ) as cursor:
            return {row[0]: Outcome(row[1], row[2]) for row in await cursor.fetchall()}

    async def scorers(self, video_id: int) -> list[ScoredBy]:
        """Who has scored a film, the current one first."""
        async with self._connection.db.execute(
            "SELECT c.identity, COALESCE(c.metric, ''), c.lower_better, COUNT(*), COUNT(s.score), MIN(s.score),"
            " MAX(s.score), AVG(s.score), c.identity = (SELECT COALESCE(scorer, '') FROM videos WHERE id = ?1) AS now"
            # CROSS JOIN: for each scorer its own rows alone.
            " FROM scorers c CROSS JOIN frame_scores s ON s.video_id = ?1 AND s.scorer_id = c.id"
            " GROUP BY c.id ORDER BY now DESC, c.id",
            (video_id,),
        ) as cursor:
            return [
                ScoredBy(
                    scorer=row[0],
                    metric=row[1],
                    lower_better=None if row[2] is None else bool(row[2]),
                    frames=row[3],
                    scored=row[4],
                    lowest=row[5],
                    highest=row[6],
                    mean=row[7],
                    current=bool(row[8]),
                )
                for row in await cursor.fetchall()
            ]

    async def side_by_side(self, video_id: int) -> AsyncIterator[FrameScores]:
        """Every frame of a film with all of its scores, in order."""
        async with self._connection.db.execute(
            "SELECT id, identity FROM scorers c WHERE EXISTS"
            " (SELECT 1 FROM frame_scores WHERE video_id = ? AND scorer_id = c.id) ORDER BY id",
            (video_id,),
        ) as cursor:
            scorers = [(row[0], row[1]) for row in await cursor.fetchall()]
        after = -1
        while True:
            async with self._connection.db.execute(
                "SELECT frame, pts, time_s, duration_s, hash, verdict FROM decoded_frames WHERE video_id = ?"
                " AND frame > ? ORDER BY frame LIMIT ?",
                (video_id, after, ROWS),
            ) as cursor:
                rows = list(await cursor.fetchall())
            if not rows:
                return
            found: dict[int, dict[str, Outcome]] = {row[0]: {} for row in rows}
            for scorer_id, identity in scorers:
                async with self._connection.db.execute(
                    "SELECT frame, score, note FROM frame_scores WHERE video_id = ? AND scorer_id = ?"
                    " AND frame BETWEEN ? AND ?",
                    (video_id, scorer_id, rows[0][0], rows[-1][0]),
                ) as cursor:
                    for frame, score, note in await cursor.fetchall():
                        found[frame][identity] = Outcome(score, note)
            for row in rows:
                yield FrameScores(row[0], row[1], row[2], row[3], hash_of(row[4]), row[5], found[row[0]])
            after = rows[-1][0]


async def keep_scorer(db: aiosqlite.Connection, scorer: str, metric: str, lower_better: bool | None) -> int:
    """The id of a scorer's identity; what is known of it is kept."""
    cursor = await db.execute(
        "INSERT INTO scorers (identity, metric, lower_better) VALUES (?, ?, ?) ON CONFLICT (identity) DO UPDATE SET"
        " metric = excluded.metric, lower_better = COALESCE(excluded.lower_better, lower_better) RETURNING id",
        (scorer, metric, lower_better),
    )
    rows: list[Any] = list(await cursor.fetchall())
    return int(rows[0][0])
