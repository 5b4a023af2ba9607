"""The store on real SQLite: opening, group commits, the queue, one video's way, other connections."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import threading
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.config.service import DatabaseConfig
from daemon.errors import ExportError, Kind, StoreError, VideoError
from daemon.model import Colour, FileIdentity, Method, Pick, Scored, Selection, Status, Still, VideoInfo
from daemon.store.migrate import SCHEMA_VERSION
from daemon.store.queue import later
from daemon.store.store import Store

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 10.0
NEVER = 10.0
"""Seconds between commits that no test waits for: the longest that the configuration allows."""

INFO = VideoInfo(
    path=Path("/in/a.mp4"),
    container="mov,mp4",
    stream_index=1,
    codec="h264",
    width=640,
    height=480,
    pix_fmt="yuv420p",
    bit_depth=8,
    time_base=Fraction(1, 12800),
    frame_rate=Fraction(30000, 1001),
    frames_estimate=300,
    duration_s=10.01,
    start_s=0.5,
    sample_aspect=Fraction(16, 15),
    rotation_degrees=90,
    flip=True,
    colour=Colour("bt709", "limited", "bt709", "bt709"),
)

Look = Callable[..., list[Any]]


def identity(name: str = "a.mp4", content: str = "a", size: int = 100, mtime: int = 1) -> FileIdentity:
    return FileIdentity(Path("/in") / name, content * 64, size, mtime)


def scored(*frames: int, score: float | None = 1.5, note: str | None = None, digest: str = "d") -> list[Scored]:
    return [Scored(n, n * 512, n / 25, score, note, f"{digest}{n}") for n in frames]


def still(rank: int, frame: int, path: str = "/out/a/r.png") -> Still:
    return Still(rank, frame, frame / 25, 3.25, Path(path), 640, 480, 1234, "e" * 64, Method.BATCH)


def chosen(*frames: int, shortfall: str | None = None) -> Selection:
    picks = tuple(Pick(rank, n, n * 512, n / 25, 3.25, f"d{n}") for rank, n in enumerate(frames, start=1))
    return Selection(picks, 10, shortfall, {"count": 10, "min_gap_seconds": 1.0, "scorer": "niqe-1"})


@pytest.fixture
def config(tmp_path: Path) -> DatabaseConfig:
    return DatabaseConfig(path=tmp_path / "db" / "s.db", commit_seconds=NEVER, busy_seconds=PATIENCE_SECONDS)


@pytest.fixture
async def store(config: DatabaseConfig) -> AsyncIterator[Store]:
    ticks = iter(range(10**6))
    opened = await Store.open(config, clock=lambda: later("2026-01-01T00:00:00.000+00:00", next(ticks)))
    yield opened
    await opened.close()


@pytest.fixture
def other(store: Store, config: DatabaseConfig) -> Iterator[sqlite3.Connection]:
    """Another process's connection: sees only what is committed."""
    connection = sqlite3.connect(
        config.path, isolation_level=None, timeout=PATIENCE_SECONDS / 2, check_same_thread=False
    )
    yield connection
    connection.close()


@pytest.fixture
def look(other: sqlite3.Connection) -> Look:
    return lambda query, *arguments: other.execute(query, arguments).fetchall()


# Opening


async def test_a_new_database_has_the_schema_its_version_and_wal(store: Store, look: Look, config: Any) -> None:
    tables = {row[0] for row in look("SELECT name FROM sqlite_master WHERE type = 'table'")}
    looked_at = {"strip_pictures", "decisions"}
    per_frame = {"decoded_frames", "frame_scores", "feature_blocks", "scorers"}
    stored = {"videos", "shots", "selections", "stills", "sources", "packet_index"}
    assert tables == stored | per_frame | looked_at
    assert {row[0] for row in look("SELECT name FROM sqlite_master WHERE type = 'view'")} == {"frames", "scores"}
    assert look("PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert look("PRAGMA journal_mode") == [("wal",)]
    assert config.path.parent.is_dir()


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (
            "videos",
            "id path fingerprint size_bytes mtime_ns status metric lower_better scorer width height pix_fmt bit_depth"
            " codec stream_index time_base frames_decoded frames_scored damaged error_kind error attempts",
        ),
        ("frames", "video_id frame pts time_s score note hash verdict"),
        ("selections", "id video_id params requested chosen shortfall"),
        (
            "stills",
            "selection_id video_id rank frame time_s score path width height bytes sha256 method created_at",
        ),
    ],
)
async def test_the_documented_columns_are_there(look: Look, table: str, columns: str) -> None:
    found = {row[1] for row in look(f"PRAGMA table_info({table})")}
    assert set(columns.split()) <= found


async def test_what_was_written_is_there_after_opening_again(store: Store, config: DatabaseConfig) -> None:
    video_id = await store.queue.enqueue(identity())
    again = await Store.open(config, create=False)
    try:
        assert (await again.videos.get(video_id)).file == identity()
    finally:
        await again.close()


async def test_opening_again_keeps_the_schema_as_it_is(store: Store, config: DatabaseConfig, look: Look) -> None:
    before = look("SELECT sql FROM sqlite_master ORDER BY name")
    await (await Store.open(config)).close()
    assert look("SELECT sql FROM sqlite_master ORDER BY name") == before


async def test_a_missing_database_is_not_made_for_somebody_who_only_looks(config: DatabaseConfig) -> None:
    with pytest.raises(StoreError, match="there is no database") as caught:
        await Store.open(config, create=False)
    assert caught.value.kind is Kind.NOT_FOUND
    assert not config.path.parent.exists()


