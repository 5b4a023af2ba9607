"""Work that hangs in native code cannot be ended, so nobody may have to wait for it: its own thread, and a limit.

Slow is not stuck: a wait ends only when there was no progress for ``seconds``. They are counted in short slices, so a
process or a machine that was suspended has not been stuck for that time.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from daemon.errors import Kind, VideoError

T = TypeVar("T")

SLICE_SECONDS = 1.0
LOADING_SECONDS = 900.0
"""A scorer that is opened on a busy machine may take so long, whatever ``service.stuck_seconds`` is."""


def stuck(what: str, seconds: float) -> VideoError:
    """The error for something that has given nothing for ``seconds``."""
    return VideoError(
        Kind.STUCK, f"{what} gave nothing for {seconds:g} s and hangs (service.stuck_seconds): check the disk it is on"
    )


async def with_stall_timeout(
    awaitable: Awaitable[T], seconds: float, what: str, progress: Callable[[], object] = lambda: None
) -> T:
    """The result of ``awaitable``. Raises VideoError(STUCK) when ``progress`` stays the same for ``seconds``."""
    task = asyncio.ensure_future(awaitable)
    seen, silent = progress(), 0.0
    try:
        while silent < seconds:
            part = min(SLICE_SECONDS, seconds - silent)
            done, _ = await asyncio.wait([task], timeout=part)
            if done:
                return task.result()
            now = progress()
            seen, silent = (seen, silent + part) if now == seen else (now, 0.0)
        raise stuck(what, seconds)
    finally:
        task.cancel()


async def while_loading(
    awaitable: Awaitable[T], on_progress: Callable[[], object], seconds: float = LOADING_SECONDS
) -> T:
    """The result of ``awaitable``, which loads something: ``on_progress`` is called meanwhile, as this is no hang.

    After ``seconds`` it is called no more, so that whoever watches takes it for one.
    """
    task = asyncio.ensure_future(awaitable)
    spent = 0.0
    try:
        while spent < seconds:
            done, _ = await asyncio.wait([task], timeout=SLICE_SECONDS)
            if done:
                break
            spent += SLICE_SECONDS
            on_progress()
        return await task
    finally:
        task.cancel()


async def run_in_abandonable_thread(function: Callable[[], T], name: str) -> T:
    """Like ``asyncio.to_thread``, but on a daemon thread of its own: if it hangs, no other work waits for it."""
    future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as error:
        raise VideoError(Kind.OUT_OF_MEMORY, f"no thread can be started ({error}): free memory or threads") from error
    return await asyncio.wrap_future(future)
