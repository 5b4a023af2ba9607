"""How many workers films may have, and how many rows may wait for those before them; shared by all films in work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ROWS_AHEAD = 131_072
"""Rows of spans whose turn has not come, some 160 MB; workers that are further ahead wait.

But where the span whose turn it is has lost its worker, the others go on to the end of theirs, so that one takes it.
"""


class Room:
    """Counts films in work and those that wait for a worker, the further workers of films in spans, and rows in memory.

    Whoever changes what another may wait for calls ``tell``.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._films = self._waiting = self._helpers = 0
        self._changed = asyncio.Event()
        self.rows_ahead = 0

    def tell(self) -> None:
        """Something has changed: all who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for(self, comes: Callable[[], bool]) -> None:
        """Until it is so."""
        while not comes():
            await self._changed.wait()

    @property
    def has_place(self) -> bool:
        """Whether a film in spans may have one more worker."""
        return not self._waiting and self._films + self._helpers < self._workers

    @property
    def is_crowded(self) -> bool:
        """Whether there are films for whom a worker has to be given back."""
        return self._waiting > 0 or self._films + self._helpers > self._workers

    @property
    def holds_more_rows(self) -> bool:
        """Whether more rows may wait."""
        return self.rows_ahead < ROWS_AHEAD

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A film waits for a worker of its own: none is for spans until it has one."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            self.tell()

    @contextmanager
    def film(self) -> Iterator[None]:
        """A film is in work; it has a worker of its own whatever else there is."""
        self._films += 1
        try:
            yield
        finally:
            self._films -= 1
            self.tell()

    def helper(self, change: int) -> None:
        """A film in spans takes one more worker (1), or has given it back (-1)."""
        self._helpers += change
        self.tell()
