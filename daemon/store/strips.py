"""The strip of a film: small pictures of some of its frames, for people who look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.store.connection import Connection


@dataclass(frozen=True, slots=True)
class StripSize:
    """How many pictures a strip has, and their bytes."""

    pictures: int
    bytes: int


class Strips:
    """The table ``strip_pictures``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, video_id: int, pictures: Mapping[int, bytes], step: int) -> None:
        """Write pictures by frame, and drop those whose frame is no multiple of ``step``; committed with the scores."""
        async with self._connection.grouped(video_id) as db:
            await db.executemany(
                "INSERT OR REPLACE INTO strip_pictures (video_id, frame, picture) VALUES (?, ?, ?)",
                [(video_id, frame, picture) for frame, picture in pictures.items()],
            )
            if step > 1:
                await db.execute("DELETE FROM strip_pictures WHERE video_id = ? AND frame % ? != 0", (video_id, step))

    async def nearest(self, video_id: int, frame: int) -> tuple[int, bytes] | None:
        """The picture that is nearest to a frame, and its own frame."""
        async with self._connection.db.execute(
            "SELECT frame, picture FROM (SELECT frame, picture FROM strip_pictures WHERE video_id = ?1"
            " AND frame <= ?2 ORDER BY frame DESC LIMIT 1) UNION ALL SELECT frame, picture FROM (SELECT frame, picture"
            " FROM strip_pictures WHERE video_id = ?1 AND frame > ?2 ORDER BY frame LIMIT 1)",
            (video_id, frame),
        ) as cursor:
            rows = list(await cursor.fetchall())
        found = min(rows, key=lambda row: abs(row[0] - frame), default=None)
        return None if found is None else (found[0], found[1])

    async def size(self, video_id: int) -> StripSize:
        """How large the strip of a film is."""
        async with self._connection.db.execute(
            "SELECT COUNT(*), COALESCE(SUM(length(picture)), 0) FROM strip_pictures WHERE video_id = ?", (video_id,)
        ) as cursor:
            (row,) = await cursor.fetchall()
        return StripSize(row[0], row[1])