async def test_a_database_of_an_older_version_is_lifted_to_what_a_new_one_has(tmp_path: Path, config: Any) -> None:
    older = tmp_path / "older.db"
    with sqlite3.connect(older) as db:
        db.executescript((ROOT / "daemon" / "store" / "migrations" / "001_initial.sql").read_text(encoding="utf-8"))
        db.execute(
            "INSERT INTO videos (path, fingerprint, size_bytes, mtime_ns, status, queued_at)"
            " VALUES ('a.mp4', 'f', 1, 1, 'done', 't')"
        )
        db.execute("PRAGMA user_version = 1")
    db.close()
    for path in (older, config.path):
        await (await Store.open(DatabaseConfig(path=path))).close()
    shapes = []
    for path in (older, config.path):
        with sqlite3.connect(path) as db:
            names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            shapes.append({name: db.execute(f"PRAGMA table_info({name})").fetchall() for name in names})
            if path == older:
                assert db.execute("SELECT path FROM videos").fetchall() == [("a.mp4",)]
        db.close()
    assert shapes[0] == shapes[1]


async def test_pts_of_older_versions_were_milliseconds_and_become_the_file_s_own(tmp_path: Path) -> None:
    older = tmp_path / "older.db"
    with sqlite3.connect(older) as db:
        for script in ("001_initial.sql", "002_selection.sql"):
            db.executescript((ROOT / "daemon" / "store" / "migrations" / script).read_text(encoding="utf-8"))
        for video, base, info in (
            (1, "1/12800", '{"start_s": 0.0}'),
            (2, "1/90000", '{"start_s": 1.4}'),
            (3, "1001/30000", '{"start_s": 0.0}'),
            (4, None, None),
        ):
            db.execute(
                "INSERT INTO videos (id, path, fingerprint, size_bytes, mtime_ns, status, time_base, info, queued_at)"
                " VALUES (?, ?, 'f', 1, 1, 'done', ?, ?, 't')",
                (video, f"{video}.mp4", base, info),
            )
        rows = [(1, 0, 0, 0.0), (1, 1, 40, 0.04), (1, 2, 80, 0.08), (1, 3, None, 0.12)]
        rows += [(2, 0, 1400, 0.0), (2, 1, 1440, 0.04), (3, 7, 234, float(7 * 1001 / 30000)), (4, 0, 40, 0.04)]
        db.executemany(
            "INSERT INTO frames (video_id, frame, pts, time_s, score, hash) VALUES (?, ?, ?, ?, 1.0, 'h')", rows
        )
        db.execute("PRAGMA user_version = 2")
    db.close()
    await (await Store.open(DatabaseConfig(path=older))).close()
    with sqlite3.connect(older) as db:
        pts = db.execute("SELECT video_id, pts FROM frames ORDER BY video_id, frame").fetchall()
    db.close()
    assert pts == [(1, 0), (1, 512), (1, 1024), (1, None), (2, 126_000), (2, 129_600), (3, 7), (4, None)]


async def test_stills_of_version_4_are_kept_and_may_be_sought_from_then_on(config: DatabaseConfig) -> None:
    config.path.parent.mkdir()
    with sqlite3.connect(config.path) as db:
        for script in ("001_initial", "002_selection", "003_times", "004_review"):
            db.executescript((ROOT / f"daemon/store/migrations/{script}.sql").read_text(encoding="utf-8"))
        db.execute("PRAGMA user_version = 4")
        db.execute(
            "INSERT INTO videos (id, path, fingerprint, size_bytes, mtime_ns, status, queued_at)"
            " VALUES (1, '/a.mp4', 'f', 1, 1, 'done', 'now')"
        )
        db.execute("INSERT INTO selections VALUES (1, 1, '{}', 2, 2, NULL, 'now', NULL)")
        row = (1, 1, 1, 7, 0.28, 3.5, "/out/a.png", 8, 8, 100, "e" * 64, "batch", "now", '{"shot": 1}', "png8")
        db.execute(f"INSERT INTO stills VALUES ({','.join('?' * len(row))})", row)
    db.close()
    opened = await Store.open(config)
    try:
        assert [(one.frame, one.method, one.image) for one in await opened.selections.published(1)] == [
            (7, Method.BATCH, "png8")
        ]
        assert await opened.frames.packet_index(1) is None
        await opened.selections.finish(1, chosen(9), [replace(still(1, 9), method=Method.SEEK)])
        assert (await opened.selections.published(1))[-1].method is Method.SEEK
    finally:
        await opened.close()
    with sqlite3.connect(config.path) as db:
        columns = db.execute("SELECT name FROM pragma_table_info('stills')").fetchall()
        (kept,) = db.execute("SELECT * FROM stills WHERE frame = 7").fetchall()
        assert dict(zip([name for (name,) in columns], kept, strict=True))["reason"] == '{"shot": 1}'
        assert kept == row
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    newer.close()
    with pytest.raises(StoreError, match="newer stillwatch") as caught:
        await Store.open(DatabaseConfig(path=path))
    assert caught.value.kind is Kind.DATABASE
    after = sqlite3.connect(path)
    assert after.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,)
    after.close()


@pytest.mark.parametrize("content", [b"this is no database at all, " * 100, b"\x00" * 4096])
async def test_a_garbage_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"s\.db is not usable") as caught:
        await Store.open(DatabaseConfig(path=path))
    assert caught.value.kind is Kind.DATABASE
    assert path.read_bytes() == content


async def test_a_folder_in_the_databases_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        await Store.open(DatabaseConfig(path=tmp_path))
    assert caught.value.kind is Kind.DATABASE


