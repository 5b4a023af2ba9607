"""What becomes of a video when something goes wrong: decided here, carried out by the workers.

::

    error ──▶ decide ─┬─▶ Pause  it would meet every video: the stage waits, the video loses nothing
                      ├─▶ Retry  it may pass by itself, and the settings allow another try
                      ├─▶ Fail   the video has come to an end: failed, rejected or missing
                      └─▶ Exit   the loop ends with the error: nobody here can mend it
"""

from __future__ import annotations

from dataclasses import dataclass

from daemon.config.service import ServiceConfig
from daemon.errors import Kind, ScorerError, StillwatchError, StoreError, VideoError
from daemon.model import Status, VideoRecord
from daemon.runtime.retry import is_global, retry_delay_seconds
from daemon.store.queue import LONGEST_RETRY_SECONDS

_ATTEMPT_KINDS = frozenset({Kind.DEVICE, Kind.STUCK, Kind.WORKER_CRASHED})
"""Errors that a video may well have caused: each costs one of ``service.max_attempts``."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Give the video back for ``delay_seconds``, which lets others go first, and let the stage wait."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Retry:
    """Give the video back for ``delay_seconds``. With ``then_exit`` the loop ends afterwards."""

    delay_seconds: float
    attempt_counts: bool
    then_exit: bool = False


@dataclass(frozen=True, slots=True)
class Fail:
    """Leave the video in a final ``status``. With ``then_exit`` the loop ends afterwards."""

    status: Status
    then_exit: bool = False


@dataclass(frozen=True, slots=True)
class Exit:
    """End the loop with the error; ``release`` first gives the video back as it was."""

    release: bool


Decision = Pause | Retry | Fail | Exit


def decide(
    error: StillwatchError,
    record: VideoRecord,
    settings: ServiceConfig,
    *,
    foreground: bool = False,
    worker_retries: int = 0,
) -> Decision:
    """What to do about an error of a claimed video; ``foreground``: somebody waits for it and is told instead.

    ``worker_retries`` are allowed for a film whose worker was lost, whoever waits.
    """
    if is_global(error):
        return Exit(release=True) if foreground else Pause(2 * settings.pause_seconds)
    if isinstance(error, StoreError):
        return Exit(release=False)
    # A thread that hangs cannot be ended: only a new process gets a scorer that works.
    then_exit = isinstance(error, ScorerError) and error.kind is Kind.STUCK
    attempt_counts = error.kind in _ATTEMPT_KINDS
    if attempt_counts:
        again = record.attempts < settings.max_attempts
    else:
        most = worker_retries if error.kind is Kind.WORKER_LOST else settings.max_retries
        again = error.kind.retryable and record.retries < most
    if not again:
        return Fail(final_status(error.kind), then_exit)
    delay_seconds = retry_delay_seconds(record.retries, settings.retry_seconds, LONGEST_RETRY_SECONDS)
    return Retry(delay_seconds, attempt_counts, then_exit)


def final_status(kind: Kind) -> Status:
    """The state in which an error leaves a video that is not tried again."""
    if kind in (Kind.MISSING, Kind.CHANGED):
        return Status.MISSING
    return Status.REJECTED if kind.rejects else Status.FAILED


def as_failure(error: Exception) -> StillwatchError:
    """The error itself where it is one of ours, else a VideoError that says what happened, with ``error`` as cause."""
    if isinstance(error, StillwatchError):
        return error
    failure = (
        VideoError(Kind.OUT_OF_MEMORY, f"memory ran out ({error}): free some, or lower decode.queue_bytes")
        if isinstance(error, MemoryError)
        else VideoError(Kind.INTERNAL, f"an unexpected {type(error).__name__}: {error}; please report it with the log")
    )
    failure.__cause__ = error
    return failure
