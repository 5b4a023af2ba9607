"""A stop that comes while a video is only being opened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from daemon.analysis import measure
from daemon.config.schema import Config
from daemon.config.service import DatabaseConfig
from daemon.inbox import identity
from daemon.job import VideoJob
from daemon.model import Status
from daemon.pipeline.score_video import VideoScorer
from daemon.scoring.batcher import Batcher
from daemon.store.store import Store
from tests import films
from tests.stub import StubScorer


async def test_a_video_that_was_just_being_opened_is_given_back(tmp_path: Path) -> None:
    measure.warm_up()  # as the workers do: code that is being compiled cannot be stopped
    film = films.make(tmp_path / "film.mp4", frames=50)
    store = await Store.open(DatabaseConfig(path=tmp_path / "stillwatch.db"))
    try:
        await store.queue.enqueue(identity.fingerprint(film))
        record = await store.queue.claim(Status.QUEUED, Status.SCORING)
        assert record is not None
        scorer = VideoScorer(Config(), store, lambda _: None)
        scorer.stop()
        with ThreadPoolExecutor(1) as thread:
            assert not await scorer.score(VideoJob.of(record, 60.0), Batcher(StubScorer(), thread))
        assert await store.frames.hashes(record.id) == []
    finally:
        await store.close()