def test_a_refused_database_leaves_no_thread_that_complains_at_the_end(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from pathlib import Path
from daemon.config.service import DatabaseConfig
from daemon.errors import StoreError
from daemon.store.store import Store
for _ in range(30):
    try:
        asyncio.run(Store.open(DatabaseConfig(path=Path(sys.argv[1]))))
    except StoreError:
        print("refused")
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.stdout.count("refused") == 30
    assert "Exception in thread" not in ended.stderr


@pytest.mark.parametrize("error", [StoreError(Kind.DATABASE, "no log"), asyncio.CancelledError()])
async def test_an_opening_that_ends_late_leaves_no_thread(
    config: DatabaseConfig, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    async def ends(_: object) -> None:
        raise error

    monkeypatch.setattr("daemon.store.connection.Connection._note_log", ends)
    with pytest.raises(type(error)):
        await Store.open(config)
    workers = [thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name]
    for worker in workers:
        worker.join(10.0)
    assert not any(worker.is_alive() for worker in workers)


async def test_a_file_in_the_parents_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").touch()
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        await Store.open(DatabaseConfig(path=tmp_path / "db" / "s.db"))
    assert caught.value.kind is Kind.DATABASE


async def test_a_new_database_may_be_opened_by_several_at_once(config: DatabaseConfig) -> None:
    found = await asyncio.gather(*(Store.open(config) for _ in range(12)), return_exceptions=True)
    for one in found:
        if isinstance(one, Store):
            await one.close()
    assert [one for one in found if isinstance(one, BaseException)] == []


# Scores and group commits


async def test_scores_wait_for_their_group_and_other_connections_see_the_whole_group(store: Store, look: Look) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(0, 1))
    await store.frames.add(video_id, scored(2))
    assert look("SELECT COUNT(*) FROM frames") == [(0,)]
    await store.flush()
    assert look("SELECT frame FROM frames ORDER BY frame") == [(0,), (1,), (2,)]


async def test_a_group_is_committed_when_its_time_is_up_without_another_write(
    config: DatabaseConfig, other: sqlite3.Connection
) -> None:
    quick = await Store.open(config.model_copy(update={"commit_seconds": 0.01}))
    try:
        video_id = await quick.queue.enqueue(identity())
        await quick.frames.add(video_id, scored(0, 1))
        while other.execute("SELECT COUNT(*) FROM frames").fetchone() != (2,):
            await asyncio.sleep(0)
    finally:
        await quick.close()


async def test_a_steady_stream_of_scores_is_committed_as_often_as_a_trickle(
    store: Store, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await store.queue.enqueue(identity())
    loop = asyncio.get_running_loop()
    real = loop.time
    jump = 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + jump)
    await store.frames.add(video_id, scored(0))
    assert look("SELECT COUNT(*) FROM frames") == [(0,)]
    jump = NEVER + 1
    await store.frames.add(video_id, scored(1))
    assert look("SELECT COUNT(*) FROM frames") == [(2,)]


async def test_every_other_write_commits_at_once_with_the_scores_before_it(store: Store, look: Look) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(0))
    await store.queue.set_status(video_id, Status.SCORING)
    assert look("SELECT COUNT(*) FROM frames") == [(1,)]
    assert look("SELECT status FROM videos") == [("scoring",)]


async def test_closing_commits_what_is_pending(config: DatabaseConfig) -> None:
    opened = await Store.open(config)
    await opened.frames.add(await opened.queue.enqueue(identity()), scored(0, 1))
    await opened.close()
    again = await Store.open(config)
    assert await again.frames.hashes(1) == ["d0", "d1"]
    await again.close()


async def test_writing_a_row_again_replaces_it(store: Store, look: Look) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(0, 1, score=1.0))
    await store.frames.add(video_id, scored(1, score=None, note="flat", digest="x"))
    await store.flush()
    assert look("SELECT frame, pts, time_s, score, note, hash FROM frames ORDER BY frame") == [
        (0, 0, 0.0, 1.0, None, "d0"),
        (1, 512, 0.04, None, "flat", "x1"),
    ]


async def test_no_rows_are_no_write(store: Store, look: Look) -> None:
    await store.frames.add(await store.queue.enqueue(identity()), [])
    await store.flush()
    assert look("SELECT COUNT(*) FROM frames") == [(0,)]


async def test_a_frame_without_score_and_without_reason_is_refused(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    with pytest.raises(StoreError):
        await store.frames.add(video_id, scored(0, score=None, note=None))


async def test_a_refused_row_does_not_hold_the_write_lock(config: DatabaseConfig, other: sqlite3.Connection) -> None:
    quick = await Store.open(config.model_copy(update={"commit_seconds": 0.01}))
    try:
        video_id = await quick.queue.enqueue(identity())
        with pytest.raises((StoreError, sqlite3.Error)):
            await quick.frames.add(video_id, scored(0, score=None, note=None))
        other.execute("PRAGMA busy_timeout = 500")
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    finally:
        await quick.close()


async def test_a_failed_write_does_not_lose_the_scores_before_it(store: Store, look: Look) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(0, 1, 2))
    with pytest.raises((StoreError, sqlite3.Error)):
        await store.selections.finish(video_id, chosen(0), [still(1, 0), still(1, 0)])
    await store.flush()
    assert look("SELECT frame FROM frames ORDER BY frame") == [(0,), (1,), (2,)]


