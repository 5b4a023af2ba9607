"""How quick the store's writer is, beside plain ``executemany`` of the same rows into the same tables.

    python -m tests.writer_bench [--frames N] [--turns N] [--batches 16,64,512]

Both write by turns, each into a database of its own with the same pragmas; the features are packed on both sides, as
they are stored packed. A row is a frame as the scorer hands it in. Seconds of the processor compare better than those
of the clock on a machine that does something else too.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daemon.analysis.measure import measure
from daemon.config.service import DatabaseConfig
from daemon.model import FileIdentity, Scored
from daemon.store import feature_blocks
from daemon.store.columns import hash_value
from daemon.store.store import Store

PLAIN_ROWS = 16_384
"""Rows of one plain transaction; whole blocks of features."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Rows per second by the processor's time and by the clock."""

    cpu: float
    wall: float


def looks(count: int) -> list[bytes]:
    """Features of the frames of a scene that moves and is grainy: no two are the same."""
    rng = np.random.default_rng(20)
    scene = np.kron(rng.integers(0, 200, (9, 32, 3)), np.ones((10, 10, 1))).astype(np.int16)
    found = []
    for number in range(count):
        picture = np.roll(scene, number, axis=1)[:, :160] + rng.integers(0, 24, (90, 160, 3))
        found.append(measure(np.clip(picture, 0, 255).astype(np.uint8)))
    return found


def rows(frames: int, records: Sequence[bytes], first: int = 0) -> list[Scored]:
    """A film's rows: hashes as long as real ones, scores with all their digits."""
    return [
        Scored(
            frame=n,
            pts=n * 512,
            time_s=n / 25,
            score=3.0 + (n * 7919 % 10_007) / 1e4,
            note=None,
            hash=f"{(n + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC834 % (1 << 160):040x}",
            features=records[n % len(records)],
            duration_s=0.04,
        )
        for n in range(first, first + frames)
    ]


async def film(store: Store, number: int) -> int:
    """A film that is in the queue; its id."""
    return await store.queue.enqueue(FileIdentity(Path(f"/in/{number}.mp4"), f"{number:064x}", 1, 1))


async def through_the_store(path: Path, film_rows: Sequence[Scored], batch: int) -> Pace:
    """The store's own writer, given a batch at a time."""
    store = await Store.open(DatabaseConfig(path=path))
    try:
        video_id = await film(store, 1)
        cpu, wall = time.process_time(), time.perf_counter()
        for start in range(0, len(film_rows), batch):
            await store.frames.add(video_id, film_rows[start : start + batch])
        await store.flush()
        return _pace(len(film_rows), cpu, wall)
    finally:
        await store.close()


async def plain(path: Path, film_rows: Sequence[Scored]) -> Pace:
    """``executemany`` of the standard library, thousands of rows at a time."""
    store = await Store.open(DatabaseConfig(path=path))
    await film(store, 1)
    await store.close()
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("INSERT INTO scorers (id, identity) VALUES (1, '')")
        cpu, wall = time.process_time(), time.perf_counter()
        for start in range(0, len(film_rows), PLAIN_ROWS):
            _plain_group(db, film_rows[start : start + PLAIN_ROWS])
        return _pace(len(film_rows), cpu, wall)
    finally:
        db.close()


def _plain_group(db: sqlite3.Connection, part: Sequence[Scored]) -> None:
    blocks: dict[int, dict[int, bytes]] = {}
    for row in part:
        if row.features is not None:
            block, place = divmod(row.frame, feature_blocks.FRAMES)
            blocks.setdefault(block, {})[place] = row.features
    db.execute("BEGIN IMMEDIATE")
    db.executemany(
        "INSERT INTO decoded_frames (video_id, frame, pts, time_s, duration_s, hash) VALUES (1,?,?,?,?,?)",
        [(row.frame, row.pts, row.time_s, row.duration_s, hash_value(row.hash)) for row in part],
    )
    db.executemany(
        "INSERT INTO frame_scores (video_id, scorer_id, frame, score, note) VALUES (1, 1, ?, ?, ?)",
        [(row.frame, row.score, row.note) for row in part],
    )
    db.executemany(
        "INSERT INTO feature_blocks (video_id, block, packed) VALUES (1, ?, ?)",
        [(block, feature_blocks.pack(records)) for block, records in blocks.items()],
    )
    db.execute("COMMIT")


def _pace(count: int, cpu: float, wall: float) -> Pace:
    return Pace(count / (time.process_time() - cpu), count / (time.perf_counter() - wall))


def by_turns(frames: int, batches: Sequence[int], turns: int) -> dict[int, list[Pace]]:
    """The paces by batch size; those under 0 are plain ``executemany``'s."""
    film_rows = rows(frames, looks(512))
    found: dict[int, list[Pace]] = {size: [] for size in (0, *batches)}
    for _ in range(turns):
        for size in found:
            with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as folder:
                path = Path(folder) / "s.db"
                written = plain(path, film_rows) if size == 0 else through_the_store(path, film_rows, size)
                found[size].append(asyncio.run(written))
    return found


def share(found: dict[int, list[Pace]], size: int) -> float:
    """The store's pace by the processor's time as a share of the plain one: of each the turn that was disturbed least."""
    return max(one.cpu for one in found[size]) / max(one.cpu for one in found[0])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--batches", default="8,16,64,512")
    given = parser.parse_args()
    sizes = [int(one) for one in given.batches.split(",")]
    found = by_turns(given.frames, sizes, given.turns)
    print("| writer | rows/s of processor | rows/s by the clock | share of plain |\n| --- | --- | --- | --- |")
    for size, paces in found.items():
        name = f"store, {size} rows at a time" if size else "plain `executemany`"
        cpu, wall = max(one.cpu for one in paces), max(one.wall for one in paces)
        print(f"| {name} | {cpu:,.0f} | {wall:,.0f} | {share(found, size):.0%} |")


if __name__ == "__main__":
    main()
