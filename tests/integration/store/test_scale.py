"""A store that has grown for months: looking, choosing and writing stay quick."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from daemon.analysis.measure import measure
from daemon.config.schema import Config
from daemon.config.service import DatabaseConfig
from daemon.job import VideoJob
from daemon.model import FileIdentity, Scored
from daemon.pipeline.refine import Refiner
from daemon.pipeline.select_frames import FrameSelector
from daemon.store.store import Store
from tests.acceptance.harness import cli

VIDEOS, FRAMES, LONG = 500, 3_800, 100_000

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def records(count: int) -> list[bytes]:
    """Features of so many different pictures."""
    rng = np.random.default_rng(1)
    return [measure(rng.integers(0, 256, (9, 16, 3), np.uint8).repeat(12, 0).repeat(12, 1)) for _ in range(count)]


def rows(count: int) -> Iterator[list[Scored]]:
    """Batches as the scorer hands them in: a hash as long as a real one, a new view every ten seconds."""
    views = records(97)
    for start in range(0, count, 16):
        yield [
            Scored(n, n * 512, n / 25, 3.0 + (n * 7919 % 10_007) / 1e4, None, f"{n:040x}", views[n // 250 % 97])
            for n in range(start, min(start + 16, count))
        ]


async def test_two_million_frames_slow_nothing_down(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"database: {{path: {tmp_path / 's.db'}}}\n")
    store = await Store.open(DatabaseConfig(path=tmp_path / "s.db"))
    rates: list[float] = []
    try:
        for number in range(VIDEOS):
            count = LONG if number == VIDEOS - 1 else FRAMES
            video_id = await store.queue.enqueue(FileIdentity(Path(f"/in/{number}.mp4"), f"{number:064x}", 1, 1))
            started = time.perf_counter()
            for batch in rows(count):
                await store.frames.add(video_id, batch)
            await store.flush()
            rates.append(count / (time.perf_counter() - started))
        settings = Config.model_validate({"select": {"count": 100}})
        record = await store.videos.get(video_id)
        started = time.perf_counter()
        first = await FrameSelector(settings, store, VideoJob.of(record, 60.0), Refiner(settings, store)).select()
        judging = time.perf_counter() - started
        started = time.perf_counter()
        again = await FrameSelector(settings, store, VideoJob.of(record, 60.0), Refiner(settings, store)).select()
        choosing = time.perf_counter() - started
    finally:
        await store.close()
    looking = min(_seconds_of_status(config) for _ in range(5))
    tenth = VIDEOS // 10
    early, late = sorted(rates[:tenth])[tenth // 2], sorted(rates[-tenth:])[tenth // 2]
    print(
        f"inserts {early:.0f} then {late:.0f} rows/s, choosing {judging:.2f} s, again {choosing:.2f} s, status {looking:.2f} s"
    )
    assert first.picks == again.picks
    assert len(first.picks) > 50
    assert choosing < 2.0
    assert looking < 0.5
    assert late > early * 0.7


def _seconds_of_status(config: Path) -> float:
    started = time.perf_counter()
    assert cli("status", "--config", str(config)).returncode == 0
    return time.perf_counter() - started