async def test_a_cancelled_write_does_not_lose_the_scores_before_it(store: Store, look: Look) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(0, 1, 2))
    writing = asyncio.create_task(store.queue.enqueue(identity("b.mp4", "b")))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait({writing})
    await store.flush()
    assert look("SELECT frame FROM frames ORDER BY frame") == [(0,), (1,), (2,)]


async def test_pending_scores_can_be_read_back_by_the_store_itself(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(0, 1))
    assert await store.frames.hashes(video_id) == ["d0", "d1"]


async def test_few_rows_at_a_time_and_many_are_the_same_to_whoever_looks(store: Store, look: Look) -> None:
    few, many = [await store.queue.enqueue(identity(name, name)) for name in "ab"]
    for frame in range(1300):
        await store.frames.add(few, scored(frame))
    await store.frames.add(many, scored(*range(1300)))
    await store.flush()
    columns = "frame, pts, time_s, score, note, hash"
    assert look(f"SELECT {columns} FROM frames WHERE video_id = {few}") == look(
        f"SELECT {columns} FROM frames WHERE video_id = {many}"
    )


async def test_rows_that_are_refused_in_their_group_are_told_to_their_film_and_cost_no_other_one(store: Store) -> None:
    bad, good = [await store.queue.enqueue(identity(name, name)) for name in "ab"]
    for video_id in (bad, good):
        await store.frames.add(video_id, [replace(row, features=b"f") for row in scored(0, 1)])
    # No way of our own does that: what a group's end cannot write is made by hand.
    await store.db.execute("DELETE FROM videos WHERE id = ?", (bad,))
    await store.flush()
    assert await store.frames.hashes(good) == ["d0", "d1"]
    assert await store.frames.features_of(good, [0, 1]) == [b"f", b"f"]
    with pytest.raises(StoreError):
        await store.frames.add(bad, scored(1))


@pytest.mark.parametrize("lost", ["cancelled", "kept"])
async def test_a_look_at_pending_rows_that_is_cancelled_loses_none(store: Store, look: Look, lost: str) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(*range(500)))
    looking = asyncio.create_task(store.frames.hashes(video_id))
    if lost == "cancelled":
        for _ in range(3):
            await asyncio.sleep(0)
        looking.cancel()
    await asyncio.wait({looking})
    await store.flush()
    assert look("SELECT COUNT(*) FROM frames") == [(500,)]


async def test_hashes_are_by_frame_with_gaps_left_empty(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    assert await store.frames.hashes(video_id) == []
    await store.frames.add(video_id, scored(5, 2, 3))
    assert await store.frames.hashes(video_id) == ["", "", "d2", "d3", "", "d5"]


async def test_the_score_table_has_a_column_per_fact(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(4, score=2.5, note="corrupt"))
    await store.frames.add(video_id, scored(1, score=None, note="flat"))
    await store.frames.add(video_id, scored(0, score=-1.5))
    table = await store.frames.table(video_id)
    assert table.frame.tolist() == [0, 1, 4]
    assert table.time_s.tolist() == [0.0, 0.04, 0.16]
    assert np.array_equal(table.score, [-1.5, np.nan, 2.5], equal_nan=True)
    assert table.noted.tolist() == [False, True, True]
    assert (table.frame.dtype, table.score.dtype, table.noted.dtype) == (np.int64, np.float64, np.bool_)


async def test_the_score_table_of_a_video_without_rows_is_empty(store: Store) -> None:
    table = await store.frames.table(await store.queue.enqueue(identity()))
    assert [len(table.frame), len(table.time_s), len(table.score), len(table.noted)] == [0, 0, 0, 0]


async def test_rows_are_found_by_frame_however_many(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(*range(1300)))
    rows = await store.frames.rows(video_id, [*range(1300), 5000])
    assert [rows[n] for n in range(1300)] == scored(*range(1300))
    assert 5000 not in rows


# Other connections


async def test_a_write_waits_for_another_process_that_is_writing(
    store: Store, other: sqlite3.Connection, look: Look
) -> None:
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.queue.enqueue(identity()))
    done, _ = await asyncio.wait({writing}, timeout=0.1)
    assert not done
    other.execute("COMMIT")
    assert await asyncio.wait_for(writing, PATIENCE_SECONDS) == 1
    assert look("SELECT COUNT(*) FROM videos") == [(1,)]


async def test_scores_wait_for_another_process_that_is_writing(store: Store, other: sqlite3.Connection) -> None:
    video_id = await store.queue.enqueue(identity())
    other.execute("BEGIN IMMEDIATE")
    await asyncio.wait_for(store.frames.add(video_id, scored(0)), PATIENCE_SECONDS)
    writing = asyncio.create_task(store.flush())
    done, _ = await asyncio.wait({writing}, timeout=0.1)
    assert not done
    other.execute("COMMIT")
    await asyncio.wait_for(writing, PATIENCE_SECONDS)
    assert other.execute("SELECT COUNT(*) FROM frames").fetchone() == (1,)
    assert await store.frames.hashes(video_id) == ["d0"]


async def test_others_may_write_while_rows_only_wait(store: Store, other: sqlite3.Connection) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(0))
    other.execute("PRAGMA busy_timeout = 0")
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    assert await store.frames.hashes(video_id) == ["d0"]


async def test_reading_does_not_wait_for_a_writer(store: Store, other: sqlite3.Connection) -> None:
    await store.queue.enqueue(identity())
    other.execute("BEGIN IMMEDIATE")
    assert (await asyncio.wait_for(store.videos.get(1), PATIENCE_SECONDS)).id == 1
    other.execute("ROLLBACK")


