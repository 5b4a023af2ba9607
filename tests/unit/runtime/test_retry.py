"""Waiting for what passes by itself: said once, given up at a stop, and never mistaken for being stuck."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import ExportError, Kind, StoreError, VideoError
from daemon.runtime.retry import StagePause, is_global, retry_delay_seconds
from tests.clock import Clock, clock

__all__ = ["clock"]

FULL = ExportError(Kind.DISK_FULL, "the disk is full: make room")


@pytest.mark.parametrize(
    ("error", "for_everybody"),
    [
        (FULL, True),
        (StoreError(Kind.BUSY, "held"), True),
        (StoreError(Kind.DATABASE, "broken"), False),
        (VideoError(Kind.UNREADABLE, "gone"), False),
        (OSError("other"), False),
    ],
)
def test_only_what_would_meet_every_video_pauses(error: Exception, for_everybody: bool) -> None:
    assert is_global(error) is for_everybody


@given(st.integers(0, 10_000), st.floats(0.001, 3600), st.floats(0.001, 3600))
def test_delays_grow_up_to_the_longest(retries: int, first: float, longest: float) -> None:
    delays = [retry_delay_seconds(n, first, longest) for n in (retries, retries + 1)]
    assert 0 < delays[0] <= delays[1] <= longest


async def test_a_pause_is_said_once_and_its_end_once(clock: Clock) -> None:
    pause = StagePause("exporting", asyncio.Event(), 0.001, monotonic=clock)
    waits: list[float] = []
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            await pause.wait(FULL, lambda: waits.append(clock.now))
            clock.now += 10
        pause.went_well()
        pause.went_well()
    assert [(one["event"], one.get("paused_s")) for one in logged] == [
        ("service.paused", None),
        ("service.resumed", 30.0),
    ]
    assert waits == [100.0, 110.0, 120.0], "everybody who asks hears that the wait is meant"


async def test_work_is_tried_until_it_gets_through(clock: Clock) -> None:
    left = [FULL, FULL]

    async def work() -> str:
        if left:
            raise left.pop()
        return "done"

    assert await StagePause("scoring", asyncio.Event(), 0.001, monotonic=clock).retry_until_possible(work) == "done"


async def test_a_stop_ends_the_wait_and_the_cause_is_raised(clock: Clock) -> None:
    stop = asyncio.Event()

    async def work() -> None:
        stop.set()
        raise FULL

    with pytest.raises(ExportError):
        await StagePause("scoring", stop, 3600.0, monotonic=clock).retry_until_possible(work)


async def test_other_causes_are_raised_at_once(clock: Clock) -> None:
    async def work() -> None:
        raise VideoError(Kind.DECODE, "broken")

    with pytest.raises(VideoError):
        await StagePause("scoring", asyncio.Event(), 3600.0, monotonic=clock).retry_until_possible(work)
