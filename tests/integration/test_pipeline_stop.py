"""A stop that comes while a video is only being opened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from daemon import admit
from daemon.config import Config, DatabaseConfig
from daemon.model import Status
from daemon.pipeline import Pipeline
from daemon.scoring import SharedScorer
from daemon.store import Store
from tests import films
from tests.stub import StubScorer


async def test_a_video_that_was_just_being_opened_is_given_back(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=50)
    store = await Store.open(DatabaseConfig(path=tmp_path / "stillwatch.db"))
    try:
        await store.enqueue(admit.fingerprint(film))
        record = await store.claim(Status.QUEUED, Status.SCORING)
        assert record is not None
        pipeline = Pipeline(Config(), store, lambda _: None)
        pipeline.stop()
        with ThreadPoolExecutor(1) as thread:
            assert not await pipeline.score(record, SharedScorer(StubScorer(), thread))
        assert await store.hashes(record.id) == []
    finally:
        await store.close()
