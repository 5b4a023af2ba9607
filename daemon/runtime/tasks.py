"""Waiting for events and tasks, and ending tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from daemon.logs.setup import get

log = get(__name__)


async def is_set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event, at most ``seconds`` (None: without a limit); whether it came in time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


async def wind_down(tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    """Let the tasks end by themselves; cancel those that have not after ``seconds``."""
    _, late = await asyncio.wait(tasks, timeout=seconds)
    if late:
        log.warning("service.late", tasks=[task.get_name() for task in late], seconds=seconds)
        await cancel(list(late))


async def cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait for them; errors stay in the tasks."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
