"""The byte-bounded channel between one producing thread and one asyncio reader.

Every wait of the producer is timed and can be stopped; the end always arrives; an error of the
producer is raised where the items are read.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

_WAIT_SECONDS = 0.5


class ChannelStopped(Exception):  # noqa: N818 - a signal to the producer, not a failure
    """The reader has gone; the producer should clean up and return."""


class Channel(Generic[T]):
    """A queue bounded in bytes.

    An item larger than the whole capacity passes when the channel is empty, so one huge frame
    cannot block for ever. ``put`` and ``finish`` belong to the producing thread, ``take`` and
    ``stop`` to the event loop that made the channel.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._loop = asyncio.get_running_loop()
        self._readable = asyncio.Event()
        self._room = threading.Condition()
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._received = 0
        self._wanted = 1
        self._blocked = False
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None

    @property
    def queued_bytes(self) -> int:
        """Bytes waiting to be read."""
        return self._bytes

    @property
    def received(self) -> int:
        """Items that were put so far."""
        return self._received

    def put(self, item: T, nbytes: int) -> None:
        """Append an item, waiting for room. Raises ChannelStopped once the reader has gone."""
        with self._room:
            while self._bytes and self._bytes + nbytes > self._capacity and not self._stopped:
                self._blocked = True
                self._wake_reader()
                self._room.wait(_WAIT_SECONDS)
            self._blocked = False
            if self._stopped:
                raise ChannelStopped
            self._items.append((item, nbytes))
            self._bytes += nbytes
            self._received += 1
            enough = len(self._items) >= self._wanted
        if enough:
            # Waking it for every item would cost the producer more than the queue itself.
            self._wake_reader()

    def finish(self, error: BaseException | None = None) -> None:
        """Mark the end; an error is raised by ``take`` after the items before it."""
        with self._room:
            self._ended = True
            self._error = error
        self._wake_reader()

    async def take(self, max_items: int) -> list[T]:
        """Return up to ``max_items`` in order; an empty list means the end, or a stop.

        Waits until that many are there, the producer has ended, or it has no room to go on.
        Raises the producer's error once everything before it was read.
        """
        while True:
            self._readable.clear()
            with self._room:
                self._wanted = max_items
                if self._stopped:
                    return []
                if len(self._items) >= max_items or self._ended or self._blocked:
                    if self._items:
                        return self._pop(max_items)
                    if self._ended:
                        if self._error is not None:
                            raise self._raised()
                        return []
            await self._readable.wait()

    def stop(self) -> None:
        """Drop what is queued and tell the producer to stop. Safe to call more than once."""
        with self._room:
            self._stopped = True
            self._items.clear()
            self._bytes = 0
            self._room.notify_all()
        self._readable.set()

    def _raised(self) -> BaseException:
        """The error, which is not kept: its traceback holds on to much."""
        assert self._error is not None
        error, self._error = self._error, None
        return error

    def _pop(self, max_items: int) -> list[T]:
        taken: list[T] = []
        while self._items and len(taken) < max_items:
            item, nbytes = self._items.popleft()
            self._bytes -= nbytes
            taken.append(item)
        self._blocked = False
        self._room.notify_all()
        return taken

    def _wake_reader(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._readable.set)
        except RuntimeError:
            # The loop is closed: nobody reads any more, and stop() or the caller ends the producer.
            self._stopped = True
