"""What people and programs are shown of the store: rows as plain dictionaries, ready for JSON.

The keys are those that the commands print: contract.
"""

from __future__ import annotations

from typing import Any, TypedDict, TypeVar, cast

from daemon.store.columns import CURRENT_SCORER, CURRENT_SELECTION, plain
from daemon.store.connection import Connection

Row = TypeVar("Row")


class ListedVideo(TypedDict):
    """A line of ``list``; ``stills`` is how many its current selection has."""

    id: int
    path: str
    status: str
    metric: str | None
    frames_decoded: int | None
    frames_scored: int | None
    damaged: int
    error_kind: str | None
    error: str | None
    queued_at: str
    finished_at: str | None
    stills: int


class WorkingVideo(TypedDict):
    """A video that is being scored or exported; ``frames`` are committed, ``info`` is the probe as JSON."""

    id: int
    path: str
    status: str
    metric: str | None
    info: str | None
    frames: int | None


class EndedVideo(TypedDict):
    """A video that has failed, was rejected or is missing, and why."""

    id: int
    path: str
    status: str
    error_kind: str
    error: str
    finished_at: str | None


class SelectionRow(TypedDict):
    """A recorded selection; ``params`` and ``reasons`` are JSON, ``metric`` is the one that it was chosen by."""

    id: int
    metric: str | None
    params: str
    requested: int
    chosen: int
    shortfall: str | None
    reasons: str | None
    created_at: str


class StillRow(TypedDict):
    """A published still; ``reason`` is JSON, None from versions that kept none."""

    rank: int
    frame: int
    time_s: float
    score: float
    path: str
    width: int
    height: int
    bytes: int
    sha256: str
    method: str
    reason: str | None
    created_at: str


class SourceRow(TypedDict):
    """What is due for a source, or was done with it."""

    action: str
    state: str
    reason: str | None
    at: str


class DoneSource(TypedDict):
    """The source of a video that has stills; ``state`` and ``at`` are None where ``watch.after`` was keep.

    ``digest`` is None where not every byte was read yet, ``status`` is done or replaced.
    """

    fingerprint: str
    digest: str | None
    status: str
    path: str
    state: str | None
    at: str | None


class ShotRow(TypedDict):
    """A shot or transition; ``good`` is how many of its frames no gate refuses."""

    shot: int
    kind: str
    first: int
    last: int
    start_s: float | None
    last_s: float | None
    good: int


class ScoreRange(TypedDict):
    """The scores of a video; None where there is none."""

    lowest: float | None
    highest: float | None
    mean: float | None


_SELECTIONS = (
    "SELECT s.id, c.metric, s.params, s.requested, s.chosen, s.shortfall, s.reasons, s.created_at FROM selections s"
    " LEFT JOIN scorers c ON c.identity = json_extract(s.params, '$.scorer')"
)


