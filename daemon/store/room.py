"""The room that the database takes on its disk, and what a film that took too much of it gives back."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from daemon.store import feature_blocks
from daemon.store.connection import Connection, as_store_error

PIECE_FRAMES = 20_000
"""Frames whose rows are deleted in one transaction: until it is committed that takes room itself."""
FRAME_BYTES = 640
"""What a frame takes with its score and its features, measured."""


class Room:
    """Free space for rows, and films that give theirs back."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection = connection
        self._folder = path.parent

    async def free_bytes(self) -> int:
        """What is free on the disk, and in the database itself. Raises OSError, StoreError."""
        usage = await asyncio.to_thread(shutil.disk_usage, self._folder)
        with as_store_error():
            async with self._connection.db.execute(
                "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"
            ) as cursor:
                (row,) = await cursor.fetchall()
        return usage.free + int(row[0])

    async def give_back(self, video_id: int) -> int:
        """Delete what is stored of the frames of a film that was never scored to its end; returns how many."""
        db = self._connection.db
        async with db.execute(
            "SELECT COALESCE(MAX(frame) + 1, 0), (SELECT scored_at IS NULL FROM videos WHERE id = ?1)"
            " FROM decoded_frames WHERE video_id = ?1",
            (video_id,),
        ) as cursor:
            ((frames, unfinished),) = await cursor.fetchall()
        if not unfinished:
            return 0
        # Whole blocks of features.
        piece = PIECE_FRAMES // feature_blocks.FRAMES * feature_blocks.FRAMES
        for first in range(int(frames) // piece * piece, -1, -piece):
            async with self._connection.writing() as writing:
                for table, key, least in (
                    ("frame_scores", "scorer_id IN (SELECT id FROM scorers) AND frame", first),
                    ("feature_blocks", "block", first // feature_blocks.FRAMES),
                    ("strip_pictures", "frame", first),
                    ("decoded_frames", "frame", first),
                ):
                    await writing.execute(f"DELETE FROM {table} WHERE video_id = ? AND {key} >= ?", (video_id, least))
        return int(frames)
