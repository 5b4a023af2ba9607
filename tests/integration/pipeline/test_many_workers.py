"""Rows of many films that come at once from elsewhere are all stored, each once and under its own film."""

from __future__ import annotations

from pathlib import Path

from daemon.model import Status
from tests import cluster_bench, writer_bench

FILMS, FRAMES = 24, 70


async def test_many_films_side_by_side_are_stored_whole(tmp_path: Path) -> None:
    records = writer_bench.looks(64)
    film = cluster_bench.Film.of(FRAMES, 20, records)
    async with cluster_bench.opened_store(tmp_path, FILMS) as (config, store):
        # More than are scored at once: some wait for their turn.
        await cluster_bench.score_films(config, store, cluster_bench.FakeWorkers(film, 0.0), FILMS // 3)
        assert (await store.videos.counts())[Status.SCORED] == FILMS
        expected = writer_bench.rows(FRAMES, records)
        for number in range(1, FILMS + 1):
            rows = await store.frames.rows(number, range(FRAMES))
            features = await store.frames.features_of(number, range(FRAMES))
            assert [(row.frame, row.pts, row.time_s, row.score, row.hash) for row in rows.values()] == [
                (row.frame, row.pts, row.time_s, row.score, row.hash) for row in expected
            ]
            assert features == [row.features for row in expected]
