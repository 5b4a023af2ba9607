"""A database of version 5 becomes one of version 6: in place, in pieces, whatever ends the process in between."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.config.service import DatabaseConfig
from daemon.model import Outcome
from daemon.store import migrate as migrating
from daemon.store.migrate import PIECE_FRAMES, SCHEMA_VERSION, migrate
from daemon.store.store import Store
from tests import older_database

ROOT = Path(__file__).parents[3]
FRAME_COLUMNS = "video_id, frame, pts, time_s, score, note, hash, verdict, duration_s, reserve"


def features(count: int = 40, size: int = 770) -> list[bytes]:
    """Records that change a little from one to the next, as those of a film do."""
    steps = np.random.default_rng(7).integers(-2, 3, (count, size))
    return [row.tobytes() for row in (100 + np.cumsum(steps, axis=0)).astype(np.uint8)]


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """Three films: one longer than a piece, one without features, one whose records are of two sizes."""
    path = tmp_path / "older.db"
    db = older_database.make(path)
    older_database.add_film(db, 1, PIECE_FRAMES + 100, features())
    older_database.add_film(db, 2, 45, [])
    older_database.add_film(db, 3, 70, [*features(9), *features(9, 300)], scorer="piqe-1")
    db.execute("INSERT INTO refined VALUES (1, 'nima-1', 'nima', 7, 0.5, NULL)")
    db.execute("INSERT INTO selections VALUES (1, 1, '{}', 1, 1, NULL, 'then', NULL)")
    db.execute(
        "INSERT INTO stills VALUES (1, 1, 1, 7, 0.28, 3.1, '/out/a.png', 8, 8, 9, 'e', 'batch', 'then', NULL, 'png8')"
    )
    db.execute("UPDATE videos SET size_bytes = 100 WHERE id = 2")
    db.commit()
    db.close()
    return path


def rows(path: Path, query: str) -> list[Any]:
    db = sqlite3.connect(path)
    found = db.execute(query).fetchall()
    db.close()
    return found


def as_before(path: Path) -> tuple[list[Any], dict[tuple[int, int], bytes]]:
    return (
        rows(path, f"SELECT {FRAME_COLUMNS} FROM frames ORDER BY video_id, frame"),
        {(video, frame): record for video, frame, record in rows(path, "SELECT * FROM features")},
    )


async def now(path: Path) -> tuple[list[Any], dict[tuple[int, int], bytes]]:
    store = await Store.open(DatabaseConfig(path=path))
    found: dict[tuple[int, int], bytes] = {}
    try:
        for video_id in (1, 2, 3):
            at = 0
            async for part in store.frames.feature_records(video_id):
                found |= {(video_id, at + n): record for n, record in enumerate(part) if record is not None}
                at += len(part)
    finally:
        await store.close()
    return rows(path, f"SELECT {FRAME_COLUMNS} FROM frames ORDER BY video_id, frame"), found


async def test_every_row_reads_as_before_and_stills_and_second_metric_are_kept(older: Path) -> None:
    before = as_before(older)
    assert await now(older) == before
    assert rows(older, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert rows(older, "PRAGMA foreign_key_check") == []
    assert rows(older, "PRAGMA integrity_check") == [("ok",)]
    assert rows(older, "SELECT scorer, metric, frame, score FROM scores WHERE metric = 'nima'") == [
        ("nima-1", "nima", 7, 0.5)
    ]
    assert rows(older, "SELECT path, frame FROM stills") == [("/out/a.png", 7)]
    assert rows(older, "SELECT id, digest IS fingerprint FROM videos ORDER BY id") == [(1, 0), (2, 1), (3, 0)]
    assert not rows(older, "SELECT name FROM sqlite_master WHERE name LIKE '%\\_5' ESCAPE '\\'")


async def test_what_is_lifted_is_written_on(older: Path) -> None:
    store = await Store.open(DatabaseConfig(path=older))
    try:
        await store.scores.add(3, "niqe", True, "niqe-1", {0: Outcome(1.0), 1: Outcome(None, "flat")})
        assert await store.scores.outcomes(3, "niqe-1") == {0: Outcome(1.0), 1: Outcome(None, "flat")}
        assert len(await store.scores.outcomes(3, "piqe-1")) == 70
    finally:
        await store.close()


@pytest.mark.parametrize("pieces", [0, 1, 2])
async def test_a_lift_that_ended_after_some_pieces_goes_on(
    older: Path, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, move, moved = as_before(older), migrating._move_piece, 0

    def some(db: sqlite3.Connection) -> int | None:
        nonlocal moved
        if moved == pieces:
            raise KeyboardInterrupt
        moved += 1
        return move(db)

    monkeypatch.setattr(migrating, "_move_piece", some)
    with pytest.raises(KeyboardInterrupt):
        migrate(older, 5.0)
    monkeypatch.undo()
    assert rows(older, "SELECT COUNT(*) FROM decoded_frames")[0][0] == sum([PIECE_FRAMES, 100][:pieces])
    assert await now(older) == before


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_kill_in_the_middle_of_a_piece_loses_nothing(older: Path, tmp_path: Path, after: int) -> None:
    """The process is killed inside a transaction: frames were written anew and not deleted yet, say."""
    before = as_before(older)
    code = """
import os, signal, sqlite3, sys
from pathlib import Path
from daemon.store import migrate
pack, left = migrate._pack_features, int(sys.argv[2])
def killed(*arguments):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    pack(*arguments)
migrate._pack_features = killed
migrate.migrate(Path(sys.argv[1]), 5.0)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(older), str(after)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert rows(older, "SELECT 1 FROM sqlite_master WHERE name = 'frames_5'") == [(1,)]
    assert asyncio.run(now(older)) == before


async def test_several_processes_lift_together(older: Path) -> None:
    before = as_before(older)
    moved = await asyncio.gather(*(asyncio.to_thread(migrate, older, 30.0) for _ in range(3)))
    assert sum(moved) == len(before[0])
    assert await now(older) == before


def test_the_file_does_not_grow_and_each_frame_takes_less(tmp_path: Path) -> None:
    path = tmp_path / "older.db"
    db = older_database.make(path)
    older_database.add_film(db, 1, 3 * PIECE_FRAMES, features())
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    before = path.stat().st_size
    migrate(path, 5.0)
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < 1.3 * before
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    assert path.stat().st_size < 0.55 * before


def test_an_error_after_which_sqlite_has_rolled_back_itself_keeps_its_words() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)

    def write() -> None:
        with migrating._transaction(db):
            db.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        write()
    db.close()
