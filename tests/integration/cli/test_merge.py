"""``merge``: films that `once` took elsewhere come into one database, once, whole, with the stills that are there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import verify
from daemon.cli.merge import MergedDatabase, merge, path_map, sentences
from daemon.config.schema import Config
from daemon.errors import ConfigError, StillwatchError
from daemon.model import FileIdentity, Outcome, Scored, Status, VideoRecord
from daemon.pipeline.reselect import reselect
from daemon.service.foreground import once
from daemon.store.decisions import DecisionKind
from daemon.store.merge import COPIED
from daemon.store.store import Store
from tests import films, older_database
from tests.acceptance.harness import cli
from tests.stub import StubScorer, stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")


def config_of(folder: Path, stills: Path | None = None, count: int = 2) -> Config:
    return Config.model_validate(
        {
            "output": {"path": stills or folder / "out"},
            "database": {"path": folder / "db.sqlite"},
            "select": {"count": count, "min_gap_seconds": 0.2},
        }
    )


async def scored_elsewhere(tmp_path: Path, name: str, *made: Path) -> Path:
    """The database of a `once` on another machine, which writes its stills to a share that is here as well."""
    config = config_of(tmp_path / name, tmp_path / "here" / "out" / name)
    records, _ = await once(config, made)
    assert [record.status for record in records] == [Status.DONE] * len(made)
    return config.database.path


async def merged(here: Config, *databases: Path, paths: dict[Path, Path] | None = None) -> list[MergedDatabase]:
    return await merge(here, databases, paths or {})


def outcomes(done: list[MergedDatabase]) -> list[str]:
    assert [one.error for one in done] == [None] * len(done)
    return [film.outcome for one in done for film in one.films]


def content(database: Path) -> list[str]:
    """All that a database holds but for ids and for what is about this machine, in an order of its own."""
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        queries = (
            "SELECT fingerprint, digest, path, status, metric, scorer, frames_decoded, frames_scored, judged, info,"
            " scored_at, finished_at, error FROM videos",
            "SELECT v.digest, f.* FROM frames f JOIN videos v ON v.id = f.video_id",
            "SELECT v.digest, s.* FROM scores s JOIN videos v ON v.id = s.video_id",
            "SELECT v.digest, b.block, b.packed FROM feature_blocks b JOIN videos v ON v.id = b.video_id",
            "SELECT v.digest, s.shot, s.kind, s.first, s.last FROM shots s JOIN videos v ON v.id = s.video_id",
            "SELECT v.digest, p.frame, p.picture FROM strip_pictures p JOIN videos v ON v.id = p.video_id",
            "SELECT v.digest, p.packets, p.record FROM packet_index p JOIN videos v ON v.id = p.video_id",
            "SELECT v.digest, s.params, s.chosen, s.reasons, s.created_at, t.rank, t.frame, t.path, t.sha256, t.reason"
            " FROM selections s JOIN videos v ON v.id = s.video_id LEFT JOIN stills t ON t.selection_id = s.id",
            "SELECT v.digest, d.kind, d.frame, d.note, s.created_at FROM decisions d JOIN videos v ON v.id = d.video_id"
            " LEFT JOIN selections s ON s.id = d.selection_id",
        )
        found = []
        for query in queries:
            names = [column[0] for column in db.execute(query).description]
            own = [at for at, name in enumerate(names) if name not in ("video_id",)]
            found += [repr((at, [row[at] for at in own])) for at, row in enumerate(db.execute(query))]
        return sorted(line.split(", ", 1)[1] for line in found)
    finally:
        db.close()


async def with_store(config: Config, work: Any) -> Any:
    store = await Store.open(config.database)
    try:
        return await work(store)
    finally:
        await store.close()


async def records(config: Config) -> list[VideoRecord]:
    async def work(store: Store) -> list[VideoRecord]:
        return [await store.videos.get(row["id"]) for row in reversed(await store.queries.videos(-1))]

    found: list[VideoRecord] = await with_store(config, work)
    return found


async def test_two_databases_of_once_become_one_with_all_that_they_hold(tmp_path: Path) -> None:
    made = [films.make(tmp_path / f"{n}.mp4", frames=40 + n) for n in range(3)]
    one = await scored_elsewhere(tmp_path, "one", *made[:2])
    two = await scored_elsewhere(tmp_path, "two", made[2])
    before = {path: path.read_bytes() for path in (one, two)}
    here = config_of(tmp_path / "here")
    done = await merged(here, one, two)
    assert outcomes(done) == ["added"] * 3
    assert list(sentences(done)) == [f"{one}: 2 films: 2 added", f"{two}: 1 film: 1 added"]
    # Read, and nothing else.
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in one.parent.iterdir() if path.name.startswith("db.sqlite-")] == []
    assert content(here.database.path) == sorted(content(one) + content(two))


async def test_again_it_says_that_nothing_is_new_and_changes_nothing(tmp_path: Path) -> None:
    one = await scored_elsewhere(tmp_path, "one", films.make(tmp_path / "a.mp4", frames=40))
    here = config_of(tmp_path / "here")
    await merged(here, one)
    before = content(here.database.path)
    again = await merged(here, one)
    assert list(sentences(again)) == [f"{one}: 1 film: nothing new"]
    assert content(here.database.path) == before


async def test_what_was_merged_is_listed_shown_chosen_from_and_proven(tmp_path: Path) -> None:
    made = [films.make(tmp_path / f"{n}.mp4", frames=40 + n) for n in range(2)]
    databases = [await scored_elsewhere(tmp_path, f"task{n}", film) for n, film in enumerate(made)]
    here = config_of(tmp_path / "here", count=3)
    settings = tmp_path / "config.yaml"
    settings.write_text(f"output: {{path: {here.output.path}}}\ndatabase: {{path: {here.database.path}}}\n")
    told = await asyncio.to_thread(cli, "merge", *map(str, databases), "--config", str(settings))
    assert (told.returncode, told.stderr) == (0, "")
    listed = await asyncio.to_thread(cli, "list", "--config", str(settings))
    assert listed.stdout.count("done") == 2
    shown = await asyncio.to_thread(cli, "show", "1.mp4", "--config", str(settings))
    assert "41 scored, stub from" in shown.stdout
    proven = await asyncio.to_thread(cli, "verify", str(here.output.path), "--config", str(settings))
    came = verify.find_stills([here.output.path])
    own = [still.parent.parent.name for still in came].count("task1")
    assert own
    assert f"{len(came)} of {len(came)} stills proven" in proven.stdout
    record = await with_store(here, lambda store: reselect(here, store, "1.mp4"))
    assert record.status is Status.DONE
    stills = verify.find_stills([here.output.path])
    latest = await with_store(here, lambda store: store.selections.latest(record.id))
    assert set(latest.paths) < set(stills)
    # The task's own lie apart now, as any older selection's.
    assert [still.parent.parent.name for still in stills].count("selections") == own
    assert all(one.proven for one in verify.verify(stills, here.decode, films=made))


async def test_paths_are_mapped_those_of_stills_too(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    film = films.make(tmp_path / "there" / "a.mp4", frames=40)
    config = config_of(tmp_path / "task", tmp_path / "there" / "stills")
    await once(config, [film])
    (tmp_path / "there").rename(tmp_path / "share")
    here = config_of(tmp_path / "here")
    given = path_map([f"{tmp_path}/there={tmp_path}/share", f"{tmp_path}/there/nothing=/nowhere"])
    (done,) = await merged(here, config.database.path, paths=given)
    assert done.ok
    (record,) = await records(here)
    assert record.file.path == tmp_path / "share" / "a.mp4"
    assert record.file.path.is_file()
    found = await with_store(here, lambda store: store.selections.latest(record.id))
    assert all(path.is_file() and path.is_relative_to(tmp_path / "share") for path in found.paths)


@pytest.mark.parametrize("given", ["a=b", "/a", "/a=b", "=/b", "/a="])
def test_a_map_that_is_none_is_a_mistake_of_usage(given: str) -> None:
    with pytest.raises(ConfigError, match="FROM=TO"):
        path_map([given])


async def test_a_still_that_is_gone_or_changed_is_said_and_left_out_until_it_is_there(tmp_path: Path) -> None:
    config = config_of(tmp_path / "task")
    await once(config, [films.make(tmp_path / "a.mp4", frames=40)])
    away, kept = tmp_path / "away", tmp_path / "task" / "out"
    shutil.copytree(kept, away)
    gone, changed = verify.find_stills([kept])
    gone.unlink()
    changed.write_bytes(changed.read_bytes() + b"x")
    here = config_of(tmp_path / "here")
    (done,) = await merged(here, config.database.path)
    (film,) = done.films
    assert not done.ok
    assert (film.outcome, film.stills) == ("added", 0)
    reasons = {one.path: one.reason for one in film.stills_missing}
    assert reasons[str(gone)] == "it is not there"
    assert "has other bytes" in reasons[str(changed)]
    assert "stillwatch select 1` exports them anew" in list(sentences([done]))[1]
    # Copied to where stills are here, in the folder of their film alone: the next run finds them.
    shutil.copytree(away, here.output.path)
    (again,) = await merged(here, config.database.path)
    assert (again.films[0].outcome, again.films[0].stills) == ("beside", 2)
    found = await with_store(here, lambda store: store.selections.latest(1))
    assert all(path.is_relative_to(here.output.path) for path in found.paths)
    assert outcomes(await merged(here, config.database.path)) == ["known"]


async def test_another_scorer_s_numbers_are_put_beside_and_the_film_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = films.make(tmp_path / "a.mp4", frames=40)
    one = await scored_elsewhere(tmp_path, "one", film)
    monkeypatch.setattr(StubScorer, "identity", "stub|2")
    two = await scored_elsewhere(tmp_path, "two", film)
    here = config_of(tmp_path / "here")
    done = await merged(here, one, two)
    assert outcomes(done) == ["added", "beside"]
    assert done[1].films[0].scores == 40
    scorers = await with_store(here, lambda store: store.scores.scorers(1))
    assert [(row.scorer.split("|pictures")[0], row.frames, row.current) for row in scorers] == [
        ("stub|1", 40, True),
        ("stub|2", 40, False),
    ]
    found = await with_store(here, lambda store: store.queries.selections(1))
    assert len(found) == 1
    assert outcomes(await merged(here, two, one)) == ["known", "known"]


async def test_of_frames_that_decode_to_another_picture_no_score_is_put_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = films.make(tmp_path / "a.mp4", frames=40)
    one = await scored_elsewhere(tmp_path, "one", film)
    monkeypatch.setattr(StubScorer, "identity", "stub|2")
    two = await scored_elsewhere(tmp_path, "two", film)
    with sqlite3.connect(two) as db:
        db.execute("UPDATE decoded_frames SET hash = x'00' WHERE frame >= 30")
    db.close()
    assert (await merged(config_of(tmp_path / "here"), one, two))[1].films[0].scores == 30


@pytest.mark.parametrize("status", ["queued", "failed", "scored", "replaced"])
async def test_what_is_done_there_takes_the_place_of_what_is_not_done_here(tmp_path: Path, status: str) -> None:
    film = films.make(tmp_path / "a.mp4", frames=40)
    one = await scored_elsewhere(tmp_path, "one", film)
    here = config_of(tmp_path / "here")
    shutil.copytree(one.parent, tmp_path / "here", dirs_exist_ok=True)
    with sqlite3.connect(here.database.path) as db:
        db.execute("UPDATE videos SET status = ?, path = '/in/b.mp4', error_kind = 'decode', error = 'x'", (status,))
        db.execute("DELETE FROM stills")
        db.execute("DELETE FROM selections")
        if status != "scored":
            db.execute("UPDATE videos SET scored_at = NULL")
            db.execute("UPDATE decoded_frames SET hash = x'00' WHERE frame = 3")
            db.execute("DELETE FROM decoded_frames WHERE frame > 20")
            db.execute("INSERT INTO scorers (id, identity) VALUES (77, 'other|1')")
            db.execute("INSERT INTO frame_scores SELECT video_id, 77, frame, 1.0, NULL FROM decoded_frames")
    db.close()
    assert outcomes(await merged(here, one)) == ["completed"]
    (record,) = await records(here)
    # What took its file's place still has it.
    expected = ("replaced", "decode", "x") if status == "replaced" else ("done", None, None)
    assert (record.status, record.error_kind, record.error) == expected
    assert str(record.file.path) == "/in/b.mp4"
    found = await with_store(here, lambda store: store.frames.rows(1, range(40)))
    assert len(found) == 40
    latest = await with_store(here, lambda store: store.selections.latest(1))
    assert len(latest.paths) == 2
    if status != "scored":
        # What another scorer has said of the same pictures is not lost.
        kept = await with_store(here, lambda store: store.scores.outcomes(1, "other|1"))
        assert kept == {n: Outcome(1.0) for n in range(21) if n != 3}
    assert outcomes(await merged(here, one)) == ["known"]


async def test_what_is_worked_on_here_or_unfinished_there_is_left_and_said(tmp_path: Path) -> None:
    made = [films.make(tmp_path / f"{n}.mp4", frames=40 + n) for n in range(3)]
    one = await scored_elsewhere(tmp_path, "one", *made)
    here = config_of(tmp_path / "here")
    shutil.copytree(one.parent, tmp_path / "here", dirs_exist_ok=True)
    with sqlite3.connect(here.database.path) as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("UPDATE videos SET status = 'scoring', scored_at = NULL WHERE id = 1")
        db.execute("DELETE FROM videos WHERE id > 1")
    db.close()
    with sqlite3.connect(one) as db:
        db.execute("UPDATE videos SET status = 'scoring', scored_at = NULL WHERE id = 2")
        db.execute("UPDATE videos SET status = 'exporting' WHERE id = 3")
    db.close()
    done = await merged(here, one)
    assert outcomes(done) == ["left", "left", "added"]
    assert not done[0].ok
    text = "\n".join(sentences(done))
    assert "it is worked on here as video 1: merge again once it is done" in text
    assert "it is scoring there: let that come to its end, then merge again" in text
    # It was scored to its end: that is not done again.
    assert [record.status for record in await records(here)][1:] == [Status.SCORED]


async def test_what_failed_elsewhere_is_known_here_and_takes_no_place(tmp_path: Path) -> None:
    one = await scored_elsewhere(tmp_path, "one", films.make(tmp_path / "a.mp4", frames=40))
    with sqlite3.connect(one) as db:
        db.execute("UPDATE videos SET status = 'failed', scored_at = NULL, error_kind = 'decode', error = 'cannot'")
    db.close()
    here = config_of(tmp_path / "here")
    assert outcomes(await merged(here, one)) == ["added"]
    (record,) = await records(here)
    assert (record.status, record.error) == (Status.FAILED, "cannot")
    with sqlite3.connect(here.database.path) as db:
        db.execute("UPDATE videos SET status = 'queued', error_kind = NULL, error = NULL")
    db.close()
    assert outcomes(await merged(here, one)) == ["known"]
    assert [record.status for record in await records(here)] == [Status.QUEUED]


async def test_decisions_come_with_the_selection_that_they_are_about(tmp_path: Path) -> None:
    one = await scored_elsewhere(tmp_path, "one", films.make(tmp_path / "a.mp4", frames=40))
    there = config_of(tmp_path / "one")

    async def decide(store: Store) -> Any:
        await store.decisions.decide(1, DecisionKind.PIN, 7)
        await store.decisions.decide(1, DecisionKind.NOTE, None, "the best of all")
        await store.decisions.decide(1, DecisionKind.REJECT, 9)
        return await store.decisions.decided(1)

    expected = await with_store(there, decide)
    here = config_of(tmp_path / "here")
    await once(here, [films.make(tmp_path / "b.mp4", frames=42)])
    await merged(here, one)
    assert await with_store(here, lambda store: store.decisions.decided(2)) == expected


async def test_what_replaced_another_film_still_does(tmp_path: Path) -> None:
    path = films.make(tmp_path / "a.mp4", frames=40)
    await scored_elsewhere(tmp_path, "one", path)
    films.make(path, frames=44)
    one = await scored_elsewhere(tmp_path, "one", path)
    here = config_of(tmp_path / "here")
    await once(here, [films.make(tmp_path / "b.mp4", frames=42)])
    assert outcomes(await merged(here, one)) == ["added", "added"]
    new, old = (await records(here))[1:]
    assert (new.status, old.status, old.replaced_by) == (Status.DONE, Status.REPLACED, new.id)
    assert old.error == f"other content took its place: video {new.id}"
    assert outcomes(await merged(here, one)) == ["known", "known"]


@pytest.mark.parametrize("now", ["there", "here", "neither"])
async def test_of_two_films_of_one_path_the_one_that_is_there_replaces_the_other(tmp_path: Path, now: str) -> None:
    path = films.make(tmp_path / "a.mp4", frames=40)
    one = await scored_elsewhere(tmp_path, "one", path)
    first = (path.read_bytes(), path.stat())
    films.make(path, frames=44)
    here = config_of(tmp_path / "here")
    await once(here, [path])
    if now == "there":
        path.write_bytes(first[0])
        os.utime(path, ns=(first[1].st_atime_ns, first[1].st_mtime_ns))
    elif now == "neither":
        path.unlink()
    await merged(here, one)
    ours, theirs = await records(here)
    expected = {
        "here": (Status.DONE, Status.REPLACED),
        "there": (Status.REPLACED, Status.DONE),
        "neither": (Status.DONE, Status.DONE),
    }
    assert (ours.status, theirs.status) == expected[now]


async def test_copies_that_were_wanted_are_a_film_each(tmp_path: Path) -> None:
    film = films.make(tmp_path / "a.mp4", frames=40)
    copy = tmp_path / "b.mp4"
    shutil.copy(film, copy)
    there = config_of(tmp_path / "one")
    there = there.model_copy(update={"watch": there.watch.model_copy(update={"copies": True})})
    await once(there, [film, copy])
    here = config_of(tmp_path / "here")
    assert outcomes(await merged(here, there.database.path)) == ["added", "added"]
    assert [record.file.path.name for record in await records(here)] == ["a.mp4", "b.mp4"]
    assert outcomes(await merged(here, there.database.path)) == ["known", "known"]


async def test_a_copy_that_was_noted_is_no_film_of_its_own(tmp_path: Path) -> None:
    film = films.make(tmp_path / "a.mp4", frames=40)
    shutil.copy(film, tmp_path / "b.mp4")
    there = config_of(tmp_path / "one")
    await once(there, [film, tmp_path / "b.mp4"])
    assert outcomes(await merged(config_of(tmp_path / "here"), there.database.path)) == ["added", "known"]


async def test_a_database_of_an_older_version_is_read_from_a_copy(tmp_path: Path) -> None:
    older = older_database.make(tmp_path / "older.db")
    older_database.add_film(older, 1, 100, [b"\3" * 40])
    older.close()
    before = hashlib.sha256((tmp_path / "older.db").read_bytes()).digest()
    here = config_of(tmp_path / "here")
    assert outcomes(await merged(here, tmp_path / "older.db")) == ["added"]
    assert hashlib.sha256((tmp_path / "older.db").read_bytes()).digest() == before
    assert len(await with_store(here, lambda store: store.frames.rows(1, range(100)))) == 100


async def test_a_database_that_somebody_writes_to_gives_what_is_committed(tmp_path: Path) -> None:
    one = await scored_elsewhere(tmp_path, "one", films.make(tmp_path / "a.mp4", frames=40))
    there = sqlite3.connect(one, isolation_level=None)
    there.execute("UPDATE videos SET error = 'in the log'")
    there.execute("BEGIN IMMEDIATE")
    there.execute("UPDATE videos SET error = 'not committed'")
    here = config_of(tmp_path / "here")
    try:
        assert outcomes(await merged(here, one)) == ["added"]
    finally:
        there.close()
    assert [record.error for record in await records(here)] == ["in the log"]


async def test_a_film_waits_for_whoever_writes_here_and_a_lock_that_stays_is_said(tmp_path: Path) -> None:
    one = await scored_elsewhere(tmp_path, "one", films.make(tmp_path / "a.mp4", frames=40))
    here = config_of(tmp_path / "here")
    here = here.model_copy(update={"database": here.database.model_copy(update={"busy_seconds": 0.05})})
    await with_store(here, lambda store: store.videos.counts())
    daemon = sqlite3.connect(here.database.path, isolation_level=None)
    daemon.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StillwatchError, match="holds the database locked"):
            await merged(here, one)
    finally:
        daemon.close()
    assert outcomes(await merged(here, one)) == ["added"]


async def test_beside_a_film_that_is_being_scored_nothing_of_either_is_lost(tmp_path: Path) -> None:
    made = [films.make(tmp_path / f"{n}.mp4", frames=30 + n) for n in range(4)]
    one = await scored_elsewhere(tmp_path, "one", *made)
    here = config_of(tmp_path / "here")
    busy = here.database.model_copy(update={"commit_seconds": 0.02})
    daemon = await Store.open(busy)
    try:
        video_id = await daemon.queue.enqueue(FileIdentity(Path("/in/x.mp4"), "f" * 64, 1, 1))
        merging, frame = asyncio.create_task(merged(here, one)), 0
        while not merging.done() or frame <= 10:
            await daemon.frames.add(video_id, [Scored(frame, frame, frame / 25, 1.0, None, f"{frame:040x}")])
            frame += 1
            # While rows only wait the lock is free: whoever waits for it looks every now and then.
            await asyncio.sleep(0.002)
        assert outcomes(await merging) == ["added"] * 4
    finally:
        await daemon.close()
    assert await with_store(here, lambda store: store.frames.hashes(1)) == [f"{n:040x}" for n in range(frame)]
    assert frame > 10
    assert len(await records(here)) == 5


def text(path: Path) -> Path:
    path.write_text("not a database")
    return path


def foreign(path: Path) -> Path:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE films (id INTEGER)")
    db.commit()
    db.close()
    return path


def newer(path: Path) -> Path:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE videos (id INTEGER)")
    db.execute("PRAGMA user_version = 999")
    db.commit()
    db.close()
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (text, "is no database of stillwatch"),
        (foreign, "is no database of stillwatch"),
        (newer, "was written by a newer stillwatch"),
        (pipe, "cannot be read"),
        (lambda path: path, "there is no database"),
        (lambda path: path.parent, "cannot be read"),
        (lambda path: path.parent / "here" / "db.sqlite", "is the database of this configuration itself"),
    ],
)
async def test_what_cannot_be_read_is_said_and_costs_none_of_the_others(
    tmp_path: Path, make: Any, sentence: str
) -> None:
    one = await scored_elsewhere(tmp_path, "one", films.make(tmp_path / "a.mp4", frames=40))
    bad, good = await merged(config_of(tmp_path / "here"), make(tmp_path / "x.db"), one)
    assert sentence in (bad.error or "")
    assert not bad.ok
    assert good.ok


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from daemon.cli.merge import merge
from daemon.config.load import load
from daemon.store.merge import Merge
films = iter(range(100))
def third(*_):
    if next(films) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
put = Merge._put_selections
async def killed(*arguments):
    await put(*arguments)
    third()
if sys.argv[2] == "within":
    Merge._put_selections, on_film = killed, lambda: None
else:
    on_film = third
asyncio.run(merge(load(Path(sys.argv[1])), [Path(sys.argv[3])], {}, on_film))
"""


