"""A preview follows the settings while they are changed: also for an hour of film, and without asking for a number."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from daemon.analysis.features import unpack
from daemon.analysis.measure import measure
from daemon.config.load import changed
from daemon.config.schema import Config
from daemon.decode.probe import probe
from daemon.inbox.identity import fingerprint
from daemon.model import Scored, Status, VideoRecord
from daemon.store.store import Store
from daemon.web.previews import Previews
from tests import films

HOUR_FRAMES, RATE, SHOT_FRAMES, PICTURES = 90_000, 25, 360, 30
MOST_SECONDS = 0.3
MOST_OF_A_NEW_SPAN_SECONDS = 0.4
"""Wanted is as little as above: with ``auto``, a machine that is busy with other work does not reach it."""


async def _hour(config: Config, store: Store, path: Path) -> int:
    """The id of a film of 250 shots, each of one of a few pictures, which drifts; only its head is on the disk."""
    films.make(path, frames=25)
    video_id = await store.queue.enqueue(fingerprint(path))
    await store.queue.claim(Status.QUEUED, Status.SCORING)
    info = replace(probe(path, config.decode), frame_rate=Fraction(RATE), duration_s=HOUR_FRAMES / RATE)
    await store.frames.begin_scoring(video_id, info, "niqe", True, "made up")
    random = np.random.default_rng(7)
    scenes = random.integers(20, 230, (PICTURES, 9, 16, 3))
    for first in range(0, HOUR_FRAMES, SHOT_FRAMES):
        cells = scenes[random.integers(PICTURES)]
        picture = np.kron(cells, np.ones((20, 20, 1))) + random.normal(0, 12, (180, 320, 3))
        record = unpack([measure(np.clip(picture, 0, 255).astype(np.uint8))]).copy()
        drift = random.normal(0, 0.06, (9, 16, 3))
        rows = []
        for frame in range(first, first + SHOT_FRAMES):
            record["thumbnail"][0] = np.clip(cells + drift * (frame - first), 0, 255)
            score = 4.0 + float(random.normal())
            rows.append(Scored(frame, frame * 512, frame / RATE, score, None, f"{frame:064x}", record.tobytes()))
        await store.frames.add(video_id, rows)
    await store.frames.end_scoring(video_id, frames_decoded=HOUR_FRAMES, damaged=False, mixed=False, damage=None)
    return video_id


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_preview_of_an_hour_takes_less_than_a_third_of_a_second(
    config: Config, store: Store, tmp_path: Path
) -> None:
    """By the processor's time, as others may use the machine; what a preview reads is read when a film is opened."""
    video_id = await _hour(config, store, tmp_path / "hour.mp4")
    record = await store.videos.get(video_id)
    config = changed(config, "select", {"strategy": "representative", "min_gap_seconds": 1.0})
    previews = Previews()
    await previews.prepare(store, config, record)
    # The first look judges the film, and what is known of it is read anew then.
    await previews.prepare(store, config, record)
    for settings in ({"count": "auto"}, {"count": 100}, {"count": "auto", "strategy": "per-shot"}, {"count": 10}):
        others = [{**settings, "min_gap_seconds": gap} for gap in (1.0, 1.5, 2.0)]
        assert await _least(previews, store, config, record, others) < MOST_SECONDS
    # While a span is dragged, each is a new one.
    for settings in ({"count": "auto"}, {"count": 10}, {"count": "auto", "strategy": "poster"}, {"strategy": "even"}):
        others = [{**settings, "start": start, "end": 3590.0 - start} for start in (10.0, 20.0, 30.0, 40.0, 50.0)]
        assert await _least(previews, store, config, record, others) < MOST_OF_A_NEW_SPAN_SECONDS


async def _least(
    previews: Previews, store: Store, config: Config, record: VideoRecord, several: list[dict[str, object]]
) -> float:
    """The processor's time of the quickest of several previews, as others may use the machine."""
    spent, waited = [], []
    for settings in several:
        cpu, wall = time.process_time(), time.monotonic()
        found = await previews.choose(store, changed(config, "select", settings), record, anew=True)
        spent.append(time.process_time() - cpu)
        waited.append(time.monotonic() - wall)
    told = f"{min(spent):.3f} s of the processor, {min(waited):.3f} s until it was there"
    print(f"{several[-1]}: {len(found['picks'])} stills, {told}")
    return min(spent)