async def test_a_writer_that_never_ends_is_a_store_error_not_a_videos_and_the_store_goes_on(
    config: DatabaseConfig, other: sqlite3.Connection
) -> None:
    hasty = await Store.open(config.model_copy(update={"busy_seconds": 0.02}))
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises((StoreError, sqlite3.Error)) as caught:
            await hasty.queue.enqueue(identity())
        other.execute("ROLLBACK")
        assert await hasty.queue.enqueue(identity()) == 1
    finally:
        await hasty.close()
    assert caught.type is StoreError


async def test_a_write_that_is_cancelled_while_it_waits_leaves_the_store_usable(
    store: Store, other: sqlite3.Connection
) -> None:
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.queue.enqueue(identity()))
    await asyncio.wait({writing}, timeout=0.05)
    writing.cancel()
    await asyncio.sleep(0)
    other.execute("ROLLBACK")
    await asyncio.wait({writing})
    await store.queue.enqueue(identity("b.mp4", "b"))
    assert [record.file.path.name for record in await store.videos.same_content("b" * 64)] == ["b.mp4"]


async def test_scores_that_are_cancelled_while_they_wait_leave_the_store_usable(
    store: Store, other: sqlite3.Connection
) -> None:
    video_id = await store.queue.enqueue(identity())
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.frames.add(video_id, scored(0)))
    await asyncio.wait({writing}, timeout=0.05)
    writing.cancel()
    await asyncio.sleep(0)
    other.execute("ROLLBACK")
    await asyncio.wait({writing})
    await store.frames.add(video_id, scored(1))
    await store.flush()
    assert (await store.frames.hashes(video_id))[1] == "d1"


async def test_the_data_version_changes_when_another_process_writes(store: Store, other: sqlite3.Connection) -> None:
    before = await store.data_version()
    assert await store.data_version() == before
    other.execute("INSERT INTO videos (path, fingerprint, size_bytes, mtime_ns, status, queued_at) VALUES"
                  " ('/in/x', 'f', 1, 1, 'queued', 't')")  # fmt: skip
    assert await store.data_version() != before


async def test_tasks_side_by_side_never_share_a_transaction(store: Store, look: Look) -> None:
    video_id = await store.queue.enqueue(identity())

    async def failing() -> None:
        with pytest.raises((StoreError, sqlite3.Error)):
            await store.selections.finish(10**6, chosen(0), [still(1, 0)])

    writes = [store.queue.enqueue(identity(f"{n}.mp4", "b")) for n in range(5)]
    await asyncio.gather(failing(), *writes, failing(), store.queue.set_status(video_id, Status.SCORED), failing())
    assert look("SELECT COUNT(*) FROM videos") == [(6,)]
    assert look("SELECT COUNT(*) FROM selections") == [(0,)]


# The queue


