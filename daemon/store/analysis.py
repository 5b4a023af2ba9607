"""What analysis found in the frames: shots and verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from daemon.model import Shot, ShotKind
from daemon.store.connection import Connection

if TYPE_CHECKING:
    # Only one method needs numpy: who shows what is stored does without.
    import numpy as np
    from numpy.typing import NDArray


class Analysis:
    """A video's shots and its frames' verdicts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def replace(
        self,
        video_id: int,
        shots: Sequence[Shot],
        frames: NDArray[np.int64],
        verdicts: NDArray[np.uint8],
        words: Sequence[str],
        judged: Mapping[str, Any],
    ) -> None:
        """Replace a video's shots and every frame's verdict (its place in ``words``), all or nothing."""
        import numpy as np

        # Neighbours mostly share a verdict: a range per run is far less to write than a row per frame.
        breaks = np.flatnonzero(np.diff(verdicts)) + 1
        firsts = frames[np.concatenate([[0], breaks])].tolist() if len(frames) else []
        lasts = frames[np.concatenate([breaks, [len(frames)]]) - 1].tolist() if len(frames) else []
        of_run = [words[verdicts[at]] for at in np.concatenate([[0], breaks])] if len(frames) else []
        async with self._connection.writing() as db:
            await db.execute("DELETE FROM shots WHERE video_id = ?", (video_id,))
            await db.executemany(
                "INSERT INTO shots (video_id, shot, kind, first, last) VALUES (?, ?, ?, ?, ?)",
                [(video_id, number, shot.kind, shot.first, shot.last) for number, shot in enumerate(shots)],
            )
            await db.executemany(
                "UPDATE decoded_frames SET verdict = ? WHERE video_id = ? AND frame BETWEEN ? AND ?",
                [(word, video_id, first, last) for word, first, last in zip(of_run, firsts, lasts, strict=True)],
            )
            await db.execute(
                "UPDATE videos SET judged = ? WHERE id = ?", (json.dumps(judged, sort_keys=True), video_id)
            )

    async def settings(self, video_id: int) -> dict[str, Any] | None:
        """The settings that the stored shots and verdicts were found with; None when there are none."""
        async with self._connection.db.execute("SELECT judged FROM videos WHERE id = ?", (video_id,)) as cursor:
            row = await cursor.fetchone()
        return json.loads(row[0]) if row is not None and row[0] is not None else None

    async def verdicts(self, video_id: int) -> dict[str, int]:
        """How many frames got which verdict."""
        # Groups are sorted, and most frames are good ones: these are counted apart.
        async with self._connection.db.execute(
            "SELECT verdict, COUNT(*) FROM decoded_frames WHERE video_id = ?1 AND verdict <> 'good' GROUP BY verdict"
            " UNION ALL SELECT 'good', COUNT(*) FROM decoded_frames WHERE video_id = ?1 AND verdict = 'good'",
            (video_id,),
        ) as cursor:
            return {row[0]: row[1] for row in await cursor.fetchall() if row[1]}

    async def verdict_of(self, video_id: int, frame: int) -> tuple[str | None, str | None]:
        """A frame's verdict, and why it is held in reserve; None where it was not judged, and where it is not."""
        async with self._connection.db.execute(
            "SELECT verdict, reserve FROM frames WHERE video_id = ? AND frame = ?", (video_id, frame)
        ) as cursor:
            row = await cursor.fetchone()
        return (row[0], row[1]) if row is not None else (None, None)

    async def shots(self, video_id: int) -> list[Shot]:
        """A video's shots and transitions, in order."""
        async with self._connection.db.execute(
            "SELECT kind, first, last FROM shots WHERE video_id = ? ORDER BY shot", (video_id,)
        ) as cursor:
            return [Shot(ShotKind(row[0]), row[1], row[2]) for row in await cursor.fetchall()]
