"""The metrics: counted from events, read from the progress, named with their units."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from daemon.events import Ended, FramesScored, Left, Progress, Taken
from daemon.model import FileIdentity, Method, Status, Still, VideoRecord
from daemon.observe.progress_file import ProgressFile
from daemon.observe.prometheus import Metrics
from tests.clock import Clock, clock

__all__ = ["clock"]


@pytest.fixture
async def progress(tmp_path: Path) -> ProgressFile:
    return ProgressFile(tmp_path / "stillwatch.db")


@pytest.fixture
async def metrics(progress: ProgressFile, clock: Clock) -> Metrics:
    return Metrics(progress, monotonic=clock)


def samples(metrics: Metrics, **videos: int) -> dict[str, float]:
    """Every sample of ours, by name and labels."""
    found = {}
    for family in text_string_to_metric_families(metrics.page(videos).decode()):
        for sample in family.samples:
            if sample.name.startswith("stillwatch_") and not sample.name.endswith("_created"):
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def ended(status: Status, kind: str | None = None, stills: int = 0) -> Ended:
    record = VideoRecord(
        id=1, file=FileIdentity(Path("/in/a.mp4"), "f" * 64, 1, 1), status=status, metric=None, lower_better=None,
        scorer=None, info=None, frames_decoded=None, frames_scored=None, damaged=False, mixed=False,
        error_kind=kind, error=kind, attempts=0,
    )  # fmt: skip
    still = Still(1, 1, 0.1, 3.0, Path("/out/a.png"), 8, 8, 100, "0" * 64, Method.BATCH)
    return Ended(record, (still,) * stills)


async def test_the_names_are_a_contract(metrics: Metrics) -> None:
    names = {name.partition("{")[0] for name in samples(metrics)}
    assert names == {
        "stillwatch_frames_scored_total",
        "stillwatch_videos_total",
        "stillwatch_stills_total",
        "stillwatch_queue_videos",
        "stillwatch_decode_queue_bytes",
        "stillwatch_fps",
        "stillwatch_export_seconds_bucket",
        "stillwatch_export_seconds_count",
        "stillwatch_export_seconds_sum",
    }


async def test_every_final_status_is_there_before_it_happens(metrics: Metrics) -> None:
    assert {name: value for name, value in samples(metrics).items() if "videos_total" in name} == {
        f"stillwatch_videos_total{{status={status}}}": 0.0
        for status in ("done", "failed", "rejected", "missing", "replaced")
    }


async def test_frames_videos_stills_and_errors_are_counted(metrics: Metrics) -> None:
    for frames in (8, 3):
        metrics.tell(FramesScored(frames))
    metrics.tell(ended(Status.DONE, stills=3))
    metrics.tell(ended(Status.FAILED, "export"))
    metrics.tell(ended(Status.REJECTED, "duplicate"))
    found = samples(metrics)
    assert found["stillwatch_frames_scored_total"] == 11
    assert found["stillwatch_stills_total"] == 3
    assert found["stillwatch_videos_total{status=rejected}"] == 1
    assert {name for name in found if "errors" in name} == {"stillwatch_errors_total{kind=export}"}


async def test_the_queue_is_what_the_store_counts(metrics: Metrics) -> None:
    assert samples(metrics, queued=7, scored=2, done=100)["stillwatch_queue_videos"] == 7


async def test_speed_and_waiting_bytes_are_those_of_the_progress_file(metrics: Metrics, progress: ProgressFile) -> None:
    progress.tell(Taken(3, "/in/a.mp4", Status.SCORING))
    progress.tell(Progress(3, "/in/a.mp4", 50, 100, 12.5, 4096, 8))
    found = samples(metrics)
    assert (found["stillwatch_fps"], found["stillwatch_decode_queue_bytes"]) == (12.5, 4096)


async def test_an_export_is_timed_and_scoring_is_not(metrics: Metrics, clock: Clock) -> None:
    metrics.tell(Taken(3, "/in/a.mp4", Status.SCORING))
    metrics.tell(Taken(4, "/in/b.mp4", Status.EXPORTING))
    clock.now += 3.0
    metrics.tell(Left(3, Status.SCORING))
    metrics.tell(Left(4, Status.EXPORTING))
    found = samples(metrics)
    assert (found["stillwatch_export_seconds_count"], found["stillwatch_export_seconds_sum"]) == (1, 3.0)
    assert found["stillwatch_export_seconds_bucket{le=2.0}"] == 0
    assert found["stillwatch_export_seconds_bucket{le=5.0}"] == 1


async def test_the_process_itself_is_measured(metrics: Metrics) -> None:
    assert b"process_resident_memory_bytes" in metrics.page({})


async def test_nothing_goes_into_the_global_registry(metrics: Metrics) -> None:
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("stillwatch")]
