"""A finished film with made-up scores, and the review application that shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from daemon.analysis.measure import measure
from daemon.config.load import load
from daemon.config.schema import Config
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.export.ffmpeg_process import find_binary, probe_binary
from daemon.inbox.identity import fingerprint
from daemon.job import VideoJob
from daemon.model import Scored, Status
from daemon.pipeline.export_video import VideoExporter
from daemon.pipeline.strip import keep_pictures
from daemon.store.store import Store
from daemon.web.guard import Secrets
from daemon.web.review import application, new_context
from tests import films
from tests.integration.web.client import Client


@pytest.fixture
def config(tmp_path: Path) -> Config:
    base = load(None)
    return base.model_copy(
        update={
            "database": base.database.model_copy(update={"path": tmp_path / "s.db"}),
            "output": base.output.model_copy(update={"path": tmp_path / "stills"}),
            # The texture of these films looks the same throughout.
            "select": base.select.model_copy(update={"strategy": "best", "count": 3, "min_gap_seconds": 0.2}),
            "export": base.export.model_copy(update={"disk_margin_bytes": 0}),
        }
    )


@pytest.fixture
async def store(config: Config) -> AsyncIterator[Store]:
    opened = await Store.open(config.database)
    yield opened
    await opened.close()


async def finished_film(config: Config, store: Store, path: Path, frames: int = 60) -> int:
    """A film on the disk that was scored (by a made-up metric), judged, chosen from and exported; its id."""
    films.make(path, frames=frames)
    file = fingerprint(path)
    video_id = await store.queue.enqueue(file)
    await store.queue.claim(Status.QUEUED, Status.SCORING)
    info = probe(path, config.decode)
    await store.frames.begin_scoring(video_id, info, "niqe", True, "made up")
    decoded = list(decode_frames(info, config.decode, DecodeReport(), single_thread=True))
    await store.frames.add(
        video_id,
        [
            Scored(
                frame.index, frame.pts, frame.time_s, 4.0 + float(np.sin(frame.index / 5)), None, frame.hash,
                None if frame.picture is None else measure(frame.picture),
            )
            for frame in decoded
        ],
    )  # fmt: skip
    await keep_pictures(store, video_id, decoded)
    await store.frames.end_scoring(video_id, frames_decoded=len(decoded), damaged=False, mixed=False, damage=None)
    record = await store.queue.claim(Status.SCORED, Status.EXPORTING)
    assert record is not None
    exporter = VideoExporter(config, store, await probe_binary(find_binary(config.export.ffmpeg)))
    await exporter.export(VideoJob.of(record, 60))
    await exporter.close()
    return video_id


@pytest.fixture
async def film(config: Config, store: Store, tmp_path: Path) -> int:
    """The id of a finished film of 60 frames."""
    return await finished_film(config, store, tmp_path / "film.mp4")


@pytest.fixture
def client(config: Config, store: Store) -> Client:
    secrets = Secrets()
    return Client(application(new_context(config, store, secrets)), secrets)
