"""Bringing the schema of a database up to date, in place.

::

    version n ──one transaction──▶ version 6, the old rows waiting in frames_5 and features_5
                                       │  a piece of some thousand frames per transaction: written anew, deleted there
                                       ▼
                                   the emptied tables are dropped

A kill loses at most the piece that was being moved: the next start goes on. Several processes may open the database at
once, each piece is moved by one of them. The pages that a piece leaves behind hold the next ones, so the file does not
grow; it does not shrink either (``VACUUM`` does that).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from daemon.errors import Kind, StoreError
from daemon.store import feature_blocks
from daemon.store.columns import hash_value

SCHEMA_VERSION = 6
SCRIPTS = {
    0: "001_initial.sql",
    1: "002_selection.sql",
    2: "003_times.sql",
    3: "004_review.sql",
    4: "005_packet_index.sql",
    5: "006_scores.sql",
}
"""The file of SQL that lifts a database from the key's version to the next."""

PIECE_FRAMES = 256 * feature_blocks.FRAMES
"""Frames that one transaction moves: a fraction of a second, and whole blocks of features."""


def migrate(path: Path, busy_seconds: float, on_piece: Callable[[int], None] = lambda _: None) -> int:
    """Bring a database up to date; returns how many frames were moved, and tells ``on_piece`` after each piece.

    Raises StoreError(DATABASE) for a database that is newer than this code, sqlite3.Error.
    """
    db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
    try:
        # What takes a table's place has its name only afterwards: until then references lead nowhere.
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA synchronous = NORMAL")
        if _version(db) != SCHEMA_VERSION:
            db.execute("PRAGMA journal_mode = WAL")
            with _transaction(db):
                _run_scripts(db, path)
        moved = 0
        if is_unfinished(db):
            # Every checkpoint waits for the disk: one per 64 MiB instead of 4.
            db.execute("PRAGMA wal_autocheckpoint = 16384")
            db.create_function("hash_value", 1, hash_value, deterministic=True)
            while (piece := _move_piece(db)) is not None:
                moved += piece
                on_piece(moved)
        return moved
    finally:
        db.close()


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE to COMMIT, or ROLLBACK where SQLite has not done that itself, as for a full disk."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        yield


def _run_scripts(db: sqlite3.Connection, path: Path) -> None:
    """All steps or none, also when several processes open the database at once."""
    version = _version(db)
    if version > SCHEMA_VERSION:
        raise StoreError(
            Kind.DATABASE,
            f"{path} was written by a newer stillwatch (schema {version}, not {SCHEMA_VERSION}): update this one",
        )
    for step in range(version, SCHEMA_VERSION):
        script = (files("daemon.store") / "migrations" / SCRIPTS[step]).read_text(encoding="utf-8")
        for statement in _statements(script):
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _move_piece(db: sqlite3.Connection) -> int | None:
    """Move the next frames of a video; returns how many, None when there is nothing left."""
    with _transaction(db):
        if not is_unfinished(db):
            return None
        first = db.execute("SELECT video_id, frame FROM frames_5 ORDER BY video_id, frame LIMIT 1").fetchone()
        if first is None:
            db.execute("DROP TABLE frames_5")
            db.execute("DROP TABLE features_5")
            return None
        video_id, frame = first
        start = frame - frame % feature_blocks.FRAMES
        piece = {"video": video_id, "first": start, "last": start + PIECE_FRAMES - 1}
        within = "video_id = :video AND frame BETWEEN :first AND :last"
        db.execute(
            "INSERT OR REPLACE INTO decoded_frames (video_id, frame, pts, time_s, duration_s, hash, verdict, reserve)"
            f" SELECT video_id, frame, pts, time_s, duration_s, hash_value(hash), verdict, reserve FROM frames_5"
            f" WHERE {within}",
            piece,
        )
        moved = db.execute(
            "INSERT OR REPLACE INTO frame_scores (video_id, scorer_id, frame, score, note)"
            " SELECT video_id, (SELECT c.id FROM videos v JOIN scorers c ON c.identity = COALESCE(v.scorer, '')"
            f" WHERE v.id = :video), frame, score, note FROM frames_5 WHERE {within}",
            piece,
        ).rowcount
        _pack_features(db, video_id, db.execute(f"SELECT frame, record FROM features_5 WHERE {within}", piece))
        db.execute(f"DELETE FROM frames_5 WHERE {within}", piece)
        db.execute(f"DELETE FROM features_5 WHERE {within}", piece)
        return moved


def _pack_features(db: sqlite3.Connection, video_id: int, rows: sqlite3.Cursor) -> None:
    blocks: dict[int, dict[int, bytes]] = {}
    for frame, record in rows:
        block, place = divmod(frame, feature_blocks.FRAMES)
        blocks.setdefault(block, {})[place] = record
    db.executemany(
        "INSERT OR REPLACE INTO feature_blocks (video_id, block, packed) VALUES (?, ?, ?)",
        [(video_id, block, feature_blocks.pack(records)) for block, records in blocks.items()],
    )


def is_unfinished(db: sqlite3.Connection) -> bool:
    """Whether there are rows of version 5 that have not been moved yet."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'frames_5'").fetchone() is not None


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: ``executescript`` would commit in between."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
