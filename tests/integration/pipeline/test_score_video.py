"""A stop that comes while a video is only being opened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon.analysis import measure
from daemon.config.schema import Config
from daemon.config.service import DatabaseConfig
from daemon.inbox import identity
from daemon.job import VideoJob
from daemon.model import Status
from daemon.pipeline.score_video import VideoScorer
from daemon.scan.local import LocalScanner
from daemon.scoring.batcher import Batcher
from daemon.store.store import Store
from tests import films
from tests.stub import StubScorer


def scanner_of(thread: ThreadPoolExecutor) -> LocalScanner:
    return LocalScanner(Config().decode, Config().watch, Batcher(StubScorer(), thread))


async def test_a_video_that_was_just_being_opened_is_given_back(tmp_path: Path) -> None:
    measure.warm_up()  # as the workers do: code that is being compiled cannot be stopped
    film = films.make(tmp_path / "film.mp4", frames=50)
    store = await Store.open(DatabaseConfig(path=tmp_path / "stillwatch.db"))
    try:
        await store.queue.enqueue(identity.fingerprint(film))
        record = await store.queue.claim(Status.QUEUED, Status.SCORING)
        assert record is not None
        scorer = VideoScorer(Config(), store, lambda _: None)
        with ThreadPoolExecutor(1) as thread:
            scanner = scanner_of(thread)
            scanner.stop()
            assert not await scorer.score(VideoJob.of(record, 60.0), scanner)
        assert await store.frames.hashes(record.id) == []
    finally:
        await store.close()


async def test_catching_up_further_than_before_is_progress_and_the_same_again_is_not(tmp_path: Path) -> None:
    """Ends of the process that hit a film while its stored frames are met again are not its doing, unless it stays."""
    measure.warm_up()
    film = films.make(tmp_path / "film.mp4", frames=60)
    store = await Store.open(DatabaseConfig(path=tmp_path / "stillwatch.db"))
    try:
        video_id = await store.queue.enqueue(identity.fingerprint(film))

        async def attempt() -> int:
            """Meet the stored frames again, all but the last, and be ended there."""
            record = await store.queue.claim(Status.QUEUED, Status.SCORING)
            assert record is not None

            class EndedError(Exception):
                pass

            async def end(*_: object, **__: object) -> int:
                raise EndedError

            scorer = VideoScorer(Config(), store, lambda _: None)
            with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as thread:
                patch.setattr(store.frames, "end_scoring", end)
                with pytest.raises(EndedError):
                    await scorer.score(VideoJob.of(record, 60.0), scanner_of(thread))
            await store.flush()
            attempts = (await store.videos.get(video_id)).attempts
            assert await store.queue.recover(5) == (1, 0)
            return attempts

        assert [await attempt() for _ in range(5)] == [1, 1, 2, 3, 4]
    finally:
        await store.close()


async def test_what_is_caught_up_with_counts_only_where_it_is_more(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=3)
    store = await Store.open(DatabaseConfig(path=tmp_path / "stillwatch.db"))
    try:
        video_id = await store.queue.enqueue(identity.fingerprint(film))
        attempts = []
        for frames in (1500, 1500, 1000, 3000):
            await store.queue.claim(Status.QUEUED, Status.SCORING)
            await store.queue.caught_up(video_id, frames)
            attempts.append((await store.videos.get(video_id)).attempts)
            await store.queue.recover(100)
        assert attempts == [1, 2, 3, 1]
    finally:
        await store.close()