class Queries:
    """Reads for ``list``, ``show``, ``status`` and the like."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def videos(self, limit: int) -> list[ListedVideo]:
        """The newest videos, newest first."""
        return await self._rows(
            ListedVideo,
            "SELECT v.id, v.path, v.status, v.metric, v.frames_decoded, v.frames_scored, v.damaged, v.error_kind,"
            " v.error, v.queued_at, v.finished_at, (SELECT COUNT(*) FROM stills s WHERE s.selection_id ="
            f" ({CURRENT_SELECTION} v.id)) AS stills"
            " FROM videos v ORDER BY v.id DESC LIMIT ?",
            limit,
        )

    async def working(self) -> list[WorkingVideo]:
        """What is being scored or exported."""
        return await self._rows(
            WorkingVideo,
            "SELECT v.id, v.path, v.status, v.metric, v.info, (SELECT MAX(s.frame) + 1 FROM frame_scores s"
            " WHERE s.video_id = v.id AND s.scorer_id ="
            " (SELECT id FROM scorers WHERE identity = COALESCE(v.scorer, ''))) AS frames"
            " FROM videos v WHERE v.status IN ('scoring', 'exporting') ORDER BY v.id",
        )

    async def errors(self, limit: int) -> list[EndedVideo]:
        """The last videos that ended with an error, newest first."""
        return await self._rows(
            EndedVideo,
            "SELECT id, path, status, error_kind, error, finished_at FROM videos WHERE error_kind IS NOT NULL"
            " AND status IN ('failed', 'rejected', 'missing') ORDER BY finished_at DESC LIMIT ?",
            limit,
        )

    async def failed_ids(self) -> list[int]:
        """The ids of the videos that have failed."""
        return [
            row["id"] for row in await self._rows(dict, "SELECT id FROM videos WHERE status = 'failed' ORDER BY id")
        ]

    async def video(self, video_id: int) -> dict[str, Any]:
        """Every column of a video's row."""
        (row,) = await self._rows(dict, "SELECT * FROM videos WHERE id = ?", video_id)
        return row

    async def selections(self, video_id: int) -> list[SelectionRow]:
        """A video's selections, the newest last."""
        return await self._rows(SelectionRow, f"{_SELECTIONS} WHERE s.video_id = ? ORDER BY s.id", video_id)

    async def current_selection(self, video_id: int) -> SelectionRow | None:
        """A video's current selection: the newest one that has no folder of its own."""
        found = await self._rows(SelectionRow, f"{_SELECTIONS} WHERE s.id = ({CURRENT_SELECTION} ?)", video_id)
        return found[0] if found else None

    async def stills(self, selection_id: int) -> list[StillRow]:
        """The stills of a selection by rank."""
        return await self._rows(
            StillRow,
            "SELECT rank, frame, time_s, score, path, width, height, bytes, sha256, method, reason, created_at"
            " FROM stills WHERE selection_id = ? ORDER BY rank",
            selection_id,
        )

    async def source(self, video_id: int) -> SourceRow | None:
        """What ``watch.after`` did or will do with a video's source; None where nothing was asked for."""
        rows = await self._rows(SourceRow, "SELECT action, state, reason, at FROM sources WHERE video_id = ?", video_id)
        return rows[0] if rows else None

    async def done_sources(self) -> list[DoneSource]:
        """The sources of all videos that are done, or were and are replaced; those that are current last."""
        return await self._rows(
            DoneSource,
            "SELECT v.fingerprint, v.digest, v.status, v.path, s.state, s.at FROM videos v"
            " LEFT JOIN sources s ON s.video_id = v.id WHERE v.status IN ('done', 'replaced')"
            " ORDER BY v.status = 'done', v.id",
        )

    async def shots(self, video_id: int) -> list[ShotRow]:
        """A video's shots and transitions in order."""
        return await self._rows(
            ShotRow,
            "SELECT s.shot, s.kind, s.first, s.last, a.time_s AS start_s, b.time_s AS last_s,"
            " (SELECT COUNT(*) FROM decoded_frames f WHERE f.video_id = s.video_id"
            " AND f.frame BETWEEN s.first AND s.last AND f.verdict = 'good') AS good FROM shots s"
            " LEFT JOIN decoded_frames a ON a.video_id = s.video_id AND a.frame = s.first"
            " LEFT JOIN decoded_frames b ON b.video_id = s.video_id AND b.frame = s.last"
            " WHERE s.video_id = ? ORDER BY s.shot",
            video_id,
        )

    async def notes(self, video_id: int) -> dict[str, int]:
        """How many frames carry which note of the current scorer in place of a score, or beside it."""
        rows = await self._rows(
            dict,
            "SELECT note, COUNT(*) AS frames FROM frame_scores WHERE video_id = ?1 AND note IS NOT NULL"
            f" AND scorer_id = {CURRENT_SCORER} GROUP BY note",
            video_id,
        )
        return {row["note"]: row["frames"] for row in rows}

    async def score_range(self, video_id: int) -> ScoreRange:
        """The lowest, highest and mean score of a video by its current scorer."""
        (row,) = await self._rows(
            ScoreRange,
            "SELECT MIN(score) AS lowest, MAX(score) AS highest, AVG(score) AS mean FROM frame_scores"
            f" WHERE video_id = ?1 AND scorer_id = {CURRENT_SCORER}",
            video_id,
        )
        return row

    async def _rows(self, row_type: type[Row], query: str, *arguments: Any) -> list[Row]:  # noqa: ARG002
        """The rows as dictionaries; ``row_type`` names their keys for the type checker."""
        async with self._connection.db.execute(query, arguments) as cursor:
            return [cast("Row", plain(row)) for row in await cursor.fetchall()]
