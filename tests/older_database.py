"""Databases as version 5 has left them: the last that kept a row of features for every frame."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from daemon.store import feature_blocks

ROOT = Path(__file__).parents[1]
SCRIPTS = ("001_initial", "002_selection", "003_times", "004_review", "005_packet_index")
PIECE = 50_000


def make(path: Path) -> sqlite3.Connection:
    """A new and empty one."""
    db = sqlite3.connect(path)
    for script in SCRIPTS:
        db.executescript((ROOT / f"daemon/store/migrations/{script}.sql").read_text(encoding="utf-8"))
    db.execute("PRAGMA user_version = 5")
    db.execute("PRAGMA journal_mode = WAL")
    db.commit()
    return db


def add_film(
    db: sqlite3.Connection, number: int, frames: int, features: Iterable[bytes], scorer: str = "niqe-1"
) -> None:
    """A film that is done; the features are taken in turn, again and again."""
    db.execute(
        "INSERT INTO videos (id, path, fingerprint, size_bytes, mtime_ns, status, metric, lower_better, scorer,"
        " stream_index, frames_decoded, frames_scored, queued_at, scored_at)"
        " VALUES (?, ?, ?, 4000000, 1, 'done', 'niqe', 1, ?, 0, ?, ?, 'then', 'then')",
        (number, f"/in/{number}.mp4", f"{number:064x}", scorer, frames, frames),
    )
    records = list(features)
    for start in range(0, frames, PIECE):
        numbers = range(start, min(start + PIECE, frames))
        db.executemany(
            "INSERT INTO frames (video_id, frame, pts, time_s, score, note, hash, verdict, duration_s, reserve)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'good', 0.04, ?)",
            [
                (
                    number, n, n * 512, n / 25, None if n % 97 == 5 else 3 + n * 7919 % 10_007 / 1e4,
                    "flat" if n % 97 == 5 else None, f"{(number << 32) + n:040x}", "small" if n % 50 == 0 else None,
                )
                for n in numbers
            ],
        )  # fmt: skip
        if records:
            db.executemany(
                "INSERT INTO features VALUES (?, ?, ?)", [(number, n, records[n % len(records)]) for n in numbers]
            )
    db.commit()


FRAME_COLUMNS = ("video_id", "frame", "pts", "time_s", "score", "note", "hash", "verdict", "duration_s", "reserve")


def lower(path: Path) -> None:
    """Make a database of version 6 one of version 5 with the same films: what an earlier program has left."""
    older = path.with_name("lowered.db")
    db = make(older)
    db.execute("ATTACH ? AS now", (str(path),))
    tables = (
        "videos",
        "frames",
        "shots",
        "selections",
        "stills",
        "sources",
        "strip_pictures",
        "decisions",
        "packet_index",
    )
    for table in tables:
        columns = ", ".join(row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (table,)))
        db.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM now.{table}")
    for video, block, packed in db.execute("SELECT video_id, block, packed FROM now.feature_blocks").fetchall():
        records = feature_blocks.unpack(packed)
        rows = [(video, block * feature_blocks.FRAMES + place, record) for place, record in records.items()]
        db.executemany("INSERT INTO features VALUES (?, ?, ?)", rows)
    db.commit()
    db.execute("DETACH now")
    db.close()
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        name.unlink(missing_ok=True)
    older.rename(path)
