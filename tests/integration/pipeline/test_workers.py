"""What becomes of a video, and of the others, when a device, a decoder, a disk or the database lets it down."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.typing import EventDict

from daemon.analysis.measure import measure
from daemon.config.schema import Config
from daemon.config.score import ScoreConfig
from daemon.decode.probe import probe
from daemon.errors import ExportError, Kind, ScorerError, StillwatchError, StoreError, VideoError
from daemon.events import Event, Heartbeat, Left, Taken, ignore
from daemon.export import disk_space
from daemon.inbox import identity
from daemon.job import VideoJob
from daemon.model import Frame, Outcome, Picture, Status, VideoRecord
from daemon.pipeline import record_failure
from daemon.pipeline.failures import final_status
from daemon.pipeline.workers import Workers, running_workers
from daemon.runtime import stall
from daemon.runtime.cell import Cells
from daemon.runtime.retry import StagePause
from daemon.runtime.tasks import wind_down
from daemon.scan import apart
from daemon.scoring import second_opinion
from daemon.scoring.batcher import DEVICE_LOSSES
from daemon.store.store import Store
from tests import films
from tests.stub import StubScorer

PATIENCE_SECONDS = 60.0


class FragileScorer(StubScorer):
    """Loses its device at the batches that ``losses`` names, counted over all scorers of a test."""

    opened = 0
    batches = 0
    losses: frozenset[int] = frozenset()
    hang: threading.Event | None = None

    def __init__(self) -> None:
        type(self).opened += 1

    def score(self, pictures: Sequence[Picture]) -> list[Outcome]:
        kind = type(self)
        kind.batches += 1
        if kind.hang is not None:
            kind.hang.wait(PATIENCE_SECONDS)
        if kind.batches in kind.losses:
            raise ScorerError(Kind.DEVICE, "the device has gone: reset it")
        return super().score(pictures)


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> type[FragileScorer]:
    class Fresh(FragileScorer):
        pass

    def opened(config: ScoreConfig) -> FragileScorer:
        return Fresh()

    monkeypatch.setattr("daemon.pipeline.workers.open_scorer", opened)
    return Fresh


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.model_validate(
        {
            "output": {"path": tmp_path / "stills"},
            "database": {
                "path": tmp_path / "s.db",
                "busy_seconds": 0.2,
                "commit_seconds": 0.05,
                "disk_margin_bytes": 0,
            },
            "export": {"disk_margin_bytes": 0},
            "select": {"count": 2, "min_gap_seconds": 0.1},
            "service": {
                "poll_seconds": 0.05,
                "pause_seconds": 0.1,
                "retry_seconds": 0.05,
                "stuck_seconds": 30.0,
                "max_attempts": 2,
                "max_retries": 2,
            },
        }
    )


@pytest.fixture
def impatient(config: Config) -> Config:
    """One second without a frame is a hang; what is compiled at first use is compiled before."""
    measure(np.zeros((64, 64, 3), np.uint8))
    return config.model_copy(update={"service": config.service.model_copy(update={"stuck_seconds": 1.0})})


@pytest.fixture
async def store(config: Config) -> AsyncIterator[Store]:
    opened = await Store.open(config.database)
    yield opened
    await opened.close()


@asynccontextmanager
async def working(config: Config, store: Store) -> AsyncIterator[tuple[Workers, list[asyncio.Task[None]]]]:
    async with running_workers(config, store, lambda _: None) as workers:
        tasks = workers.start()
        try:
            yield workers, tasks
        finally:
            workers.stop()
            await wind_down(tasks, 10.0)


async def film(store: Store, folder: Path, name: str = "film.mkv", **options: Any) -> int:
    path = films.make(folder / name, **({"frames": 24, "codec": "ffv1"} | options))
    return await store.queue.enqueue(identity.fingerprint(path))


async def ended(workers: Workers, tasks: list[asyncio.Task[None]], store: Store, *ids: int) -> list[VideoRecord]:
    """The rows of the videos once each has come to its end."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            workers.changed.clear()
            rows = [await store.videos.get(one) for one in ids]
            if all(row.status.final for row in rows):
                return rows
            changed = asyncio.create_task(workers.changed.wait())
            done, _ = await asyncio.wait([changed, *tasks], return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            for task in done - {changed}:
                task.result()


async def said(logged: list[EventDict], event: str) -> EventDict:
    """The first log event of that name, as soon as it is there."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := [one for one in logged if one["event"] == event]):
            await asyncio.sleep(0.01)
    return found[0]


# The device


async def test_a_lost_device_is_opened_again_and_its_video_scored_to_the_end(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], logged: list[EventDict]
) -> None:
    fragile.losses = frozenset({2})
    one = await film(store, tmp_path)
    async with working(config, store) as (workers, tasks):
        (row,) = await ended(workers, tasks, store, one)
    assert (row.status, row.frames_decoded, row.frames_scored, row.attempts) == (Status.DONE, 24, 24, 0)
    assert fragile.opened == 2
    assert [event["losses"] for event in logged if event["event"] == "scorer.lost"] == [1]


async def test_a_device_that_is_lost_again_and_again_ends_the_process(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer]
) -> None:
    fragile.losses = frozenset(range(1, 100))
    ids = [await film(store, tmp_path, f"{n}.mkv", numbers=range(n, n + 24)) for n in range(3)]
    with pytest.raises(ScorerError, match="the device has gone"):
        async with working(config, store) as (workers, tasks):
            await ended(workers, tasks, store, *ids)
    rows = [await store.videos.get(one) for one in ids]
    assert fragile.opened == DEVICE_LOSSES
    assert sum(row.attempts for row in rows) == DEVICE_LOSSES, "the loss counts against the video that met it"
    assert {row.status for row in rows} <= {Status.QUEUED, Status.FAILED}


async def test_an_export_in_between_does_not_hide_that_the_device_is_lost_again_and_again(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer]
) -> None:
    async with working(config, store) as (workers, tasks):
        # Its own loops would take the film before the test does.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        exported = await film(store, tmp_path, "exported.mkv")
        record = await store.queue.claim(Status.QUEUED, Status.SCORING, [exported])
        assert record is not None
        await workers._score(VideoJob.of(record, 30.0))
        workers._batcher._losses = 2
        scored = await store.queue.claim(Status.SCORED, Status.EXPORTING, [exported])
        assert scored is not None
        await workers._turn(VideoJob.of(scored, 30.0), workers._exporting, StagePause("exporting", workers._stop, 0.1))
        assert (await store.videos.get(exported)).status is Status.DONE
        assert workers._batcher._losses == 2


async def test_the_video_that_costs_the_device_each_time_is_set_aside_and_the_others_go_on(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer]
) -> None:
    fragile.losses = frozenset({1, 2})
    slow = config.model_copy(update={"service": config.service.model_copy(update={"retry_seconds": 0.001})})
    bad, good = await film(store, tmp_path, "bad.mkv"), await film(store, tmp_path, "good.mkv", frames=30)
    async with working(slow, store) as (workers, tasks):
        first, second = await ended(workers, tasks, store, bad, good)
    assert sorted([first.status, second.status]) in ([Status.DONE, Status.DONE], [Status.DONE, Status.FAILED])
    assert second.status is Status.DONE


# What hangs


def use_odd_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Films misbehave as their names say."""
    for name in ("CELLS", "AGAIN"):
        monkeypatch.setattr(apart, name, Cells("tests.odd_decode_cell", ring=True, arenas=apart.ARENAS))


@pytest.mark.parametrize("when", ["", "again-"], ids=["scoring", "export"])
async def test_a_file_that_hangs_the_decoder_is_set_aside_and_the_next_is_done(
    impatient: Config,
    store: Store,
    tmp_path: Path,
    fragile: type[FragileScorer],
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    use_odd_decoders(monkeypatch)
    # A second try of the export might not need the decoder: what it was to prove, the other film has proven by then.
    once_only = impatient.model_copy(update={"service": impatient.service.model_copy(update={"max_attempts": 1})})
    bad, good = await film(store, tmp_path, f"{when}hangs.mkv"), await film(store, tmp_path, "good.mkv", frames=30)
    async with working(once_only, store) as (workers, tasks):
        first, second = await ended(workers, tasks, store, bad, good)
    assert (first.status, first.error_kind) == (Status.FAILED, Kind.STUCK)
    assert "service.stuck_seconds" in str(first.error)
    assert second.status is Status.DONE


@pytest.mark.parametrize("when", ["", "again-"], ids=["scoring", "export"])
@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("crashes", Kind.DECODE, "crashed the process that does so (SIGSEGV)"),
        ("killed", Kind.OUT_OF_MEMORY, "ended by SIGKILL"),
        ("hungry", Kind.TOO_LARGE, "decode.memory_bytes"),
        ("lies", Kind.DECODE, "no frame"),
        ("endless", Kind.DECODE, "crashed the process that does so"),
        ("greedy", Kind.DECODE, "memory again and again"),
        ("fails", Kind.INTERNAL, "RuntimeError: a mistake"),
    ],
)
async def test_a_decoder_that_ends_costs_its_film_and_nothing_else(
    config: Config,
    store: Store,
    tmp_path: Path,
    fragile: type[FragileScorer],
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    name: str,
    kind: Kind,
    says: str,
) -> None:
    use_odd_decoders(monkeypatch)
    once_only = config.model_copy(update={"service": config.service.model_copy(update={"max_retries": 0})})
    bad, good = await film(store, tmp_path, f"{when}{name}.mkv"), await film(store, tmp_path, "good.mkv", frames=30)
    async with working(once_only, store) as (workers, tasks):
        first, second = await ended(workers, tasks, store, bad, good)
    assert (first.error_kind, second.status, second.frames_scored) == (kind, Status.DONE, 30)
    assert (first.frames_scored is None) is (when == "")
    assert first.status is final_status(kind)
    assert says in str(first.error)


