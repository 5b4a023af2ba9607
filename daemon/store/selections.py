"""What was chosen: selections and their published stills."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from daemon.model import Method, Selection, Still
from daemon.store.columns import CURRENT_SELECTION, path_of, path_value
from daemon.store.connection import Connection


@dataclass(frozen=True, slots=True)
class PastSelection:
    """A recorded selection, and by rank the files of its stills and how each was written (None: not known)."""

    id: int
    params: dict[str, Any]
    paths: tuple[Path, ...]
    images: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class PublishedStill:
    """A still of some selection; ``image`` is how it was written (None: not known)."""

    frame: int
    path: Path
    sha256: str
    image: str | None
    method: Method


@dataclass(frozen=True, slots=True)
class PlacedStill:
    """Where a still of a selection lies."""

    selection_id: int
    rank: int
    path: Path


class Selections:
    """The tables ``selections`` and ``stills``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def finish(
        self, video_id: int, selection: Selection, stills: Sequence[Still], after: str | None = None
    ) -> int:
        """Record a selection and its proven stills, and mark the video done; returns the selection's id.

        ``after``, move or delete, is what is then due for the source.
        """
        now = self._connection.now()
        async with self._connection.writing() as db:
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
                "UPDATE videos SET status = CASE status WHEN 'replaced' THEN status ELSE 'done' END, attempts = 0,"
                " retries = 0, retry_at = NULL, error_kind = NULL,"
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

    async def latest(self, video_id: int) -> PastSelection | None:
        """The current selection of a video."""
        async with self._connection.db.execute(
            f"SELECT id, params FROM selections WHERE id = ({CURRENT_SELECTION} ?)", (video_id,)
        ) as cursor:
            row = await cursor.fetchone()
        if row is None:
            return None
        async with self._connection.db.execute(
            "SELECT path, image FROM stills WHERE selection_id = ? ORDER BY rank", (row[0],)
        ) as cursor:
            stills = list(await cursor.fetchall())
        paths, images = tuple(path_of(still[0]) for still in stills), tuple(still[1] for still in stills)
        return PastSelection(row[0], json.loads(row[1]), paths, images)

    async def newest(self, stills: int) -> list[tuple[int, int]]:
        """Every film with its newest selection, the newest first, until these have ``stills`` of them."""
        found, held = [], 0
        async with self._connection.db.execute(
            "SELECT video_id, id, chosen FROM selections WHERE id IN (SELECT MAX(id) FROM selections GROUP BY video_id)"
            " ORDER BY id DESC"
        ) as cursor:
            async for row in cursor:
                found.append((int(row[0]), int(row[1])))
                held += int(row[2])
                if held >= stills:
                    break
        return found

    async def given(self, selection_ids: Sequence[int]) -> dict[int, list[int]]:
        """By film, the frames that are stills of some selections, in their order."""
        found: dict[int, list[int]] = {}
        async with self._connection.db.execute(
            f"SELECT video_id, frame FROM stills WHERE selection_id IN ({','.join('?' * len(selection_ids))})"
            " ORDER BY selection_id, rank",
            tuple(selection_ids),
        ) as cursor:
            async for row in cursor:
                found.setdefault(int(row[0]), []).append(int(row[1]))
        return found

    async def published(self, video_id: int) -> list[PublishedStill]:
        """Every still of a video, the newest of each frame last."""
        async with self._connection.db.execute(
            "SELECT frame, path, sha256, image, method FROM stills WHERE video_id = ? ORDER BY selection_id",
            (video_id,),
        ) as cursor:
            return [
                PublishedStill(
                    frame=row["frame"],
                    path=path_of(row["path"]),
                    sha256=row["sha256"],
                    image=row["image"],
                    method=Method(row["method"]),
                )
                for row in await cursor.fetchall()
            ]

    async def older_stills(self, video_id: int, folder: str | None = None) -> list[PlacedStill]:
        """The stills of every selection of a video and of the videos that it has replaced, the oldest first.

        Of those with a folder of their own only the ones that went to ``folder``; None: of all others.
        """
        async with self._connection.db.execute(
            "WITH RECURSIVE replaced (id) AS (SELECT ? UNION"
            " SELECT v.id FROM replaced r JOIN videos v ON v.replaced_by = r.id)"
            " SELECT s.selection_id, s.rank, s.path FROM replaced r CROSS JOIN stills s ON s.video_id = r.id"
            " JOIN selections c ON c.id = s.selection_id AND json_extract(c.params, '$.folder') IS ?"
            " ORDER BY s.selection_id, s.rank",
            (video_id, folder),
        ) as cursor:
            return [PlacedStill(row[0], row[1], path_of(row[2])) for row in await cursor.fetchall()]

    async def moved(self, paths: Mapping[tuple[int, int], Path]) -> None:
        """Stills lie elsewhere now, by selection and rank."""
        async with self._connection.writing() as db:
            await db.executemany(
                "UPDATE stills SET path = ? WHERE selection_id = ? AND rank = ?",
                [(path_value(path), selection_id, rank) for (selection_id, rank), path in paths.items()],
            )

    async def forget_stills(self, selection_ids: Sequence[int]) -> None:
        """The files of these selections are removed; what was chosen stays known."""
        if selection_ids:
            async with self._connection.writing() as db:
                await db.executemany("DELETE FROM stills WHERE selection_id = ?", [(one,) for one in selection_ids])
