"""Which stages are stuck, and what the watchdog hears of it."""

from __future__ import annotations

import asyncio

import pytest

from daemon.runtime.heartbeat import Beat, Heartbeats, feed, stalled
from tests.clock import Clock, clock

__all__ = ["clock"]


@pytest.fixture
def hearts(clock: Clock) -> Heartbeats:
    return Heartbeats(60.0, clock)


# The policy


def test_nobody_at_work_is_nobody_stuck() -> None:
    assert stalled({}, 1e9) == ()


@pytest.mark.parametrize(("silent_for", "stuck"), [(0.0, False), (59.0, False), (60.0, False), (60.1, True)])
def test_slow_is_not_stuck_until_the_allowed_silence_is_over(silent_for: float, stuck: bool) -> None:
    assert bool(stalled({"decode": Beat(100.0, 60.0)}, 100.0 + silent_for)) is stuck


def test_the_longest_overdue_comes_first() -> None:
    beats = {"export": Beat(100.0, 60.0), "decode": Beat(100.0, 10.0), "score": Beat(190.0, 60.0)}
    assert stalled(beats, 200.0) == ("decode", "export")


# The stages


def test_a_beat_begins_the_silence_anew(hearts: Heartbeats, clock: Clock) -> None:
    for _ in range(10):
        hearts.beat("decode")
        clock.now += 59.0
        assert hearts.stalled() == ()
    clock.now += 2.0
    assert hearts.stalled() == ("decode",)


def test_a_stage_that_rests_may_be_silent_for_ever(hearts: Heartbeats, clock: Clock) -> None:
    hearts.beat("decode")
    hearts.rest("decode")
    clock.now += 1e6
    assert hearts.stalled() == ()
    hearts.rest("never begun")


def test_a_stage_may_ask_for_more_time_than_the_others(hearts: Heartbeats, clock: Clock) -> None:
    hearts.beat("export", silence_seconds=3600.0)
    hearts.beat("decode")
    clock.now += 600.0
    assert hearts.stalled() == ("decode",)


# The feeding


async def fed(hearts: Heartbeats, turns: int) -> tuple[int, list[tuple[str, ...]]]:
    """How often the watchdog was fed, and who was named, in a number of turns of the loop."""
    alive: list[None] = []
    named: list[tuple[str, ...]] = []
    task = asyncio.create_task(feed(hearts, 0.0, alive=lambda: alive.append(None), stuck=named.append))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return len(alive), named


async def test_the_watchdog_is_fed_while_all_get_on(hearts: Heartbeats) -> None:
    hearts.beat("decode")
    times, named = await fed(hearts, 5)
    assert times >= 4
    assert named == []


async def test_one_stuck_stage_starves_the_watchdog_and_is_named_once(hearts: Heartbeats, clock: Clock) -> None:
    hearts.beat("decode")
    clock.now += 61.0
    hearts.beat("score")
    assert await fed(hearts, 5) == (0, [("decode",)])


async def test_a_stage_that_gets_on_again_is_forgiven(hearts: Heartbeats, clock: Clock) -> None:
    hearts.beat("decode")
    clock.now += 61.0
    assert (await fed(hearts, 3))[0] == 0
    hearts.beat("decode")
    assert (await fed(hearts, 3))[0] >= 2
