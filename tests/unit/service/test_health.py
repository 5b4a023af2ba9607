"""When the daemon is well, and which word says that it is not."""

from __future__ import annotations

import asyncio

from daemon.config.schema import Config
from daemon.events import Heartbeat, Left, Taken
from daemon.model import Status
from daemon.runtime.heartbeat import Heartbeats
from daemon.service.health import PATIENCE, Health, pulse
from tests.clock import Clock, clock

__all__ = ["clock"]


async def test_the_daemon_is_well_between_its_start_and_its_stop(clock: Clock) -> None:
    stopping, hearts = asyncio.Event(), Heartbeats(10.0, clock)
    health = Health(stopping, hearts)
    assert health.unwell() == "starting"
    task = asyncio.create_task(asyncio.Event().wait(), name="score")
    health.watch([task])
    assert health.unwell() == ""
    hearts.beat("watching")
    clock.now += 11.0
    assert health.unwell() == "stuck: watching"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert health.unwell() == "ended: score"
    stopping.set()
    assert health.unwell() == "stopping"


def test_a_video_in_work_is_stuck_once_it_is_silent_for_too_long(clock: Clock) -> None:
    config = Config()
    hearts = Heartbeats(1e9, clock)
    tell = pulse(hearts, config)
    silence = PATIENCE * config.service.stuck_seconds + config.export.timeout_seconds
    tell(Taken(7, "/in/a.mp4", Status.EXPORTING))
    clock.now += silence - 1.0
    tell(Heartbeat(7, Status.EXPORTING))
    clock.now += silence - 1.0
    assert hearts.stalled() == ()
    clock.now += 2.0
    assert hearts.stalled() == ("exporting 7",)
    tell(Left(7, Status.EXPORTING))
    assert hearts.stalled() == ()
