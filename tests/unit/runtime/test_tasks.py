"""Events that are waited for with a limit, and tasks that are ended."""

from __future__ import annotations

import asyncio

import structlog

from daemon.runtime.tasks import cancel, is_set_within, wind_down


async def test_an_event_that_comes_in_time_is_told_from_one_that_does_not() -> None:
    event = asyncio.Event()
    assert not await is_set_within(event, 0.001)
    asyncio.get_running_loop().call_soon(event.set)
    assert await is_set_within(event, 10.0)
    assert await is_set_within(event, None)


async def test_a_task_that_ends_by_itself_is_not_cancelled_and_a_late_one_is_named() -> None:
    release = asyncio.Event()

    async def ends() -> None:
        await release.wait()

    async def stays() -> None:
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(ends(), name="ends"), asyncio.create_task(stays(), name="stays")]
    release.set()
    with structlog.testing.capture_logs() as logged:
        await wind_down(tasks, 0.05)
    assert [task.cancelled() for task in tasks] == [False, True]
    assert [(line["event"], line["tasks"]) for line in logged] == [("service.late", ["stays"])]


async def test_errors_of_cancelled_tasks_stay_in_them() -> None:
    async def broken() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("at the end")

    task = asyncio.create_task(broken())
    await asyncio.sleep(0)
    await cancel([task])
    assert isinstance(task.exception(), ValueError)
