"""From a scored film to its stills: shots, verdicts and reasons in the database, choosing again, a second metric."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.analysis.features import RECORD, VERSION
from daemon.config.load import changed
from daemon.config.output import ExportConfig, OutputConfig
from daemon.config.schema import Config
from daemon.config.score import ScoreConfig
from daemon.config.selection import SelectConfig
from daemon.config.service import DatabaseConfig
from daemon.decode.frames import decode_frames
from daemon.errors import Kind, ScorerError
from daemon.export import ffmpeg_process, metadata
from daemon.inbox import identity
from daemon.job import VideoJob
from daemon.media.rules import PICTURE_RULES
from daemon.model import FileIdentity, Selection, Status, Still, VideoRecord
from daemon.pipeline import refine, select_frames
from daemon.pipeline.export_video import Exported, VideoExporter
from daemon.pipeline.failures import Retry, decide
from daemon.pipeline.reselect import reselect
from daemon.pipeline.score_video import VideoScorer
from daemon.pipeline.select_frames import FrameSelector
from daemon.pipeline.wishes import Wishes
from daemon.runtime import stall
from daemon.runtime.ticking import ticking
from daemon.scan.local import LocalScanner
from daemon.scoring import second_opinion
from daemon.scoring.batcher import Batcher
from daemon.scoring.protocol import Scorer
from daemon.store import feature_blocks
from daemon.store.migrate import SCHEMA_VERSION
from daemon.store.store import Store
from tests import edited, films
from tests.stub import StubScorer

STALL_SECONDS = 60.0


def config_in(folder: Path, **select: Any) -> Config:
    return Config(
        database=DatabaseConfig(path=folder / "stillwatch.db"),
        output=OutputConfig(path=folder / "stills"),
        export=ExportConfig(disk_margin_bytes=0),
        select=SelectConfig(**select),
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(config_in(tmp_path).database)
    yield opened
    await opened.close()


async def score(
    store: Store, config: Config, record: VideoRecord, thread: ThreadPoolExecutor, scorer: Scorer | None = None
) -> bool:
    job = VideoJob.of(record, STALL_SECONDS)
    scanner = LocalScanner(config.decode, config.watch, Batcher(scorer or StubScorer(), thread))
    return await VideoScorer(config, store, lambda _: None).score(job, scanner)


async def scored(store: Store, config: Config, film: Path, scorer: Scorer | None = None) -> VideoRecord:
    video_id = await store.queue.enqueue(identity.fingerprint(film))
    record = await store.queue.claim(Status.QUEUED, Status.SCORING)
    assert record is not None
    with ThreadPoolExecutor(1) as thread:
        assert await score(store, config, record, thread, scorer)
    return await store.videos.get(video_id)


async def finished(store: Store, config: Config, film: Path) -> tuple[VideoRecord, list[Still]]:
    record = await scored(store, config, film)
    capabilities = await ffmpeg_process.probe_binary(ffmpeg_process.find_binary(""))
    exported = await VideoExporter(config, store, capabilities).export(VideoJob.of(record, STALL_SECONDS))
    assert isinstance(exported, Exported)
    return await store.videos.get(record.id), list(exported.stills)


def selector(store: Store, config: Config, record: VideoRecord, refiner: refine.Refiner | None = None) -> FrameSelector:
    return FrameSelector(config, store, VideoJob.of(record, STALL_SECONDS), refiner or refine.Refiner(config, store))


def painted(path: Path, pictures: list[Any]) -> Path:
    """A film of given pictures."""
    height, width = pictures[0].shape[:2]
    return films.make(path, frames=len(pictures), width=width, height=height, painter=lambda n, *_: pictures[n])


def scene(seed: int, shift: int = 0, gain: float = 1.0) -> Any:
    rng = np.random.default_rng(seed)
    layers = [np.kron(rng.integers(10, 120, (9, 40, 3)), np.ones((16, 16, 1)))[:, shift : shift + 256]]
    layers.append(np.kron(rng.integers(0, 60, (36, 64, 3)), np.ones((4, 4, 1))))
    return np.clip(sum(layers) * gain, 0, 255).astype(np.uint8)


def noisy(picture: Any, seed: int) -> Any:
    noise = np.random.default_rng(seed).integers(-3, 4, picture.shape)
    return np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)


def edited_film(path: Path) -> Path:
    """Three scenes of 40 frames with black before, a title between, and the first scene again at the end."""
    black, card = np.zeros((144, 256, 3), np.uint8), np.full((144, 256, 3), 10, np.uint8)
    card[60:80, 40:220:6] = 240
    parts = [[black] * 10, *([noisy(scene(seed), n) for n in range(40)] for seed in (1, 2)), [card] * 20]
    parts += [[noisy(scene(seed), n) for n in range(40)] for seed in (3, 1)]
    return painted(path, [picture for part in parts for picture in part])


def shots_shown(chosen: Selection) -> list[int]:
    return sorted(pick.frame for pick in chosen.picks)


async def test_an_edited_film_is_represented_with_reasons(tmp_path: Path, store: Store) -> None:
    config = config_in(tmp_path, min_gap_seconds=0.5)
    record, stills = await finished(store, config, edited_film(tmp_path / "film.mp4"))
    assert record.status is Status.DONE
    frames = sorted(still.frame for still in stills)
    # Each of the three scenes once; the first is not shown again, nor black or the title.
    assert len(frames) == 3
    assert sum(10 <= frame < 50 or 150 <= frame for frame in frames) == 1
    assert any(50 <= frame < 90 for frame in frames)
    assert any(110 <= frame < 150 for frame in frames)
    (row,) = await store.queries.selections(record.id)
    assert "looks like one of the 3 chosen ones" in row["shortfall"]
    reasons = json.loads(row["reasons"])
    assert reasons["verdicts"]["black"] == 10
    assert reasons["verdicts"]["title"] >= 16
    kinds = [shot["kind"] for shot in await store.queries.shots(record.id)]
    assert kinds.count("shot") == 6
    verdicts = await store.analysis.verdicts(record.id)
    assert sum(verdicts.values()) == record.frames_decoded
    manifest = json.loads(next((tmp_path / "stills").glob("*/manifest.json")).read_text())
    told = [json.loads(still["reason"]) for still in await store.queries.stills(row["id"])]
    assert [still["reason"] for still in manifest["stills"]] == told
    assert all(one["frames"] >= 30 and one["seconds"] > 1 and 0 < one["percentile"] <= 100 for one in told)
    assert manifest["selection"]["reasons"]["shots"] == 6


async def test_a_static_film_gives_few_and_says_why(tmp_path: Path, store: Store) -> None:
    film = painted(tmp_path / "film.mp4", [noisy(scene(1), n) for n in range(120)])
    _, stills = await finished(store, config_in(tmp_path), film)
    assert len(stills) == 1
    (row,) = await store.queries.selections(1)
    assert "looks like the chosen one" in row["shortfall"]


async def test_a_dark_film_gives_its_best(tmp_path: Path, store: Store) -> None:
    pictures = [noisy(scene(seed, gain=0.15), n) for seed in (1, 2, 3) for n in range(40)]
    _, stills = await finished(store, config_in(tmp_path), painted(tmp_path / "film.mp4", pictures))
    assert {still.frame // 40 for still in stills} == {0, 1, 2}


async def test_a_film_of_flat_frames_gives_none_says_why_and_is_done(tmp_path: Path, store: Store) -> None:
    film = painted(tmp_path / "film.mp4", [np.full((144, 256, 3), code, np.uint8) for code in [0, 128, 255] * 10])
    record, stills = await finished(store, config_in(tmp_path), film)
    assert (record.status, stills) == (Status.DONE, [])
    (row,) = await store.queries.selections(record.id)
    assert row["shortfall"].startswith("none of the 30 frames is worth keeping: ")
    assert all(f"10 {word}" in row["shortfall"] for word in ("black", "flat", "white"))


async def test_a_count_of_auto_ends_by_itself(tmp_path: Path, store: Store) -> None:
    config = config_in(tmp_path, count="auto", min_gap_seconds=0.5)
    record, stills = await finished(store, config, edited_film(tmp_path / "film.mp4"))
    (row,) = await store.queries.selections(record.id)
    assert (len(stills), row["requested"], row["shortfall"]) == (3, 0, None)


async def test_with_all_looks_kept_the_same_is_chosen(tmp_path: Path, store: Store) -> None:
    config = config_in(tmp_path, min_gap_seconds=0.5)
    record = await scored(store, config, edited_film(tmp_path / "film.mp4"))
    reading, keeping = selector(store, config, record), selector(store, config, record)
    await keeping.keep_looks()
    for settings in ({}, {"start": 2.0, "end": 6.0}, {"strategy": "poster"}):
        asked = changed(config, "select", settings)
        ones, others = [await one.asked(asked, Wishes()).select() for one in (reading, keeping)]
        assert ones == others
        assert ones.picks


async def test_in_a_film_of_more_shots_than_moments_one_that_comes_back_is_known_by_its_moments(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_in(tmp_path, min_gap_seconds=0.5, strategy="per-shot")
    record = await scored(store, config, edited_film(tmp_path / "film.mp4"))
    usual = await selector(store, config, record).select()
    monkeypatch.setattr(select_frames, "MOST_MOMENTS", 3)
    monkeypatch.setattr(select_frames, "samples", lambda *_: pytest.fail("each shot was looked at"))
    assert await selector(store, config, record).select() == usual
    assert len(usual.picks) == 3


async def test_what_was_said_of_a_choice_is_not_said_of_the_next_one(tmp_path: Path, store: Store) -> None:
    config = config_in(tmp_path, count=40, min_gap_seconds=0.1)
    record = await scored(store, config, edited_film(tmp_path / "film.mp4"))
    crowded = selector(store, config, record)
    told = (await crowded.select()).reasons
    assert {"moment_seconds", "min_difference"} <= told.keys()
    assert (await crowded.select()).reasons == told
    plain = await selector(store, changed(config, "select", {"count": 2}), record).select()
    again = await crowded.asked(changed(config, "select", {"count": 2}), Wishes()).select()
    assert again == plain
    assert not {"moment_seconds", "min_difference"} & again.reasons.keys()


async def test_a_span_and_one_per_shot(tmp_path: Path, store: Store) -> None:
    config = config_in(tmp_path, strategy="per-shot", start=2.0, end=6.0)
    _, stills = await finished(store, config, edited_film(tmp_path / "film.mp4"))
    assert len(stills) == 2
    assert all(2.0 <= still.time_s < 6.0 for still in stills)


async def test_choosing_again_exports_only_what_is_missing(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_in(tmp_path, count=2, min_gap_seconds=0.5)
    record, before = await finished(store, config, edited_film(tmp_path / "film.mp4"))
    kept = {still.path: still.path.read_bytes() for still in before}
    asked: list[frozenset[int] | None] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        asked.append(options.get("wanted"))
        return decode_frames(*arguments, **options)

    exported: list[int] = []
    run = ffmpeg_process.run

    async def watched(capabilities: Any, arguments: Any, *rest: Any) -> Any:
        exported.append(1)
        return await run(capabilities, arguments, *rest)

    monkeypatch.setattr("daemon.scan.local.Decoding", lambda *_: asked.append(None))
    monkeypatch.setattr("daemon.decode.seek.decode_frames", counted)
    monkeypatch.setattr(ffmpeg_process, "run", watched)
    rows = await store.frames.rows(record.id, range(200))
    await reselect(config_in(tmp_path, count=3, min_gap_seconds=0.5), store, str(record.id))
    assert await store.frames.rows(record.id, range(200)) == rows
    # No pass over the film for scores; one run of FFmpeg, for the one new still.
    assert all(wanted is not None and len(wanted) == 1 for wanted in asked)
    assert len(exported) == 1
    # The same file but for what it says of its place among the others: "still 1 of 3".
    assert {path: metadata.remove(path.read_bytes()) for path in kept} == {
        path: metadata.remove(content) for path, content in kept.items()
    }
    first, second = await store.queries.selections(record.id)
    assert (first["chosen"], second["chosen"]) == (2, 3)
    again = await store.queries.stills(second["id"])
    assert {still.frame for still in before} < {still["frame"] for still in again}
    # The same settings once more cut nothing at all.
    await reselect(config_in(tmp_path, count=3, min_gap_seconds=0.5), store, str(record.id))
    assert len(exported) == 1


async def test_a_still_that_was_touched_is_cut_out_again(tmp_path: Path, store: Store) -> None:
    config = config_in(tmp_path, count=2, min_gap_seconds=0.5)
    record, before = await finished(store, config, edited_film(tmp_path / "film.mp4"))
    before[0].path.write_bytes(before[0].path.read_bytes() + b"!")
    await reselect(config, store, str(record.id))
    again = await store.queries.stills((await store.queries.selections(record.id))[-1]["id"])
    assert [still["sha256"] for still in again] == [still.sha256 for still in before]


def keep_features(db: sqlite3.Connection, wanted: Callable[[int], bool]) -> None:
    """Take away the features of all other frames, as if they had never been stored."""
    for video_id, block, packed in db.execute("SELECT video_id, block, packed FROM feature_blocks").fetchall():
        records = feature_blocks.unpack(packed)
        kept = {at: one for at, one in records.items() if wanted(block * feature_blocks.FRAMES + at)}
        db.execute("DELETE FROM feature_blocks WHERE video_id = ? AND block = ?", (video_id, block))
        if kept:
            row = (video_id, block, feature_blocks.pack(kept))
            db.execute("INSERT INTO feature_blocks (video_id, block, packed) VALUES (?, ?, ?)", row)


async def test_frames_without_features_are_chosen_by_score_and_it_is_said(tmp_path: Path, store: Store) -> None:
    config = config_in(tmp_path, count=3)
    record = await scored(store, config, edited_film(tmp_path / "film.mp4"))
    with sqlite3.connect(config.database.path) as other:
        keep_features(other, lambda frame: frame % 2 == 0)
    chosen = await selector(store, config, record).select()
    assert len(chosen.picks) == 3
    assert chosen.reasons["strategy"] == "best"
    assert "95 of 190 frames were scored by a version that kept no features" in chosen.reasons["because"]


async def test_features_are_there_after_a_restart_and_the_same(tmp_path: Path, store: Store) -> None:
    config = config_in(tmp_path)
    record = await scored(store, config, edited_film(tmp_path / "film.mp4"))
    before = [one async for part in store.frames.feature_records(record.id) for one in part]
    assert all(record is not None and len(record) == RECORD.itemsize and record[0] == VERSION for record in before)
    with sqlite3.connect(config.database.path) as other:
        other.execute("DELETE FROM frames WHERE frame >= 70")
        keep_features(other, lambda frame: frame < 70)
        other.execute("UPDATE videos SET status = 'queued'")
    again = await store.queue.claim(Status.QUEUED, Status.SCORING)
    assert again is not None
    with ThreadPoolExecutor(1) as thread:
        assert await score(store, config, again, thread)
    assert [one async for part in store.frames.feature_records(record.id) for one in part] == before


async def test_a_database_of_version_1_is_lifted_in_place(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    with sqlite3.connect(config.database.path) as old:
        old.executescript((files("daemon.store") / "migrations" / "001_initial.sql").read_text())
        old.execute("PRAGMA user_version = 1")
        old.execute(
            "INSERT INTO videos (path, fingerprint, size_bytes, mtime_ns, status, queued_at, lower_better)"
            " VALUES ('/a.mp4', 'f', 1, 1, 'done', 'now', 1)"
        )
        rows = [(1, frame, frame, frame / 25, float(frame % 7), None, "h") for frame in range(100)]
        old.executemany("INSERT INTO frames VALUES (?,?,?,?,?,?,?)", rows)
    old.close()
    store = await Store.open(config.database)
    try:
        chosen = await selector(store, config, await store.videos.get(1)).select()
        assert len(chosen.picks) == 4
        assert "kept no features" in chosen.reasons["because"]
        assert len(await store.frames.hashes(1)) == 100
    finally:
        await store.close()
    with sqlite3.connect(config.database.path) as lifted:
        assert lifted.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    lifted.close()


async def test_a_second_metric_orders_the_shortlist(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures: list[int] = []
    closed = 0

    class Second(StubScorer):
        identity = "second|1"
        metric = "piqe"
        lower_better = True

        def score(self, batch: Any) -> Any:
            pictures.append(len(batch))
            return [replace(one, score=-(one.score or 0.0)) for one in super().score(batch)]

        def close(self) -> None:
            nonlocal closed
            closed += 1

    opened: list[ScoreConfig] = []

    def open_second(config: ScoreConfig) -> Second:
        opened.append(config)
        return Second()

    monkeypatch.setattr(refine, "open_scorer", open_second)
    config = config_in(tmp_path, count=3, min_gap_seconds=0.5)
    record = await scored(store, config, edited_film(tmp_path / "film.mp4"))
    second = config.model_copy(update={"score": ScoreConfig(refine={"metric": "piqe", "share": 0.2})})
    refiner = refine.Refiner(second, store)
    chosen = await selector(store, second, record, refiner).select()
    stored = await store.scores.outcomes(record.id, f"second|1|pictures {PICTURE_RULES}")
    good = (await store.analysis.verdicts(record.id))["good"]
    assert sum(pictures) == len(stored)
    assert 0.2 * good <= len(stored) <= 0.2 * good + 20
    assert [pick.reason.refined for pick in chosen.picks] == [stored[pick.frame].score for pick in chosen.picks]
    rows = await store.frames.rows(record.id, [pick.frame for pick in chosen.picks])
    assert all(rows[pick.frame].score == pick.score for pick in chosen.picks)
    assert opened[0].metric == "piqe"
    # All of it is stored by this very scorer: choosing again scores nothing and gives the same.
    assert await selector(store, second, record, refiner).select() == chosen
    assert sum(pictures) == len(stored)
    assert len(opened) == 1, "kept open from one choice to the next"
    await refiner.close()
    assert closed == 1
    Second.identity = "second|2"
    await selector(store, second, record).select()
    assert sum(pictures) == 2 * len(stored), "scores of another identity are never used"


class Unreliable(StubScorer):
    """A second metric that fails as ``trouble`` says, once."""

    identity, metric, lower_better = "second|1", "piqe", True

    def __init__(self, trouble: Callable[[], None]) -> None:
        self._trouble = trouble

    def score(self, pictures: Any) -> Any:
        self._trouble()
        return super().score(pictures)


def unreliable(monkeypatch: pytest.MonkeyPatch, trouble: Callable[[], None]) -> list[Unreliable]:
    """Makes it the second metric; returns the scorers that are opened."""
    opened: list[Unreliable] = []

    def open_second(_: ScoreConfig) -> Unreliable:
        opened.append(Unreliable(trouble))
        return opened[-1]

    monkeypatch.setattr(refine, "open_scorer", open_second)
    return opened


async def test_a_second_metric_that_hangs_is_given_up(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.scoring.batcher.CLOSE_SECONDS", 0.1)
    release = threading.Event()
    unreliable(monkeypatch, lambda: release.wait(60) and None)
    config = config_in(tmp_path)
    record = await scored(store, config, edited_film(tmp_path / "film.mp4"))
    second = config.model_copy(update={"score": ScoreConfig(refine={"metric": "piqe", "share": 0.2})})
    job = VideoJob.of(record, 0.5)
    try:
        with pytest.raises(ScorerError, match="the scorer gave nothing") as caught:
            await FrameSelector(second, store, job, refine.Refiner(second, store)).select()
    finally:
        release.set()
    assert caught.value.kind is Kind.STUCK
    assert decide(caught.value, record, second.service) == Retry(
        second.service.retry_seconds, attempt_counts=True, then_exit=True
    )


async def test_a_second_metric_that_lost_its_device_is_opened_again_at_the_next_try(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = [ScorerError(Kind.DEVICE, "the device has gone: reset it")]

    def lose() -> None:
        if losses:
            raise losses.pop()

    opened = unreliable(monkeypatch, lose)
    config = config_in(tmp_path, count=3, min_gap_seconds=0.5)
    record = await scored(store, config, edited_film(tmp_path / "film.mp4"))
    second = config.model_copy(update={"score": ScoreConfig(refine={"metric": "piqe", "share": 0.2})})
    refiner = refine.Refiner(second, store)
    with pytest.raises(ScorerError, match="the device has gone"):
        await selector(store, second, record, refiner).select()
    chosen = await selector(store, second, record, refiner).select()
    await refiner.close()
    assert (len(chosen.picks), len(opened)) == (3, 2)


async def test_a_second_metric_that_takes_long_to_load_is_no_hang_of_the_film(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall, "SLICE_SECONDS", 0.01)
    alive, in_time = threading.Event(), []

    def opened(_: ScoreConfig) -> Scorer:
        alive.clear()
        in_time.append(alive.wait(5.0))
        return StubScorer()

    monkeypatch.setattr(refine, "open_scorer", opened)
    config = config_in(tmp_path, count=3, min_gap_seconds=0.5)
    record = await scored(store, config, edited_film(tmp_path / "film.mp4"))
    second = config.model_copy(update={"score": ScoreConfig(refine={"metric": "piqe", "share": 0.2})})
    job = VideoJob.of(record, STALL_SECONDS, alive.set)
    chosen = await FrameSelector(second, store, job, refine.Refiner(second, store)).select()
    assert (len(chosen.picks), in_time) == (3, [True])


async def test_left_to_the_program_the_second_metric_is_the_one_whose_weights_are_here(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_in(tmp_path)
    record = await scored(store, config, edited_film(tmp_path / "film.mp4"))
    auto = config.model_copy(update={"score": ScoreConfig(refine={"metric": "auto", "share": 0.2})})
    monkeypatch.setattr(second_opinion, "PREFERRED", ("topiq_nr", "piqe"))
    monkeypatch.setattr(second_opinion, "usable", lambda: ())
    without = await selector(store, auto, record).select()
    assert without.picks == (await selector(store, config, record).select()).picks
    assert "refined" not in without.reasons
    monkeypatch.setattr(second_opinion, "usable", lambda: ("piqe",))
    opened: list[str] = []
    monkeypatch.setattr(refine, "open_scorer", lambda asked: opened.append(asked.metric) or StubScorer())
    chosen = await selector(store, auto, record).select()
    assert opened == ["piqe"]
    assert chosen.reasons["refined"]["metric"] == chosen.params["refine"]["metric"] == "piqe"


@pytest.mark.model
@pytest.mark.slow
async def test_piqe_over_niqe_without_any_download(tmp_path: Path, store: Store, clips: dict[str, Path]) -> None:
    config = config_in(tmp_path, count=3)
    second = config.model_copy(update={"score": ScoreConfig(refine={"metric": "piqe", "share": 0.02})})
    record = await scored(store, config, clips["bikes.mp4"])
    chosen = await selector(store, second, record).select()
    assert len(chosen.picks) == 3
    assert all(pick.reason.refined is not None for pick in chosen.picks)
    (by,) = [one for one in await store.scores.scorers(record.id) if one.metric == "piqe"]
    assert by.scorer.startswith("piqe|")


def _million(path: Path, count: int) -> None:
    """A scored film of so many frames in shots of four seconds, straight into the tables."""
    rng = np.random.default_rng(1)
    base = rng.integers(20, 200, (count // 100 + 1, *RECORD["thumbnail"].shape), dtype=np.uint8)
    record = np.zeros((), RECORD)
    for name, value in {"mean": 110, "contrast": 50, "low": 10, "high": 235, "plain": 0.05, "blocks": 1.0}.items():
        record[name] = value
    record["version"], record["sharp_x"], record["sharp_y"] = VERSION, 0.02, 0.02
    scores = rng.normal(5, 1, count)
    kinds = rng.random(count) < 0.7

    def blocks() -> Iterator[tuple[int, int, bytes]]:
        blob = b""
        for first in range(0, count, feature_blocks.FRAMES):
            records = {}
            for frame in range(first, min(first + feature_blocks.FRAMES, count)):
                if frame % 100 == 0:
                    record["thumbnail"] = base[frame // 100]
                    blob = record.tobytes()
                records[frame - first] = blob
            yield 1, first // feature_blocks.FRAMES, feature_blocks.pack(records)

    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO scorers (id, identity) VALUES (1, '')")
        db.executemany(
            "INSERT INTO decoded_frames (video_id, frame, pts, time_s, hash, verdict) VALUES (1,?,?,?,x'68',?)",
            ((n, n, n / 25, "good" if kinds[n] else "blur") for n in range(count)),
        )
        db.executemany(
            "INSERT INTO frame_scores (video_id, scorer_id, frame, score) VALUES (1,1,?,?)",
            ((n, float(scores[n])) for n in range(count)),
        )
        db.executemany("INSERT INTO feature_blocks (video_id, block, packed) VALUES (?,?,?)", blocks())
        db.executemany(
            "INSERT INTO shots VALUES (1,?,'shot',?,?)",
            ((n, 100 * n, min(100 * n + 99, count - 1)) for n in range((count + 99) // 100)),
        )
        db.execute("UPDATE videos SET lower_better = 1, judged = ?", (json.dumps(select_frames.settings(Config())),))
    db.close()


@pytest.mark.slow
@pytest.mark.parametrize(("count", "seconds"), [(10_000, 0.2), (1_000_000, 5.0)])
async def test_selecting_is_quick_and_small(tmp_path: Path, store: Store, count: int, seconds: float) -> None:
    """From the stored rows to the picks, the film having been judged; seconds of CPU, which others on the machine do
    not change, and memory, are this process's own, the latter above the start.
    """
    import psutil

    config = config_in(tmp_path)
    await store.queue.enqueue(FileIdentity(Path("/film.mp4"), "f", 1, 1))
    _million(config.database.path, count)
    record = await store.videos.get(1)
    process, peak = psutil.Process(), [0]
    start = process.memory_info().rss

    def look() -> None:
        peak[0] = max(peak[0], process.memory_info().rss - start)

    taken: list[float] = []
    with ticking(0.02, look, "looking"):
        for _ in range(3):
            started = time.process_time()
            chosen = await selector(store, config, record).select()
            taken.append(time.process_time() - started)
    assert len(chosen.picks) == 10
    print(f"{count} frames: {min(taken):.3f} CPU s, {peak[0] / 2**20:.0f} MiB")
    assert min(taken) < seconds
    assert peak[0] < 300 * 2**20


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_twelve_edited_films_of_known_truth(tmp_path: Path) -> None:
    from tests import selection_bench

    tallies = selection_bench.run(selection_bench.clips_in(None), range(1, 13), 10, tmp_path, lambda _: None)
    ours = tallies["representative"]
    assert ours.films == 12
    assert ours.bad <= 0.03 * ours.picks
    assert ours.covered >= 0.95 * ours.films * edited.SHOTS
    # Ten stills of eight shots: of the one that comes back both showings may be among them, and nothing else twice.
    assert ours.doubles <= ours.films
    for other in ("best", "uniform", "ffmpeg thumbnail"):
        assert tallies[other].bad > 5 * ours.bad
        assert tallies[other].covered < ours.covered
