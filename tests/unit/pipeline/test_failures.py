"""What becomes of a video after an error: the table of decisions."""

from __future__ import annotations

import pytest

from daemon.config.service import ServiceConfig
from daemon.errors import ExportError, Kind, ScorerError, StillwatchError, StoreError, VideoError
from daemon.model import Status, VideoRecord
from daemon.pipeline.failures import Decision, Exit, Fail, Pause, Retry, as_failure, decide, final_status
from tests.jobs import video_record

SETTINGS = ServiceConfig(max_attempts=3, max_retries=2, retry_seconds=15.0, pause_seconds=10.0)


def record(attempts: int = 1, retries: int = 0) -> VideoRecord:
    return video_record(attempts=attempts, retries=retries)


LAST_ATTEMPT, LAST_RETRY = record(attempts=3), record(retries=2)


@pytest.mark.parametrize(
    ("error", "video", "decision"),
    [
        # It would meet every video.
        (ExportError(Kind.DISK_FULL, ""), record(), Pause(20.0)),
        (StillwatchError(Kind.AWAY, ""), record(), Pause(20.0)),
        (StoreError(Kind.BUSY, ""), record(), Pause(20.0)),
        (ExportError(Kind.DISK_FULL, ""), record(attempts=3, retries=2), Pause(20.0)),
        # It may pass by itself: longer pauses each time, and no attempt is used up.
        (ExportError(Kind.EXPORT, ""), record(), Retry(15.0, attempt_counts=False)),
        (ExportError(Kind.EXPORT, ""), record(retries=1), Retry(30.0, attempt_counts=False)),
        (ExportError(Kind.FFMPEG_MISSING, ""), record(attempts=3), Retry(15.0, attempt_counts=False)),
        (VideoError(Kind.UNREADABLE, ""), record(), Retry(15.0, attempt_counts=False)),
        (VideoError(Kind.OUT_OF_MEMORY, ""), record(), Retry(15.0, attempt_counts=False)),
        (ExportError(Kind.EXPORT, ""), LAST_RETRY, Fail(Status.FAILED)),
        (VideoError(Kind.OUT_OF_MEMORY, ""), LAST_RETRY, Fail(Status.FAILED)),
        # The video may have caused it: attempts are counted, retries are not limited.
        (ScorerError(Kind.DEVICE, ""), record(), Retry(15.0, attempt_counts=True)),
        (ScorerError(Kind.DEVICE, ""), LAST_RETRY, Retry(60.0, attempt_counts=True)),
        (ScorerError(Kind.DEVICE, ""), LAST_ATTEMPT, Fail(Status.FAILED)),
        (VideoError(Kind.STUCK, ""), record(attempts=2), Retry(15.0, attempt_counts=True)),
        (VideoError(Kind.STUCK, ""), LAST_ATTEMPT, Fail(Status.FAILED)),
        # A scorer that hangs ends the process, after the video was dealt with.
        (ScorerError(Kind.STUCK, ""), record(), Retry(15.0, attempt_counts=True, then_exit=True)),
        (ScorerError(Kind.STUCK, ""), LAST_ATTEMPT, Fail(Status.FAILED, then_exit=True)),
        # Trying again gives the same.
        (VideoError(Kind.NOT_A_VIDEO, ""), record(), Fail(Status.REJECTED)),
        (VideoError(Kind.NO_FRAMES, ""), record(), Fail(Status.REJECTED)),
        (VideoError(Kind.DECODE, ""), record(), Fail(Status.FAILED)),
        (ExportError(Kind.UNPROVEN, ""), record(), Fail(Status.FAILED)),
        (VideoError(Kind.INTERNAL, ""), record(), Fail(Status.FAILED)),
        (VideoError(Kind.MISSING, ""), record(), Fail(Status.MISSING)),
        (VideoError(Kind.CHANGED, ""), record(), Fail(Status.MISSING)),
        # A database that is broken cannot even take the video back.
        (StoreError(Kind.DATABASE, ""), record(), Exit(release=False)),
    ],
)
def test_the_decision_follows_from_the_error_and_the_settings(
    error: StillwatchError, video: VideoRecord, decision: Decision
) -> None:
    assert decide(error, video, SETTINGS) == decision


@pytest.mark.parametrize(
    "error",
    [ExportError(Kind.DISK_FULL, ""), StillwatchError(Kind.AWAY, ""), StoreError(Kind.BUSY, "")],
)
def test_whoever_waits_in_the_foreground_is_told_instead_of_waiting(error: StillwatchError) -> None:
    assert decide(error, record(), SETTINGS, foreground=True) == Exit(release=True)


def test_in_the_foreground_other_errors_are_decided_alike() -> None:
    for error in (VideoError(Kind.DECODE, ""), ExportError(Kind.EXPORT, ""), StoreError(Kind.DATABASE, "")):
        assert decide(error, record(), SETTINGS, foreground=True) == decide(error, record(), SETTINGS)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_error_has_a_decision_and_a_final_state(kind: Kind) -> None:
    status = final_status(kind)
    if kind in (Kind.MISSING, Kind.CHANGED):
        assert status is Status.MISSING
    elif kind.rejects:
        assert status is Status.REJECTED
    else:
        assert status is Status.FAILED
    assert status.final
    assert isinstance(decide(VideoError(kind, "a reason"), record(), SETTINGS), Pause | Retry | Fail)


def test_our_own_errors_stay_as_they_are() -> None:
    for error in (ExportError(Kind.DISK_FULL, "full"), StoreError(Kind.DATABASE, "locked")):
        assert as_failure(error) is error


def test_an_error_that_nobody_foresaw_is_a_failure_that_asks_for_a_report() -> None:
    crash = ZeroDivisionError("division by zero")
    failure = as_failure(crash)
    assert (failure.kind, failure.__cause__) == (Kind.INTERNAL, crash)
    assert "unexpected ZeroDivisionError: division by zero" in failure.sentence
    assert decide(failure, record(), SETTINGS) == Fail(Status.FAILED)


def test_memory_that_ran_out_names_what_can_be_lowered() -> None:
    failure = as_failure(MemoryError("2 GiB"))
    assert (failure.kind, "decode.queue_bytes" in failure.sentence) == (Kind.OUT_OF_MEMORY, True)