@pytest.mark.parametrize("where", ["within", "between"])
async def test_after_a_kill_whole_films_are_there_and_the_next_run_goes_on(tmp_path: Path, where: str) -> None:
    made = [films.make(tmp_path / f"{n}.mp4", frames=30 + n) for n in range(5)]
    one = await scored_elsewhere(tmp_path, "one", *made)
    here = config_of(tmp_path / "here")
    settings = tmp_path / "config.yaml"
    settings.write_text(f"output: {{path: {here.output.path}}}\ndatabase: {{path: {here.database.path}}}\n")
    command = [sys.executable, "-c", KILLED, str(settings), where, str(one)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    killed = await asyncio.to_thread(subprocess.run, command, env=environment, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    there = await records(here)
    # Those before are whole; the one that was being written is not there at all.
    assert len(there) == (2 if where == "within" else 3)
    done = await merged(here, one)
    assert outcomes(done) == ["known"] * len(there) + ["added"] * (5 - len(there))
    assert content(here.database.path) == content(one)


def test_no_table_is_forgotten(tmp_path: Path) -> None:
    """A new table needs its place in ``merge``, or beside these."""
    asyncio.run(with_store(config_of(tmp_path), lambda store: store.videos.counts()))
    db = sqlite3.connect(tmp_path / "db.sqlite")
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    db.close()
    by_hand = {"videos", "scorers", "frame_scores", "selections", "stills", "decisions", "sources"}
    assert tables == by_hand | set(COPIED)
