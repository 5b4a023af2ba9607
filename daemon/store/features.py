"""The table ``feature_blocks``: the features of neighbouring frames, written and read as part of ``frames``."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

import aiosqlite

from daemon.model import Scored
from daemon.store import feature_blocks

BLOCKS_READ = 400
"""Blocks that are read together."""


def unpacked(rows: Iterable[tuple[int, bytes]], wanted: Mapping[int, Collection[int]]) -> dict[int, bytes]:
    """Records by frame, of the ``wanted`` places of each block; those of a form that is not known are left out."""
    records: dict[int, bytes] = {}
    for block, packed in rows:
        with suppress(ValueError):
            found = feature_blocks.unpack(packed, wanted[block])
            records |= {block * feature_blocks.FRAMES + place: record for place, record in found.items()}
    return records


class PendingFeatures:
    """Records of the group of pending scores: a block is written once for each group, not for each batch."""

    def __init__(self) -> None:
        self._blocks: dict[int, dict[int, dict[int, bytes]]] = {}

    def add(self, video_id: int, rows: Sequence[Scored]) -> None:
        """Records of rows that are in the group."""
        for row in rows:
            if row.features is not None:
                block, place = divmod(row.frame, feature_blocks.FRAMES)
                self._blocks.setdefault(video_id, {}).setdefault(block, {})[place] = row.features

    def of(self, video_id: int) -> dict[int, bytes]:
        """The records of a video by frame."""
        blocks = self._blocks.get(video_id, {})
        return {
            block * feature_blocks.FRAMES + place: record
            for block, records in blocks.items()
            for place, record in records.items()
        }

    def forget(self, video_id: int) -> None:
        """A video's rows could not be written: nor are these."""
        self._blocks.pop(video_id, None)

    def clear(self) -> None:
        """The group has ended."""
        self._blocks.clear()

    async def write(self, db: aiosqlite.Connection) -> None:
        """Write them into their blocks, beside those that are there: of all films at once, since each trip costs."""
        fresh = {(video_id, block): records for video_id, of in self._blocks.items() for block, records in of.items()}
        if not fresh:
            return
        there = await _blocks(db, [place for place, records in fresh.items() if len(records) < feature_blocks.FRAMES])
        await db.executemany(
            "INSERT INTO feature_blocks (video_id, block, packed) VALUES (?, ?, ?)"
            " ON CONFLICT (video_id, block) DO UPDATE SET packed = excluded.packed",
            await asyncio.to_thread(_packed, fresh, there),
        )


async def _blocks(db: aiosqlite.Connection, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """What these blocks hold, by video and block."""
    there: dict[tuple[int, int], bytes] = {}
    for start in range(0, len(places), BLOCKS_READ):
        part = places[start : start + BLOCKS_READ]
        async with db.execute(
            f"WITH wanted (film, place) AS (VALUES {','.join(('(?,?)',) * len(part))})"
            # CROSS JOIN: by the key of each, not through the whole table.
            " SELECT video_id, block, packed FROM wanted CROSS JOIN feature_blocks"
            " ON video_id = film AND block = place",
            [number for place in part for number in place],
        ) as cursor:
            there |= {(row[0], row[1]): row[2] for row in await cursor.fetchall()}
    return there


def _packed(
    fresh: Mapping[tuple[int, int], Mapping[int, bytes]], there: Mapping[tuple[int, int], bytes]
) -> list[tuple[int, int, bytes]]:
    """Rows of the table, from the records that are new and the blocks that they belong to."""
    values = []
    for (video_id, block), records in fresh.items():
        before: dict[int, bytes] = {}
        if (video_id, block) in there:
            with suppress(ValueError):
                before = feature_blocks.unpack(there[video_id, block])
        values.append((video_id, block, feature_blocks.pack({**before, **records})))
    return values


async def cut(db: aiosqlite.Connection, video_id: int, frames: int) -> None:
    """Drop the features of frames from this one on."""
    block, place = divmod(frames, feature_blocks.FRAMES)
    async with db.execute(
        "SELECT packed FROM feature_blocks WHERE video_id = ? AND block = ?", (video_id, block)
    ) as cursor:
        row = await cursor.fetchone()
    await db.execute("DELETE FROM feature_blocks WHERE video_id = ? AND block >= ?", (video_id, block))
    kept: dict[int, bytes] = {}
    if row is not None and place:
        with suppress(ValueError):
            kept = {at: record for at, record in feature_blocks.unpack(row[0]).items() if at < place}
    if kept:
        await db.execute(
            "INSERT INTO feature_blocks (video_id, block, packed) VALUES (?, ?, ?)",
            (video_id, block, feature_blocks.pack(kept)),
        )
