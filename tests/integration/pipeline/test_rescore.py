"""Every score, of every metric, for ever: scored again beside, chosen by, listed and written side by side."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from daemon.cli.scores import write_scores
from daemon.config.schema import Config
from daemon.config.score import ScoreConfig
from daemon.errors import Kind, ScorerError, StillwatchError, VideoError
from daemon.export import file_names
from daemon.model import Outcome, Picture, Status
from daemon.observe.reports import detail
from daemon.pipeline.rescore import rescore
from daemon.pipeline.reselect import reselect
from daemon.service.foreground import once
from daemon.store.store import Store
from tests import films, older_database
from tests.stub import StubScorer

FRAMES = 24
ROOT = Path(__file__).parents[3]


class Second(StubScorer):
    """Prefers dark pictures; counts what it is asked to score."""

    metric = "piqe"
    identity = "second|1"
    lower_better = True
    scored = 0
    most = 10**9

    def score(self, pictures: Sequence[Picture]) -> list[Outcome]:
        if type(self).scored + len(pictures) > type(self).most:
            raise ScorerError(Kind.DEVICE, "the device has gone: reset it")
        type(self).scored += len(pictures)
        return [Outcome(float(picture[::3, ::5].mean())) for picture in pictures]

    def submit(self, pictures: Sequence[Picture]) -> Callable[[], list[Outcome]]:
        return lambda: self.score(pictures)


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> type[Second]:
    class Fresh(Second):
        pass

    def opened(config: ScoreConfig) -> StubScorer:
        return StubScorer() if config.metric == "niqe" else Fresh()

    for module in ("workers", "refine", "rescore"):
        monkeypatch.setattr(f"daemon.pipeline.{module}.open_scorer", opened)
    return Fresh


@pytest.fixture
async def store(config: Config, second: type[Second], tmp_path: Path) -> AsyncIterator[Store]:
    film = films.make(tmp_path / "film.mkv", codec="ffv1", frames=FRAMES)
    ((record,), _) = await once(config, [film])
    assert record.status is Status.DONE
    opened = await Store.open(config.database)
    yield opened
    await opened.close()


async def by_metric(store: Store, video: str = "1") -> dict[str, tuple[int, bool]]:
    return {one["metric"]: (one["frames"], one["current"]) for one in (await detail(store, video))["scorers"]}


async def test_another_metric_s_scores_stand_beside_the_first_ones(
    config: Config, store: Store, second: type[Second]
) -> None:
    before = await store.frames.rows(1, range(FRAMES))
    selections = await store.queries.selections(1)
    done = await rescore(config, store, "film.mkv", "piqe")
    assert (done.frames, done.fresh, done.differing, second.scored) == (FRAMES, FRAMES, 0, FRAMES)
    assert await store.frames.rows(1, range(FRAMES)) == before
    assert await store.queries.selections(1) == selections
    assert await by_metric(store) == {"stub": (FRAMES, True), "piqe": (FRAMES, False)}
    again = await rescore(config, store, "film.mkv", "piqe")
    assert (again.fresh, second.scored) == (0, FRAMES)


async def test_a_choice_by_the_other_metric_takes_its_best_and_says_so(
    config: Config, store: Store, second: type[Second]
) -> None:
    with pytest.raises(ScorerError, match="there is no metric 'pique'"):
        await reselect(config, store, "1", by="pique")
    with pytest.raises(VideoError, match="has no scores by piqe: `stillwatch rescore 1 --metric piqe` makes them"):
        await reselect(config, store, "1", by="piqe")
    done = await rescore(config, store, "1", "piqe")
    outcomes = await store.scores.outcomes(1, done.scorer)
    await reselect(config, store, "1", by="piqe")
    newest = (await store.queries.selections(1))[-1]
    stills = await store.queries.stills(newest["id"])
    assert stills[0]["score"] == min(one.score for one in outcomes.values() if one.score is not None)
    assert all(one["score"] == outcomes[one["frame"]].score for one in stills)
    assert newest["metric"] == "piqe"
    assert file_names.parse_name(Path(stills[0]["path"]).name).metric == "piqe"
    manifest = json.loads((Path(stills[0]["path"]).parent / "manifest.json").read_text())
    assert manifest["score"] == {"metric": "piqe", "lower_better": True, "scorer": done.scorer}
    # The film's own metric is what it was.
    assert (await store.videos.get(1)).metric == "stub"


async def test_scoring_with_another_metric_keeps_what_the_first_has_said(config: Config, store: Store) -> None:
    """The settings were changed, and the file taken once more."""
    first = {frame: row.score for frame, row in (await store.frames.rows(1, range(FRAMES))).items()}
    scorer = (await store.videos.get(1)).scorer
    other = config.model_copy(update={"score": config.score.model_copy(update={"metric": "piqe"})})
    path = (await store.videos.get(1)).file.path
    await once(other, [path])
    assert await by_metric(store) == {"piqe": (FRAMES, True), "stub": (FRAMES, False)}
    kept = await store.scores.outcomes(1, str(scorer))
    assert {frame: outcome.score for frame, outcome in kept.items()} == first
    # And back again: nothing is scored for it.
    ((record,), _) = await once(config, [path])
    assert record.scorer == scorer
    assert await by_metric(store) == {"stub": (FRAMES, True), "piqe": (FRAMES, False)}


async def test_scores_are_written_side_by_side(config: Config, store: Store) -> None:
    done = await rescore(config, store, "1", "piqe")
    current = (await store.videos.get(1)).scorer
    table, lines = io.StringIO(), io.StringIO()
    assert await write_scores(store, "1", "csv", table) == FRAMES
    assert await write_scores(store, "1", "jsonl", lines) == FRAMES
    rows = list(csv.DictReader(io.StringIO(table.getvalue())))
    assert list(rows[0])[-4:] == ["stub", "stub note", "piqe", "piqe note"]
    stored = await store.frames.rows(1, range(FRAMES))
    others = await store.scores.outcomes(1, done.scorer)
    for row, line in zip(rows, map(json.loads, lines.getvalue().splitlines()), strict=True):
        frame = int(row["frame"])
        assert float(row["stub"]) == stored[frame].score == line["scores"][current]["score"]
        assert float(row["piqe"]) == others[frame].score == line["scores"][done.scorer]["score"]
        assert row["hash"] == stored[frame].hash == line["hash"]


async def test_a_scoring_that_was_stopped_goes_on_and_cannot_be_chosen_by(
    config: Config, store: Store, second: type[Second]
) -> None:
    second.most = 16
    with pytest.raises(StillwatchError):
        # The batch that is refused ends like any failure of a scorer.
        await rescore(config, store, "1", "piqe")
    with pytest.raises(VideoError, match=f"16 of the {FRAMES} frames of video 1 are scored by piqe"):
        await reselect(config, store, "1", by="piqe")
    second.most = 10**9
    done = await rescore(config, store, "1", "piqe")
    assert (done.fresh, second.scored) == (FRAMES - 16, FRAMES)


def test_a_kill_while_a_film_is_scored_again_is_a_resume(tmp_path: Path, config: Config) -> None:
    code = """
