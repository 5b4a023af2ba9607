"""The films that are being looked at: their columns, kept for a few of them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import Any

from daemon.errors import StoreError
from daemon.store.store import Store
from daemon.web.curve import Film

KEPT_FILMS = 4


class Films:
    """Reads a film's columns once, for as long as they stay the same."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[int, tuple[tuple[Any, ...], Film]] = OrderedDict()
        self._reading = asyncio.Lock()
        self._ahead: asyncio.Task[None] | None = None

    def read_ahead(self, video_id: int) -> None:
        """Begin to read a film whose page is on its way: its curve is what is asked for next."""
        if self._ahead is None or self._ahead.done():
            self._ahead = asyncio.create_task(self._read_ahead(video_id), name=f"columns-{video_id}")

    async def close(self) -> None:
        """End what is read ahead."""
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)

    async def _read_ahead(self, video_id: int) -> None:
        # Whoever asks for the curve is told why it cannot be read.
        with suppress(StoreError):
            await self.film(video_id)

    async def film(self, video_id: int) -> Film:
        """A film's columns."""
        # One at a time: what costs most is the lock of the interpreter, which scoring needs as well.
        async with self._reading:
            version = await self._store.review.version(video_id)
            kept = self._kept.get(video_id)
            if kept is not None and kept[0] == version:
                self._kept.move_to_end(video_id)
                return kept[1]
            columns = await self._store.review.columns(video_id)
            second = await self._store.review.second(video_id, columns.frame)
            film = Film(columns, second)
            self._kept[video_id] = (version, film)
            self._kept.move_to_end(video_id)
            while len(self._kept) > KEPT_FILMS:
                self._kept.popitem(last=False)
            return film
