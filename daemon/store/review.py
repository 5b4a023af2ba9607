"""Reads for people who look at films: the list a page at a time, and a film's frames as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, cast

from daemon.store.columns import CURRENT_SELECTION, plain
from daemon.store.connection import Connection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROWS = 1_000
"""Rows that are read at once."""


class ListedFilm(TypedDict):
    """A line of the list; ``first_still`` is the frame of its best still, ``info`` is the probe as JSON."""

    id: int
    path: str
    status: str
    metric: str | None
    info: str | None
    frames_decoded: int | None
    damaged: int
    error_kind: str | None
    error: str | None
    stills: int
    first_still: int | None


@dataclass(frozen=True, slots=True)
class FilmColumns:
    """A film's frames as columns, by ascending frame.

    ``frame`` int64, ``time_s`` float64, ``score`` float64 with NaN where there is none, ``verdict`` uint8: its place
    in ``words``, where '' stands for a frame that was not judged.
    """

    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    score: NDArray[np.float64]
    verdict: NDArray[np.uint8]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OtherScores:
    """What another scorer says of a film: ``score`` float64 for each row of its columns, NaN where it says nothing."""

    metric: str
    lower_better: bool
    score: NDArray[np.float64]


class Review:
    """The list of films and what their curves are drawn from."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def films(self, limit: int, search: str = "", before: int | None = None) -> list[ListedFilm]:
        """The newest films whose path holds ``search``, newest first, older than the film ``before``."""
        async with self._connection.db.execute(
            "SELECT v.id, v.path, v.status, v.metric, v.info, v.frames_decoded, v.damaged, v.error_kind, v.error,"
            " (SELECT COUNT(*) FROM stills s WHERE s.selection_id ="
            f" ({CURRENT_SELECTION} v.id)) AS stills,"
            " (SELECT frame FROM stills s WHERE s.selection_id ="
            f" ({CURRENT_SELECTION} v.id) ORDER BY rank LIMIT 1) AS first_still"
            " FROM videos v WHERE (?1 = '' OR instr(lower(CAST(v.path AS TEXT)), lower(?1)) > 0)"
            " AND (?2 IS NULL OR v.id < ?2) ORDER BY v.id DESC LIMIT ?3",
            (search, before, limit),
        ) as cursor:
            return [cast("ListedFilm", plain(row)) for row in await cursor.fetchall()]

    async def version(self, video_id: int) -> tuple[Any, ...]:
        """A value that changes when a film's finished scores or verdicts do."""
        async with self._connection.db.execute(
            "SELECT status, scored_at, scorer, judged, (SELECT MAX(s.frame) FROM frame_scores s"
            " WHERE s.video_id = v.id AND s.scorer_id ="
            " (SELECT id FROM scorers WHERE identity = COALESCE(v.scorer, ''))),"
            " (SELECT group_concat(c.id || ' ' || (SELECT MAX(s.frame) FROM frame_scores s"
            " WHERE s.video_id = v.id AND s.scorer_id = c.id)) FROM scorers c)"
            " FROM videos v WHERE id = ?",
            (video_id,),
        ) as cursor:
            row = await cursor.fetchone()
        return tuple(row) if row is not None else ()

    async def frames(self, video_id: int) -> int:
        """How many frames of a film have a row of its current scorer."""
        async with self._connection.db.execute(
            "SELECT COUNT(*) FROM frame_scores WHERE video_id = ?1 AND scorer_id = (SELECT id FROM scorers"
            " WHERE identity = (SELECT COALESCE(scorer, '') FROM videos WHERE id = ?1))",
            (video_id,),
        ) as cursor:
            row = await cursor.fetchone()
        return int(row[0]) if row is not None else 0

    async def columns(self, video_id: int) -> FilmColumns:
        """All frames of a film."""
        import numpy as np

        codes: dict[str | None, int] = {"good": 0, None: 1}
        types: tuple[Any, ...] = (np.int64, np.float64, np.float64, np.uint8)
        parts: list[list[NDArray[Any]]] = [[np.zeros(0, kind) for kind in types]]
        async with self._connection.db.execute(
            "SELECT frame, time_s, score, verdict FROM frames WHERE video_id = ? ORDER BY frame", (video_id,)
        ) as cursor:
            # Plain tuples, some at a time: a million rows at once would keep the garbage collector busy.
            cursor.row_factory = None
            while rows := await cursor.fetchmany(ROWS):
                frame, time_s, score, verdict = zip(*rows, strict=True)
                numbers = [codes.setdefault(word, len(codes)) for word in verdict]
                columns = (frame, time_s, score, numbers)
                # NULL becomes NaN.
                parts.append([np.array(c, kind) for c, kind in zip(columns, types, strict=True)])
        frames, times, scores, verdicts = (np.concatenate(column) for column in zip(*parts, strict=True))
        return FilmColumns(frames, times, scores, verdicts, tuple(word or "" for word in codes))

    async def second(self, video_id: int, frames: NDArray[np.int64]) -> OtherScores | None:
        """The scores of the newest scorer beside the current one, for these frames (rising); None without one."""
        import numpy as np

        async with self._connection.db.execute(
            "SELECT c.id, c.metric, c.lower_better FROM scorers c WHERE c.metric IS NOT NULL"
            " AND c.lower_better IS NOT NULL"
            " AND c.identity != (SELECT COALESCE(scorer, '') FROM videos WHERE id = ?1)"
            " AND EXISTS (SELECT 1 FROM frame_scores s WHERE s.video_id = ?1 AND s.scorer_id = c.id)"
            " ORDER BY c.id DESC LIMIT 1",
            (video_id,),
        ) as cursor:
            found = await cursor.fetchone()
        if found is None:
            return None
        score = np.full(len(frames), np.nan)
        async with self._connection.db.execute(
            "SELECT frame, score FROM frame_scores WHERE video_id = ? AND scorer_id = ? AND score IS NOT NULL"
            " ORDER BY frame",
            (video_id, found["id"]),
        ) as cursor:
            cursor.row_factory = None
            while rows := await cursor.fetchmany(ROWS):
                known = np.array(rows, np.float64)
                places = np.searchsorted(frames, known[:, 0])
                there = places < len(frames)
                there[there] = frames[places[there]] == known[there, 0]
                score[places[there]] = known[there, 1]
        return OtherScores(found["metric"], bool(found["lower_better"]), score)