async def test_a_queued_video_reads_back(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    record = await store.videos.get(video_id)
    assert (record.file, record.status, record.attempts) == (identity(), Status.QUEUED, 0)
    assert (record.metric, record.lower_better, record.scorer, record.info) == (None, None, None, None)
    assert (record.damaged, record.mixed, record.error_kind, record.error) == (False, False, None, None)


async def test_a_video_that_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(StoreError, match="there is no video 7") as caught:
        await store.videos.get(7)
    assert caught.value.kind is Kind.NOT_FOUND


async def test_only_files_that_no_row_describes_are_unknown(store: Store) -> None:
    await store.queue.enqueue(identity("a.mp4", size=100, mtime=1))
    candidates = [
        (Path("/in/a.mp4"), 100, 1),
        (Path("/in/a.mp4"), 101, 1),
        (Path("/in/b.mp4"), 100, 1),
    ]
    assert await store.videos.unknown(candidates[:1]) == []
    assert await store.videos.unknown(candidates[1:]) == [Path("/in/a.mp4"), Path("/in/b.mp4")]
    assert await store.videos.unknown([(Path("/in/a.mp4"), 100, 2)]) == [Path("/in/a.mp4")]
    assert await store.videos.unknown([]) == []


@pytest.mark.parametrize("status", Status)
async def test_a_video_that_went_away_or_was_replaced_is_unknown_again_all_others_are_known(
    store: Store, status: Status
) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.queue.set_status(video_id, status)
    unknown = await store.videos.unknown([(Path("/in/a.mp4"), 100, 1)])
    assert unknown == ([Path("/in/a.mp4")] if status in (Status.MISSING, Status.REPLACED) else [])


async def test_thousands_of_files_are_asked_for_at_once(store: Store) -> None:
    for n in range(0, 450, 2):
        await store.queue.enqueue(identity(f"{n}.mp4"))
    looks = [(Path(f"/in/{n}.mp4"), 100, 1) for n in range(450)]
    assert await store.videos.unknown(looks) == [Path(f"/in/{n}.mp4") for n in range(1, 450, 2)]


async def test_videos_are_found_by_content_oldest_first_and_by_path_newest_first(store: Store) -> None:
    await store.queue.enqueue(identity("a.mp4", "a"))
    await store.queue.enqueue(identity("a.mp4", "b"))
    await store.queue.enqueue(identity("c.mp4", "a"))
    assert [one.id for one in await store.videos.same_content("a" * 64)] == [1, 3]
    assert [one.id for one in await store.videos.at_path(Path("/in/a.mp4"))] == [2, 1]
    assert await store.videos.same_content("c" * 64) == []


async def test_a_refusal_is_recorded_once_per_state_of_the_file(store: Store, look: Look) -> None:
    first = await store.queue.refuse(identity(), Status.REJECTED, VideoError(Kind.EMPTY, "it is empty"))
    again = await store.queue.refuse(identity(), Status.FAILED, VideoError(Kind.UNREADABLE, "it cannot be read"))
    changed = await store.queue.refuse(identity(mtime=2), Status.REJECTED, VideoError(Kind.EMPTY, "it is empty"))
    assert first == again != changed
    assert look("SELECT id, status, error_kind, error FROM videos ORDER BY id") == [
        (first, "failed", "unreadable", "it cannot be read"),
        (changed, "rejected", "empty", "it is empty"),
    ]


async def test_a_refusal_of_a_file_that_two_rows_describe_leaves_the_store_usable(store: Store) -> None:
    await store.queue.enqueue(identity())
    await store.queue.enqueue(identity())
    await store.queue.refuse(identity(), Status.REJECTED, VideoError(Kind.EMPTY, "it is empty"))
    await store.queue.enqueue(identity("b.mp4"))


async def test_a_video_may_move(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.videos.relocate(video_id, identity("sub/b.mp4", size=100, mtime=9))
    assert (await store.videos.get(video_id)).file == identity("sub/b.mp4", mtime=9)
    assert await store.videos.at_path(Path("/in/a.mp4")) == []


async def test_the_oldest_waiting_video_is_claimed_and_its_attempt_committed(store: Store, look: Look) -> None:
    first, second = await store.queue.enqueue(identity("a.mp4")), await store.queue.enqueue(identity("b.mp4"))
    record = await store.queue.claim(Status.QUEUED, Status.SCORING)
    assert record is not None
    assert (record.id, record.status, record.attempts) == (first, Status.SCORING, 1)
    assert look("SELECT status, attempts FROM videos ORDER BY id") == [("scoring", 1), ("queued", 0)]
    record = await store.queue.claim(Status.QUEUED, Status.SCORING)
    assert record is not None
    assert record.id == second
    assert await store.queue.claim(Status.QUEUED, Status.SCORING) is None


async def test_a_video_is_claimed_by_one_only(store: Store) -> None:
    await store.queue.enqueue(identity())
    claims = await asyncio.gather(*(store.queue.claim(Status.QUEUED, Status.SCORING) for _ in range(5)))
    assert [record.id for record in claims if record] == [1]


async def test_only_the_wanted_videos_are_claimed(store: Store) -> None:
    ids = [await store.queue.enqueue(identity(f"{n}.mp4")) for n in range(3)]
    record = await store.queue.claim(Status.QUEUED, Status.SCORING, {ids[2], 99})
    assert record is not None
    assert record.id == ids[2]
    assert await store.queue.claim(Status.QUEUED, Status.SCORING, set()) is None
    assert await store.queue.claim(Status.QUEUED, Status.SCORING, {99}) is None


async def test_a_video_given_back_has_not_been_attempted(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.queue.claim(Status.QUEUED, Status.SCORING)
    await store.queue.release(video_id, Status.QUEUED)
    await store.queue.release(video_id, Status.QUEUED)
    record = await store.videos.get(video_id)
    assert (record.status, record.attempts) == (Status.QUEUED, 0)


async def test_recovery_puts_back_what_a_killed_run_left(store: Store) -> None:
    for n in range(4):
        await store.queue.enqueue(identity(f"{n}.mp4"))
    await store.queue.claim(Status.QUEUED, Status.SCORING)
    await store.queue.set_status(2, Status.SCORED)
    await store.queue.claim(Status.SCORED, Status.EXPORTING)
    await store.queue.set_status(3, Status.DONE)
    assert await store.queue.recover(3) == (2, 0)
    states = [(await store.videos.get(n)).status for n in (1, 2, 3, 4)]
    assert states == [Status.QUEUED, Status.SCORED, Status.DONE, Status.QUEUED]
    assert await store.queue.recover(3) == (0, 0)


async def test_a_video_that_ended_the_process_too_often_is_set_aside(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    for attempt in range(3):
        assert (await store.queue.recover(3)) == ((1, 0) if attempt else (0, 0))
        assert await store.queue.claim(Status.QUEUED, Status.SCORING)
    assert await store.queue.recover(3) == (0, 1)
    record = await store.videos.get(video_id)
    assert (record.status, record.error_kind, record.attempts) == (Status.FAILED, "attempts", 3)
    assert record.error is not None
    assert "3 times" in record.error
    assert "stillwatch retry" in record.error
    assert await store.queue.claim(Status.QUEUED, Status.SCORING) is None


@pytest.mark.parametrize("status", Status)
async def test_only_what_ended_badly_is_queued_again(store: Store, status: Status) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(0))
    await store.queue.fail(video_id, status, VideoError(Kind.DECODE, "it broke"))
    again = status in (Status.FAILED, Status.REJECTED, Status.MISSING)
    assert await store.queue.requeue([video_id, 99]) == int(again)
    record = await store.videos.get(video_id)
    assert record.status is (Status.QUEUED if again else status)
    assert record.error is (None if again else record.error)
    assert await store.frames.hashes(video_id) == ["d0"]


async def test_a_retry_starts_counting_attempts_anew(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.queue.claim(Status.QUEUED, Status.SCORING)
    await store.queue.fail(video_id, Status.FAILED, VideoError(Kind.DECODE, "it broke"))
    await store.queue.requeue([video_id])
    assert (await store.videos.get(video_id)).attempts == 0


# One video's way


async def begin(store: Store, video_id: int, scorer: str = "niqe-1") -> list[str]:
    return await store.frames.begin_scoring(video_id, INFO, "niqe", True, scorer)


async def test_the_probe_and_the_scorer_read_back(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    assert await begin(store, video_id) == []
    record = await store.videos.get(video_id)
    assert record.info == INFO
    assert (record.metric, record.lower_better, record.scorer) == ("niqe", True, "niqe-1")


async def test_the_probe_is_in_columns_of_its_own_too(store: Store, look: Look) -> None:
    await begin(store, await store.queue.enqueue(identity()))
    found = look("SELECT width, height, pix_fmt, bit_depth, codec, stream_index, time_base FROM videos")
    assert found == [(640, 480, "yuv420p", 8, "h264", 1, "1/12800")]


async def test_the_same_scorer_goes_on_with_its_rows(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    await begin(store, video_id)
    await store.frames.add(video_id, scored(0, 1))
    assert await begin(store, video_id) == ["d0", "d1"]


async def test_another_scorers_rows_are_dropped(store: Store, look: Look) -> None:
    one, two = await store.queue.enqueue(identity("a.mp4")), await store.queue.enqueue(identity("b.mp4"))
    for video_id in (one, two):
        await begin(store, video_id)
        await store.frames.add(video_id, scored(0, 1))
    assert await begin(store, one, "niqe-2") == []
    assert look("SELECT DISTINCT video_id FROM frames") == [(two,)]
    assert (await store.videos.get(one)).scorer == "niqe-2"


async def test_rows_without_a_known_scorer_are_dropped(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(0))
    assert await begin(store, video_id) == []


async def test_the_end_of_scoring_counts_and_drops_rows_beyond_the_last_frame(store: Store, look: Look) -> None:
    video_id = await store.queue.enqueue(identity())
    await begin(store, video_id)
    await store.frames.add(video_id, scored(0, 1, 2, 7))
    await store.frames.add(video_id, scored(3, score=None, note="flat"))
    counted = await store.frames.end_scoring(video_id, frames_decoded=4, damaged=True, mixed=True, damage="a bad slice")
    record = await store.videos.get(video_id)
    assert counted == 3
    assert (record.status, record.attempts) == (Status.SCORED, 0)
    assert (record.frames_decoded, record.frames_scored) == (4, 3)
    assert (record.damaged, record.mixed) == (True, True)
    assert look("SELECT damage, (SELECT MAX(frame) FROM frames) FROM videos") == [("a bad slice", 3)]


async def test_a_finished_video_has_its_selection_and_stills(store: Store, look: Look) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.queue.claim(Status.QUEUED, Status.SCORING)
    stills = [replace(still(1, 40, "/out/a/r01.png"), image="png8"), still(2, 7, "/out/a/r02.png")]
    selection_id = await store.selections.finish(video_id, chosen(40, 7, shortfall="too short"), stills)
    record = await store.videos.get(video_id)
    assert (record.status, record.attempts, record.error) == (Status.DONE, 0, None)
    assert look("SELECT id, video_id, requested, chosen, shortfall FROM selections") == [
        (selection_id, video_id, 10, 2, "too short")
    ]
    assert look("SELECT rank, frame, path, width, height, bytes, sha256, method FROM stills ORDER BY rank") == [
        (1, 40, "/out/a/r01.png", 640, 480, 1234, "e" * 64, "batch"),
        (2, 7, "/out/a/r02.png", 640, 480, 1234, "e" * 64, "batch"),
    ]
    past = await store.selections.latest(video_id)
    assert past is not None
    assert past.id == selection_id
    assert past.params == chosen().params
    assert past.paths == (Path("/out/a/r01.png"), Path("/out/a/r02.png"))
    assert past.images == ("png8", None)


async def test_finishing_is_all_or_nothing(store: Store, look: Look) -> None:
    video_id = await store.queue.enqueue(identity())
    with pytest.raises((StoreError, sqlite3.Error)):
        await store.selections.finish(video_id, chosen(0, 1), [still(1, 0), still(1, 1)])
    assert look("SELECT (SELECT COUNT(*) FROM selections), (SELECT COUNT(*) FROM stills)") == [(0, 0)]
    assert (await store.videos.get(video_id)).status is Status.QUEUED


async def test_every_selection_is_kept_and_the_newest_is_the_latest(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    assert await store.selections.latest(video_id) is None
    await store.selections.finish(video_id, chosen(1), [still(1, 1, "/out/old.png")])
    await store.selections.finish(video_id, chosen(2), [still(1, 2, "/out/new.png")])
    past = await store.selections.latest(video_id)
    assert past is not None
    assert past.paths == (Path("/out/new.png"),)
    assert len(await store.queries.selections(video_id)) == 2


async def test_a_failure_keeps_the_scores_and_says_why(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.frames.add(video_id, scored(0))
    await store.queue.fail(video_id, Status.FAILED, ExportError(Kind.DISK_FULL, "the disk is full:\nmake room"))
    record = await store.videos.get(video_id)
    assert (record.status, record.error_kind, record.error) == (
        Status.FAILED,
        "disk_full",
        "the disk is full: make room",
    )
    assert await store.frames.hashes(video_id) == ["d0"]


# Looking


@pytest.fixture
async def library(store: Store) -> Store:
    """1: /in/clip.mp4, 2: /in/sub/clip.mp4, 3: /in/100%_a.mp4, 4: unreadable, without a fingerprint."""
    await store.queue.enqueue(FileIdentity(Path("/in/clip.mp4"), "aa11" * 16, 1, 1))
    await store.queue.enqueue(FileIdentity(Path("/in/sub/clip.mp4"), "bb22" * 16, 1, 1))
    await store.queue.enqueue(FileIdentity(Path("/in/100%_a.mp4"), "cc33" * 16, 1, 1))
    await store.queue.refuse(
        FileIdentity(Path("/in/x.mp4"), "", 1, 1), Status.FAILED, VideoError(Kind.UNREADABLE, "no")
    )
    return store


@pytest.mark.parametrize(
    ("key", "video_id"),
    [
        ("1", 1),
        ("/in/clip.mp4", 1),
        ("/in/../in/clip.mp4", 1),
        ("sub/clip.mp4", 2),
        ("aa11aa", 1),
        ("bb22" * 16, 2),
        ("100%_a.mp4", 3),
    ],
)
async def test_a_video_is_found_by_id_path_name_or_fingerprint(library: Store, key: str, video_id: int) -> None:
    assert (await library.videos.find(key)).id == video_id


async def test_a_name_in_two_folders_is_asked_back_with_paths_and_numbers(library: Store) -> None:
    with pytest.raises(StoreError) as caught:
        await library.videos.find("clip.mp4")
    assert caught.value.sentence == (
        "2 videos are named 'clip.mp4': say which by its path or number:"
        " /in/clip.mp4 (video 1); /in/sub/clip.mp4 (video 2)"
    )


@pytest.mark.parametrize("form", ["NFC", "NFD"])
async def test_a_name_is_found_in_either_unicode_form(store: Store, form: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    stored = await store.queue.enqueue(identity(unicodedata.normalize(form, "Grüße é.mp4")))  # type: ignore[arg-type]
    await store.queue.enqueue(identity("Gruße e.mp4"))
    assert (await store.videos.find(unicodedata.normalize(other, "Grüße é.mp4"))).id == stored  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "key",
    ["99", "9" * 40, "nothing.mp4", "lip.mp4", "%.mp4", "____.mp4", "aa11", "zz", "", "caf\udce9.mp4", "/in", "\\"],
)
async def test_what_names_no_video_is_not_found(library: Store, key: str) -> None:
    with pytest.raises(StoreError) as caught:
        await library.videos.find(key)
    assert caught.value.kind is Kind.NOT_FOUND


async def test_a_name_is_found_with_its_own_capitals(store: Store) -> None:
    small = await store.queue.enqueue(identity("clip.mp4"))
    await store.queue.enqueue(identity("CLIP.MP4"))
    assert (await store.videos.find("clip.mp4")).id == small


async def test_a_relative_path_starts_at_the_working_folder(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    video_id = await store.queue.enqueue(FileIdentity(tmp_path / "a.mp4", "a" * 64, 1, 1))
    await store.queue.enqueue(identity("a.mp4", "b"))
    assert (await store.videos.find("a.mp4")).id == video_id


async def test_every_state_is_counted_those_without_videos_too(library: Store) -> None:
    counts = await library.videos.counts()
    assert counts == {status.value: 0 for status in Status} | {"queued": 3, "failed": 1}


async def test_the_list_is_newest_first_and_limited(library: Store) -> None:
    rows = await library.queries.videos(2)
    assert [row["id"] for row in rows] == [4, 3]
    assert json.loads(json.dumps(rows)) == rows


async def test_the_views_for_people_say_what_is_in_work_failed_and_noted(library: Store) -> None:
    await library.queue.claim(Status.QUEUED, Status.SCORING)
    await library.frames.add(1, scored(0, 1, score=2.0) + scored(2, score=None, note="flat"))
    await library.flush()
    (working,) = await library.queries.working()
    assert (working["id"], working["frames"]) == (1, 3)
    assert [row["id"] for row in await library.queries.errors(5)] == [4]
    assert await library.queries.failed_ids() == [4]
    assert await library.queries.notes(1) == {"flat": 1}
    assert await library.queries.score_range(1) == {"lowest": 2.0, "highest": 2.0, "mean": 2.0}


# Names that are not UTF-8

RAW = Path(os.fsdecode(b"/in/caf\xe9.mp4"))


async def test_a_name_that_is_not_utf8_is_kept_to_the_byte(store: Store, look: Look) -> None:
    file = FileIdentity(RAW, "f" * 64, 1, 1)
    video_id = await store.queue.enqueue(file)
    assert (await store.videos.get(video_id)).file == file
    assert look("SELECT path FROM videos") == [(b"/in/caf\xe9.mp4",)]


async def test_a_name_that_is_not_utf8_is_known_found_and_moved_like_any_other(store: Store) -> None:
    video_id = await store.queue.enqueue(FileIdentity(RAW, "f" * 64, 1, 1))
    assert await store.videos.unknown([(RAW, 1, 1)]) == []
    assert [one.id for one in await store.videos.at_path(RAW)] == [video_id]
    assert (await store.videos.find(str(RAW))).id == video_id
    await store.videos.relocate(video_id, FileIdentity(RAW.with_name("b\udcff.mp4"), "f" * 64, 1, 2))
    assert (await store.videos.get(video_id)).file.path == Path("/in/b\udcff.mp4")


async def test_a_name_that_is_not_utf8_is_found_by_the_name_alone(store: Store) -> None:
    video_id = await store.queue.enqueue(FileIdentity(RAW, "f" * 64, 1, 1))
    assert (await store.videos.find(RAW.name)).id == video_id


async def test_a_still_of_such_a_name_reads_back(store: Store) -> None:
    video_id = await store.queue.enqueue(identity())
    await store.selections.finish(video_id, chosen(1), [still(1, 1, str(RAW))])
    past = await store.selections.latest(video_id)
    assert past is not None
    assert past.paths == (RAW,)
    (row,) = await store.queries.stills(past.id)
    assert row["path"] == str(RAW)
