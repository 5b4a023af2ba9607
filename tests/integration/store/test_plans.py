"""What is asked of a database finds its rows by an index, however many films there are."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import numpy as np

from daemon.config.service import DatabaseConfig
from daemon.model import FileIdentity, Scored
from daemon.store.store import Store

GROWING = {"decoded_frames", "frame_scores", "frames", "feature_blocks", "selections", "stills", "shots", "strips"}
"""Tables and views whose rows are those of all films."""
_SCAN = re.compile(r"^SCAN (\w+)")
_NAMES = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.IGNORECASE)


async def asked(path: Path) -> list[str]:
    """All that is asked to look at one film among others, to choose among its frames and to list all films."""
    store = await Store.open(DatabaseConfig(path=path))
    heard: list[str] = []
    try:
        for number in range(3):
            video_id = await store.queue.enqueue(FileIdentity(Path(f"/in/{number}.mp4"), f"{number:064x}", 1, 1))
            await store.frames.add(video_id, [Scored(n, n, n / 25, 3.0, None, f"{n:040x}", None) for n in range(20)])
        await store.flush()
        await store.db.set_trace_callback(heard.append)
        queries, review, frames, selections = store.queries, store.review, store.frames, store.selections
        for listing in (queries.videos(10), queries.working(), queries.errors(10), queries.failed_ids()):
            await listing
        await queries.video(video_id)
        await queries.selections(video_id)
        await queries.current_selection(video_id)
        await queries.stills(1)
        await queries.source(video_id)
        await queries.shots(video_id)
        await queries.notes(video_id)
        await queries.score_range(video_id)
        await review.films(10)
        await review.version(video_id)
        await review.frames(video_id)
        await review.columns(video_id)
        await review.second(video_id, np.arange(20))
        await frames.hashes(video_id)
        await frames.decoded(video_id)
        await frames.table(video_id)
        await frames.with_note(video_id, "corrupt")
        await frames.rows(video_id, [1, 2])
        assert [record async for block in frames.feature_records(video_id) for record in block]
        await frames.features_of(video_id, [1, 2])
        await selections.latest(video_id)
        await selections.published(video_id)
        await selections.older_stills(video_id)
        await store.db.set_trace_callback(lambda _: None)
    finally:
        await store.close()
    return [sql for sql in dict.fromkeys(heard) if sql.lstrip().upper().startswith(("SELECT", "WITH"))]


def scanned(db: sqlite3.Connection, sql: str) -> set[str]:
    """The growing tables of which every row is looked at."""
    views = [row[0] for row in db.execute("SELECT sql FROM sqlite_master WHERE type = 'view'")]
    tables = {alias or name: name for text in (*views, sql) for name, alias in _NAMES.findall(text)}
    plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
    found = {tables.get(match[1], match[1]) for line in plan if (match := _SCAN.match(line))}
    return found & GROWING


async def test_no_question_about_a_film_looks_at_the_rows_of_all_films(tmp_path: Path) -> None:
    questions = await asked(tmp_path / "s.db")
    assert len(questions) >= 20
    with sqlite3.connect(tmp_path / "s.db") as db:
        for scan in ("frame_scores WHERE score > 3", "frames WHERE score > 3", "stills s WHERE s.rank = 1"):
            assert scanned(db, f"SELECT COUNT(*) FROM {scan}"), "a scan is seen"
        assert {sql: found for sql in questions if (found := scanned(db, sql))} == {}
    db.close()
