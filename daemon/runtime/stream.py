"""The one way to stream from a thread: items that are made by blocking code, read on the event loop.

::

    thread of its own                        event loop
    items ── put ──▶ Channel (bytes) ── take ──▶ reader
                                          └── nothing new for stall_seconds ──▶ VideoError(STUCK)
"""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Generic, Self, TypeVar

from daemon.runtime.channel import Channel, ChannelStopped
from daemon.runtime.stall import with_stall_timeout

T = TypeVar("T")


class ThreadStream(Generic[T]):
    """The items of an iterator that runs on a daemon thread; ``async with`` starts it and tells it to stop.

    The thread works ahead until ``capacity_bytes`` wait to be read; the default lets it make one item more than is
    looked at. ``progress`` changes when the thread gets on without giving an item, so that it is slow and not stuck.
    ``on_progress`` is called whenever the thread was seen to get on. Reading raises VideoError(STUCK), and what
    ``items`` raise, after the items before it.
    """

    def __init__(
        self,
        items: Iterator[T],
        *,
        name: str,
        what: str,
        stall_seconds: float,
        capacity_bytes: int = 1,
        nbytes: Callable[[T], int] = lambda _: 1,
        progress: Callable[[], object] = lambda: None,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._what = what
        self._stall_seconds = stall_seconds
        self._channel: Channel[T] = Channel(capacity_bytes)
        self._thread = threading.Thread(target=produce, args=(items, self._channel, nbytes), name=name, daemon=True)
        self._progress = progress
        self._on_progress = on_progress
        self._seen: object = None

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if taken := await self.take(1):
            return taken[0]
        raise StopAsyncIteration

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait to be read."""
        return self._channel.queued_bytes

    async def take(self, max_items: int) -> list[T]:
        """Up to ``max_items`` in order, as ``Channel.take`` gives them; an empty list means the end, or a stop."""
        return await with_stall_timeout(self._channel.take(max_items), self._stall_seconds, self._what, self._state)

    def stop(self) -> None:
        """Drop what waits and tell the thread to end. Safe to call more than once."""
        self._channel.stop()

    async def join(self, seconds: float) -> bool:
        """Wait for the thread to end; False when it has not ended within ``seconds``."""
        await asyncio.to_thread(self._thread.join, seconds)
        return not self._thread.is_alive()

    def _state(self) -> object:
        now = (self._channel.received, self._progress())
        if now != self._seen:
            self._seen = now
            self._on_progress()
        return now


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
            if error is not None:
                # Its traceback would keep what has failed, a decoder with its threads and frames, for as long as it.
                traceback.clear_frames(error.__traceback__)
            channel.finish(error)
            # And it would keep itself, by way of this frame.
            del error
