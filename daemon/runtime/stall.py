"""What hangs in native code cannot be ended, so nobody may have to wait for it: threads of their own, and an end to
every wait.

Slow is not stuck: a wait ends only when nothing has got on for ``seconds``. They are counted in short slices, so a
process or a machine that was suspended has not been stuck for that time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

from daemon.errors import Kind, VideoError
from daemon.runtime.channel import Channel, ChannelStopped

T = TypeVar("T")

SLICE_SECONDS = 1.0


def stuck(what: str, seconds: float) -> VideoError:
    """The error for something that has given nothing for so long."""
    return VideoError(
        Kind.STUCK, f"{what} gave nothing for {seconds:g} s and hangs (service.stuck_seconds): check the disk it is on"
    )


async def with_stall_timeout(
    work: Awaitable[T], seconds: float, what: str, progress: Callable[[], object] = lambda: None
) -> T:
    """What ``work`` gives. Raises VideoError(STUCK) when ``progress`` gives the same for ``seconds`` meanwhile."""
    task = asyncio.ensure_future(work)
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


async def run_in_abandonable_thread(work: Callable[[], T], name: str) -> T:
    """Like ``asyncio.to_thread``, but on a daemon thread of its own: if it hangs, no other work waits for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only where T is

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as caught:
            error = caught
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            # The loop has gone: nobody asks any more.
            return

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as error:
        raise VideoError(Kind.OUT_OF_MEMORY, f"no thread can be started ({error}): free memory or threads") from error
    return await future


def produce(items: Iterator[T], channel: Channel[T], nbytes: Callable[[T], int]) -> None:
    """Put every item into the channel and always an end; for the thread that ``items`` belong to."""
    error: BaseException | None = None
    try:
        for item in items:
            channel.put(item, nbytes(item))
    except ChannelStopped:
        pass
    except BaseException as caught:
        error = caught
    finally:
        try:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        finally:
            channel.finish(error)


@asynccontextmanager
async def reading(
    items: Iterator[T],
    *,
    name: str,
    seconds: float,
    what: str,
    progress: Callable[[], object] = lambda: None,
    on_progress: Callable[[], None] = lambda: None,
) -> AsyncIterator[AsyncIterator[T]]:
    """The items one by one, from a thread of their own; it works on the next one while one is looked at.

    ``progress`` changes when the thread gets on without giving an item. ``on_progress`` is called whenever it was seen
    to. Raises VideoError(STUCK), and what ``items`` raise. The thread is told to stop at the end of the block.
    """
    channel: Channel[T] = Channel(1)
    seen: object = None

    def state() -> object:
        nonlocal seen
        now = (channel.received, progress())
        if now != seen:
            seen = now
            on_progress()
        return now

    async def each() -> AsyncGenerator[T, None]:
        while taken := await with_stall_timeout(channel.take(1), seconds, what, state):
            yield taken[0]

    threading.Thread(target=produce, args=(items, channel, lambda _: 1), name=name, daemon=True).start()
    try:
        async with aclosing(each()) as found:
            yield found
    finally:
        channel.stop()