import asyncio, os, signal, sys
from pathlib import Path
from daemon.config.schema import Config
from daemon.pipeline import rescore, workers
from daemon.service.foreground import once
from daemon.store.store import Store
from tests.integration.pipeline.test_rescore import Second
from tests.stub import StubScorer

class Killed(Second):
    def score(self, pictures):
        if Killed.scored >= 8:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(pictures)

workers.open_scorer = lambda config: StubScorer()
rescore.open_scorer = lambda config: Killed()
config = Config.model_validate_json(sys.argv[1])

async def work():
    await once(config, [Path(sys.argv[2])])
    store = await Store.open(config.database)
    await rescore.rescore(config, store, "1", "piqe")

asyncio.run(work())
"""
    film = films.make(tmp_path / "film.mkv", codec="ffv1", frames=FRAMES)
    ended = subprocess.run(
        [sys.executable, "-c", code, config.model_dump_json(), str(film)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    with sqlite3.connect(config.database.path) as db:
        scored = dict(db.execute("SELECT metric, COUNT(*) FROM scores GROUP BY metric"))
    db.close()
    assert scored["stub"] == FRAMES
    assert 0 < scored["piqe"] < FRAMES


async def test_frames_that_decode_to_other_pictures_are_not_scored_beside(
    config: Config, store: Store, second: type[Second]
) -> None:
    await store.db.execute("UPDATE decoded_frames SET hash = x'00' WHERE frame IN (3, 4)")
    done = await rescore(config, store, "1", "piqe")
    assert (done.fresh, done.differing, second.scored) == (FRAMES - 2, 2, FRAMES - 2)


async def test_content_that_changed_is_not_scored_beside(config: Config, store: Store) -> None:
    path = (await store.videos.get(1)).file.path
    look = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(look.st_atime_ns, look.st_mtime_ns))
    with pytest.raises(VideoError, match="is not what was scored any more"):
        await rescore(config, store, "1", "piqe")


async def test_a_database_of_version_5_keeps_films_stills_and_manifests_and_gets_a_second_metric(
    tmp_path: Path, config: Config, second: type[Second]
) -> None:
    """Three films that were done before scores stood side by side."""
    paths = [
        films.make(tmp_path / f"film{n}.mkv", codec="ffv1", frames=FRAMES, numbers=range(n * 50, n * 50 + FRAMES))
        for n in range(3)
    ]
    await once(config, paths)
    older_database.lower(config.database.path)
    files = {path: path.read_bytes() for path in config.output.path.rglob("*") if path.is_file()}
    with sqlite3.connect(config.database.path) as db:
        rows = db.execute("SELECT * FROM frames ORDER BY 1, 2").fetchall()
        stills = db.execute("SELECT path, frame, score, sha256 FROM stills ORDER BY 1").fetchall()
        assert db.execute("PRAGMA user_version").fetchone() == (5,)
    db.close()
    assert len(rows) == 3 * FRAMES
    store = await Store.open(config.database)
    try:
        with sqlite3.connect(config.database.path) as db:
            columns = ", ".join(older_database.FRAME_COLUMNS)
            assert db.execute(f"SELECT {columns} FROM frames ORDER BY 1, 2").fetchall() == rows
            assert db.execute("SELECT path, frame, score, sha256 FROM stills ORDER BY 1").fetchall() == stills
        db.close()
        assert {path: path.read_bytes() for path in config.output.path.rglob("*") if path.is_file()} == files
        for number in (1, 2, 3):
            await rescore(config, store, str(number), "piqe")
            table = io.StringIO()
            await write_scores(store, str(number), "csv", table)
            written = list(csv.DictReader(io.StringIO(table.getvalue())))
            assert len(written) == FRAMES
            assert all(row["stub"] and row["piqe"] for row in written)
    finally:
        await store.close()


async def test_two_write_at_once(config: Config, store: Store) -> None:
    """A daemon that scores and a command that scores again share the database."""
    other = await Store.open(config.database)
    try:
        await asyncio.gather(
            rescore(config, store, "1", "piqe"),
            *(other.queue.reset_attempts(1) for _ in range(50)),
        )
    finally:
        await other.close()
    assert (await by_metric(store))["piqe"] == (FRAMES, False)