async def test_a_film_that_gets_further_than_the_last_time_is_no_suspect(
    config: Config, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three power failures, or another film that kills the process, must not set a long one aside."""
    one = await film(store, tmp_path)
    other = await film(store, tmp_path, "other.mkv", numbers=range(1, 25))
    for _ in range(2):
        await store.queue.claim(Status.QUEUED, Status.SCORING, [one])
        await store.queue.recover(max_attempts=9)
    forgiven: list[tuple[int, int]] = []
    reset_attempts = store.queue.reset_attempts

    async def noted(video_id: int) -> None:
        before = (await store.videos.get(video_id)).attempts
        await reset_attempts(video_id)
        forgiven.append((before, (await store.videos.get(video_id)).attempts))

    monkeypatch.setattr(store.queue, "reset_attempts", noted)
    async with working(config, store) as (workers, tasks):
        await ended(workers, tasks, store, one, other)
    assert forgiven == [(3, 1)], "once, and not for a film that was never under suspicion"


async def test_a_film_that_is_tried_alone_shares_no_moment_with_another(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer]
) -> None:
    """Two were worked on whenever the process was killed; two more wait."""
    ids = [await film(store, tmp_path, f"{n}.mkv", numbers=range(n, n + 24)) for n in range(4)]
    for _ in range(2):
        for one in ids[:2]:
            assert await store.queue.claim(Status.QUEUED, Status.SCORING, [one])
        assert await store.queue.recover(max_attempts=2) == (2, 0)
    two = config.model_copy(update={"decode": config.decode.model_copy(update={"concurrency": 2})})
    held: set[int] = set()
    company: dict[int, set[int]] = {one: set() for one in ids}
    order: list[int] = []

    def noted(event: Event) -> None:
        if isinstance(event, Taken):
            order.append(event.video_id)
            held.add(event.video_id)
            for one in held:
                company[one] |= held - {one}
        elif isinstance(event, Left):
            held.discard(event.video_id)

    async with running_workers(two, store, noted) as workers:
        tasks = workers.start()
        try:
            rows = await ended(workers, tasks, store, *ids)
        finally:
            workers.stop()
            await wind_down(tasks, 10.0)
    assert [(row.status, row.attempts, row.error_kind) for row in rows] == [(Status.DONE, 0, None)] * 4
    assert company[ids[2]] == {ids[3]}, "what is not under suspicion is worked on side by side"
    assert company[ids[0]] == set()
    assert order.index(ids[0]) > max(order.index(one) for one in ids[2:])


async def test_a_folder_elsewhere_that_is_away_holds_up_nobody_but_its_own_film(
    config: Config, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film that was named by hand once, in a folder that this daemon may not list."""
    ids = [await film(store, tmp_path, f"{n}.mkv", numbers=range(n, n + 24)) for n in range(3)]

    def away(path: Path, config: Any, **_: Any) -> Any:
        if path.name != "2.mkv":
            raise VideoError(Kind.UNREADABLE, "the file cannot be read")
        return probe(path, config)

    monkeypatch.setattr("daemon.scan.local.probe_apart", away)
    scandir = os.scandir

    def not_listed(path: Any) -> Any:
        if str(path) == str(tmp_path):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", not_listed)
    once_more = config.model_copy(update={"service": config.service.model_copy(update={"max_retries": 0})})
    async with working(once_more, store) as (workers, tasks):
        rows = await ended(workers, tasks, store, *ids)
    assert [(row.status, row.error_kind) for row in rows] == [
        (Status.FAILED, Kind.UNREADABLE),
        (Status.FAILED, Kind.UNREADABLE),
        (Status.DONE, None),
    ]


async def test_a_film_that_is_renamed_while_it_is_worked_on_needs_no_copy(
    config: Config, store: Store, tmp_path: Path
) -> None:
    one = await film(store, tmp_path, "a.mkv")
    record = await store.videos.get(one)
    copy = tmp_path / "b.mkv"
    copy.write_bytes(record.file.path.read_bytes())
    noted = await store.queue.refuse(
        identity.fingerprint(copy), Status.REJECTED, VideoError(Kind.DUPLICATE, "the same content is known")
    )
    renamed = record.file.path.rename(tmp_path / "c.mkv")
    claimed = await store.queue.claim(Status.QUEUED, Status.SCORING, [one])
    assert claimed is not None
    await store.videos.relocate(one, identity.fingerprint(renamed))
    async with working(config, store) as (workers, _):
        await workers._turn(VideoJob.of(claimed, 30.0), workers._scoring, StagePause("scoring", workers._stop, 0.1))
        assert (await store.videos.get(one)).status is Status.MISSING
        assert (await store.videos.get(noted)).status is Status.REJECTED


async def test_a_cancellation_while_an_error_is_dealt_with_leaves_nothing_claimed(
    config: Config, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await film(store, tmp_path)
    entered = asyncio.Event()

    async def dealing(*_: Any) -> Any:
        entered.set()
        await asyncio.Event().wait()

    async def broken(_: VideoJob) -> None:
        raise VideoError(Kind.DECODE, "no")

    claimed = await store.queue.claim(Status.QUEUED, Status.SCORING, [one])
    assert claimed is not None
    async with working(config, store) as (workers, _):
        monkeypatch.setattr(record_failure, "fail", dealing)
        stage, pause = replace(workers._scoring, run=broken), StagePause("scoring", workers._stop, 0.1)
        task = asyncio.create_task(workers._turn(VideoJob.of(claimed, 30.0), stage, pause))
        await asyncio.wait_for(entered.wait(), PATIENCE_SECONDS)
        workers._stop.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        row = await store.videos.get(one)
        assert (row.status, row.attempts) == (Status.QUEUED, 0)


async def test_damage_that_only_the_export_shows_is_scored_again_with_one_thread(
    config: Config, store: Store, tmp_path: Path, logged: list[EventDict]
) -> None:
    """Frame threads may give other planes than one thread does, without a word: here a stored hash stands for it."""
    one = await film(store, tmp_path)
    async with working(config, store) as (workers, tasks):
        await ended(workers, tasks, store, one)
    right = await store.frames.hashes(one)
    picked = (await store.queries.stills(1))[0]["frame"]
    async with store.writing() as db:
        await db.execute("UPDATE frames SET hash = 'other' WHERE frame = ?", (picked,))
        await db.execute("DELETE FROM stills")
    await store.queue.set_status(one, Status.SCORED)
    async with working(config, store) as (workers, tasks):
        (row,) = await ended(workers, tasks, store, one)
    assert (row.status, row.damaged, row.frames_scored) == (Status.DONE, True, 24)
    assert await store.frames.hashes(one) == right
    assert picked in {still["frame"] for still in await store.queries.stills(2)}
    (said_so,) = [event for event in logged if event["event"] == "video.damaged"]
    assert said_so["action"] == "scoring again with one thread"


async def test_a_film_whose_stills_cannot_be_proven_has_failed_and_is_not_done_without_any(
    config: Config, store: Store, tmp_path: Path
) -> None:
    one = await film(store, tmp_path, frames=3)
    async with working(config, store) as (workers, tasks):
        await ended(workers, tasks, store, one)
    async with store.writing() as db:
        await db.execute("UPDATE frames SET hash = 'other'")
        await db.execute("DELETE FROM stills")
        # As for a film that was scored with one thread: nothing more can be tried.
        await db.execute("UPDATE videos SET damaged = 1")
    await store.queue.set_status(one, Status.SCORED)
    async with working(config, store) as (workers, tasks):
        (row,) = await ended(workers, tasks, store, one)
    assert (row.status, row.error_kind) == (Status.FAILED, Kind.UNPROVEN)


async def test_a_decoder_that_is_only_slow_is_waited_for(
    impatient: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_odd_decoders(monkeypatch)
    one = await film(store, tmp_path, "slow.mkv", frames=10)
    async with working(impatient, store) as (workers, tasks):
        (row,) = await ended(workers, tasks, store, one)
    assert (row.status, row.frames_scored) == (Status.DONE, 10), "a batch of 8 took three times stuck_seconds"


async def test_a_scorer_that_takes_long_to_load_again_is_no_hang_of_the_film(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is loaded until the film has shown a sign of life: whoever watches the stage sees that it is no hang."""
    fragile.losses = frozenset({2})
    monkeypatch.setattr(stall, "SLICE_SECONDS", 0.01)
    alive, in_time = threading.Event(), []

    def opened(_: ScoreConfig) -> FragileScorer:
        if fragile.opened:
            alive.clear()
            in_time.append(alive.wait(5.0))
        return fragile()

    monkeypatch.setattr("daemon.pipeline.workers.open_scorer", opened)
    one = await film(store, tmp_path)
    async with running_workers(
        config, store, lambda event: alive.set() if isinstance(event, Heartbeat) else None
    ) as workers:
        tasks = workers.start()
        try:
            (row,) = await ended(workers, tasks, store, one)
        finally:
            workers.stop()
            await wind_down(tasks, 10.0)
    assert (row.status, in_time) == (Status.DONE, [True])


async def test_a_scorer_that_hangs_ends_the_process_and_costs_the_video_an_attempt(
    impatient: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.scoring.batcher.CLOSE_SECONDS", 0.1)
    fragile.hang = threading.Event()
    one = await film(store, tmp_path)
    try:
        with pytest.raises(ScorerError, match="the scorer gave nothing"):
            async with working(impatient, store) as (workers, tasks):
                await ended(workers, tasks, store, one)
    finally:
        fragile.hang.set()
    row = await store.videos.get(one)
    assert (row.status, row.attempts) == (Status.QUEUED, 1)


async def test_a_second_metric_that_hangs_ends_the_process_too(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: Any) -> Any:
        raise ScorerError(Kind.STUCK, "the scorer gave nothing for 1 s")

    monkeypatch.setattr("daemon.pipeline.refine.Refiner.refine", hang)
    refine = config.score.refine.model_copy(update={"metric": "piqe"})
    second = config.model_copy(update={"score": config.score.model_copy(update={"refine": refine})})
    one = await film(store, tmp_path)
    with pytest.raises(ScorerError, match="the scorer gave nothing"):
        async with working(second, store) as (workers, tasks):
            await ended(workers, tasks, store, one)
    row = await store.videos.get(one)
    assert (row.status, row.attempts) == (Status.SCORED, 1)


# What may pass


async def test_a_cause_that_passes_is_tried_again_and_leaves_no_trace(
    config: Config,
    store: Store,
    tmp_path: Path,
    fragile: type[FragileScorer],
    logged: list[EventDict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing = fail_times(monkeypatch, 2, ExportError(Kind.EXPORT, "ffmpeg was killed: look at the memory"))
    one = await film(store, tmp_path)
    async with working(config, store) as (workers, tasks):
        (row,) = await ended(workers, tasks, store, one)
    assert failing == []
    assert (row.status, row.error, row.error_kind, row.retries) == (Status.DONE, None, None, 0)
    assert [e["again_in_s"] for e in logged if e["event"] == "video.postponed"] == [0.05, 0.1]
    assert fragile.batches == 3, "the frames were scored once"


async def test_what_does_not_pass_fails_with_its_own_reason(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_times(monkeypatch, 9, ExportError(Kind.EXPORT, "ffmpeg was killed: look at the memory"))
    one = await film(store, tmp_path)
    async with working(config, store) as (workers, tasks):
        (row,) = await ended(workers, tasks, store, one)
    assert (row.status, row.error_kind, row.retries) == (Status.FAILED, Kind.EXPORT, config.service.max_retries)
    assert row.error == "ffmpeg was killed: look at the memory"


async def test_what_can_not_pass_is_not_tried_again(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = fail_times(monkeypatch, 9, ExportError(Kind.UNPROVEN, "no still was proven: retry"))
    one = await film(store, tmp_path)
    async with working(config, store) as (workers, tasks):
        (row,) = await ended(workers, tasks, store, one)
    assert (row.status, row.error_kind, len(left)) == (Status.FAILED, Kind.UNPROVEN, 8)


async def test_a_clock_that_was_set_back_keeps_no_video_waiting(config: Config) -> None:
    now = ["2030-01-01T00:00:00.000+00:00"]
    store = await Store.open(config.database, clock=lambda: now[0])
    try:
        one = await store.queue.enqueue(identity.FileIdentity(Path("/in/a.mp4"), "a" * 64, 1, 1))
        record = await store.queue.claim(Status.QUEUED, Status.SCORING)
        assert record is not None
        error = ExportError(Kind.EXPORT, "later")
        await store.queue.postpone(one, Status.QUEUED, error, 60.0, attempt_counts=False)
        assert await store.queue.claim(Status.QUEUED, Status.SCORING) is None
        now[0] = "2026-01-01T00:00:00.000+00:00"
        assert await store.queue.claim(Status.QUEUED, Status.SCORING) is not None
    finally:
        await store.close()


# A full disk


async def test_a_full_output_disk_pauses_the_export_and_goes_on_when_there_is_room(
    config: Config,
    store: Store,
    tmp_path: Path,
    fragile: type[FragileScorer],
    logged: list[EventDict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = shutil.disk_usage(tmp_path)
    free = [0]
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: usage._replace(free=free[0]))
    one = await film(store, tmp_path)
    two = await film(store, tmp_path, "second.mkv", frames=30)
    async with working(config, store) as (workers, tasks):
        paused = await said(logged, "service.paused")
        while (await store.videos.get(two)).status is not Status.SCORED:
            await asyncio.sleep(0.01)
        free[0] = usage.total
        rows = await ended(workers, tasks, store, one, two)
    assert (paused["stage"], paused["error_kind"]) == ("exporting", "disk_full")
    assert [(row.status, row.attempts, row.retries) for row in rows] == [(Status.DONE, 0, 0)] * 2
    assert [event["event"] for event in logged].count("service.paused") == 1, "said once"
    assert "service.resumed" in [event["event"] for event in logged]


async def test_a_video_that_needs_more_room_than_there_is_lets_the_others_go_first(
    config: Config,
    store: Store,
    tmp_path: Path,
    fragile: type[FragileScorer],
    logged: list[EventDict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = disk_space.require

    def require(folder: Path, need: disk_space.Need, margin_bytes: int) -> None:
        if need.final_bytes > 500_000:
            raise ExportError(Kind.DISK_FULL, "this one does not fit: make room")
        real(folder, need, margin_bytes)

    monkeypatch.setattr(disk_space, "require", require)
    large = await film(store, tmp_path, "large.mkv", width=640, height=480)
    small = await film(store, tmp_path, "small.mkv", frames=30)
    async with working(config, store) as (workers, tasks):
        (row,) = await ended(workers, tasks, store, small)
        waiting = await store.videos.get(large)
    assert row.status is Status.DONE
    assert (waiting.status.final, waiting.retries) == (False, 0)


async def test_whoever_waits_in_the_foreground_is_told_instead(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_times(monkeypatch, 99, ExportError(Kind.DISK_FULL, "the disk is full: make room"))
    one = await film(store, tmp_path)
    async with running_workers(config, store, ignore, among=[one]) as workers:
        tasks = workers.start()
        with pytest.raises(ExportError, match="make room"):
            await ended(workers, tasks, store, one)
        workers.stop()
        await wind_down(tasks, 10.0)
    row = await store.videos.get(one)
    assert (row.status, row.attempts, row.retries) == (Status.SCORED, 0, 0)


async def test_a_new_start_and_a_retry_do_not_wait_for_the_next_try(
    config: Config, store: Store, tmp_path: Path
) -> None:
    one = await film(store, tmp_path)
    for hurry in (lambda: store.queue.requeue([one]), lambda: store.queue.recover(3)):
        record = await store.queue.claim(Status.QUEUED, Status.SCORING)
        assert record is not None
        await store.queue.postpone(one, Status.QUEUED, ExportError(Kind.EXPORT, "no"), 3000.0, attempt_counts=False)
        assert await store.queue.claim(Status.QUEUED, Status.SCORING) is None
        await hurry()
        assert await store.queue.claim(Status.QUEUED, Status.SCORING) is not None
        await store.queue.release(one, Status.QUEUED)


async def test_a_stop_in_the_middle_of_a_slow_decode_gives_the_video_back(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancelled step still runs on its thread when the generator is to be closed."""
    use_odd_decoders(monkeypatch)
    going = threading.Event()
    real = apart.Decoding.frames

    def frames(self: apart.Decoding[Any]) -> Iterator[Frame]:
        if not self._work.compiled:
            going.set()
        yield from real(self)

    monkeypatch.setattr(apart.Decoding, "frames", frames)
    one = await film(store, tmp_path, "again-hangs.mkv")
    async with running_workers(config, store, ignore) as workers:
        tasks = workers.start()
        await asyncio.to_thread(going.wait, PATIENCE_SECONDS)
        workers.stop()
        await wind_down(tasks, 0.1)
    row = await store.videos.get(one)
    assert (row.status, row.error, row.attempts) == (Status.SCORED, None, 0)


async def test_a_second_metric_that_does_not_exist_stops_the_start(
    config: Config, store: Store, fragile: type[FragileScorer]
) -> None:
    score = config.score.model_copy(update={"refine": config.score.refine.model_copy(update={"metric": "nosuch"})})
    with pytest.raises(ScorerError, match="nosuch"):
        async with running_workers(config.model_copy(update={"score": score}), store, ignore):
            pass


@pytest.mark.parametrize("here", [(), ("piqe",)], ids=["no weights are here", "one metric is here"])
async def test_a_second_metric_that_is_left_to_the_program_stops_no_start(
    config: Config, store: Store, fragile: type[FragileScorer], monkeypatch: pytest.MonkeyPatch, here: tuple[str, ...]
) -> None:
    monkeypatch.setattr(second_opinion, "PREFERRED", ("topiq_nr", "piqe"))
    monkeypatch.setattr(second_opinion, "usable", lambda: here)
    score = config.score.model_copy(update={"refine": config.score.refine.model_copy(update={"metric": "auto"})})
    async with running_workers(config.model_copy(update={"score": score}), store, ignore):
        pass


async def test_a_full_database_disk_pauses_the_scoring_and_loses_nothing(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], logged: list[EventDict]
) -> None:
    """SQLite's own limit of pages gives SQLite's own error."""
    one = await film(store, tmp_path, frames=1500, width=64, height=64)
    (pages,) = await (await store.db.execute("PRAGMA page_count")).fetchone() or (0,)
    await store.db.execute(f"PRAGMA max_page_count = {pages + 4}")
    async with working(config, store) as (workers, tasks):
        assert (await said(logged, "service.paused"))["error_kind"] == "disk_full"
        await store.db.execute("PRAGMA max_page_count = 1000000")
        (row,) = await ended(workers, tasks, store, one)
    assert (row.status, row.frames_decoded, row.frames_scored, row.attempts) == (Status.DONE, 1500, 1500, 0)
    table = await store.frames.table(one)
    assert table.frame.tolist() == list(range(1500))


async def test_another_program_that_holds_the_database_is_waited_for(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], logged: list[EventDict]
) -> None:
    one = await film(store, tmp_path)
    other = sqlite3.connect(config.database.path, isolation_level=None)
    try:
        async with working(config, store) as (workers, tasks):
            other.execute("BEGIN IMMEDIATE")
            workers.wake()
            paused = await said(logged, "service.paused")
            other.execute("ROLLBACK")
            (row,) = await ended(workers, tasks, store, one)
    finally:
        other.close()
    assert paused["error_kind"] == "busy"
    assert (row.status, row.frames_scored) == (Status.DONE, 24)


async def test_a_database_that_is_broken_ends_the_process(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await film(store, tmp_path)

    async def broken(*_: Any) -> None:
        raise StoreError(Kind.DATABASE, "the database refuses this")

    monkeypatch.setattr(store.frames, "begin_scoring", broken)
    with pytest.raises(StoreError, match="refuses"):
        async with working(config, store) as (workers, tasks):
            await ended(workers, tasks, store, one)


@pytest.mark.parametrize("stage", ["paused", "idle", "postponed"])
async def test_a_stop_is_quick_while_nothing_can_be_done(
    config: Config, store: Store, tmp_path: Path, fragile: type[FragileScorer], logged: list[EventDict], stage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    long = {"pause_seconds": 600.0, "retry_seconds": 600.0, "poll_seconds": 60.0}
    patient = config.model_copy(update={"service": config.service.model_copy(update=long)})
    if stage != "idle":
        kind = Kind.DISK_FULL if stage == "paused" else Kind.EXPORT
        fail_times(monkeypatch, 1, ExportError(kind, "not now"))
        await film(store, tmp_path)
    async with running_workers(patient, store, lambda _: None) as workers:
        tasks = workers.start()
        await (
            said(logged, f"{'service' if stage == 'paused' else 'video'}.{stage}")
            if stage != "idle"
            else asyncio.sleep(0)
        )
        workers.stop()
        async with asyncio.timeout(5.0):
            await asyncio.gather(*tasks)


def fail_times(monkeypatch: pytest.MonkeyPatch, times: int, error: StillwatchError) -> list[StillwatchError]:
    """Let the export fail so often; returns the failures that are still to come."""
    from daemon.export.exporter import Exporter

    left = [error] * times
    real: Callable[..., Any] = Exporter.preflight

    def preflight(self: Exporter, stills: int) -> None:
        if left:
            raise left.pop()
        real(self, stills)

    monkeypatch.setattr(Exporter, "preflight", preflight)
    return left


def test_words_of_ffmpeg_about_a_full_disk_are_understood(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        disk_space.refuse_full(tmp_path, "av_interleaved_write_frame(): No space left on device")
    assert caught.value.kind is Kind.DISK_FULL
    disk_space.refuse_full(tmp_path, "Invalid data found")


@pytest.mark.parametrize(("number", "kind"), [(28, Kind.DISK_FULL), (122, Kind.DISK_FULL), (13, Kind.EXPORT)])
def test_what_the_system_says_while_writing_becomes_a_kind(tmp_path: Path, number: int, kind: Kind) -> None:
    with pytest.raises(ExportError) as caught, disk_space.writing(tmp_path):
        raise OSError(number, os.strerror(number))
    assert caught.value.kind is kind
