"""Rows of frames that wait for company: scorers hand in a dozen at a time, and hundreds cost the same effort.

They belong to the group of pending scores: they are written before it is committed, and what undoes it undoes them.
Until then no transaction is open, so that others who write need not wait for a group's end. A statement costs a trip
to the connection's thread and back, more than it takes to write a dozen rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from daemon.errors import StoreError
from daemon.model import Scored
from daemon.store.connection import Connection, to_the_end

TOGETHER = 512
"""Rows of a film that are not kept waiting any longer: more at once are no quicker."""


class PendingRows:
    """Rows by film, in the order in which they came; ``put`` writes those of some films.

    All of it is done within the group of pending scores.
    """

    def __init__(
        self, connection: Connection, put: Callable[[Mapping[int, Sequence[Scored]]], Awaitable[None]]
    ) -> None:
        self._connection = connection
        self._put = put
        self._rows: dict[int, list[Scored]] = {}

    def add(self, video_id: int, rows: Sequence[Scored]) -> bool:
        """Keep rows; True where there are enough to be written now."""
        waiting = self._rows.setdefault(video_id, [])
        waiting += rows
        return len(waiting) >= TOGETHER

    def waits(self, video_id: int) -> bool:
        """Whether there are rows of this film."""
        return video_id in self._rows

    async def write(self, video_id: int) -> None:
        """Write a film's rows. Raises StoreError: they are lost then.

        To the end, also when it is cancelled: they are not those of the call alone.
        """
        if rows := self._rows.pop(video_id, None):
            await to_the_end(self._write({video_id: rows}))

    async def write_all(self) -> list[int]:
        """Write all of them, at the end of the group; returns the films whose rows were refused, which have lost them.

        Raises StoreError when the whole group is undone.
        """
        waiting, self._rows = self._rows, {}
        return await to_the_end(self._write_films(waiting)) if waiting else []

    def clear(self) -> None:
        """The group has ended."""
        self._rows.clear()

    async def _write_films(self, waiting: Mapping[int, Sequence[Scored]]) -> list[int]:
        try:
            # One trip for all of them.
            await self._write(waiting)
            return []
        except StoreError:
            if not self._connection.db.in_transaction:
                raise
        refused = []
        for video_id, rows in waiting.items():
            try:
                await self._write({video_id: rows})
            except StoreError as error:
                if not self._connection.db.in_transaction:
                    raise
                self._connection.lose(video_id, error)
                refused.append(video_id)
        return refused

    async def _write(self, films: Mapping[int, Sequence[Scored]]) -> None:
        async with self._connection.piece():
            await self._put(films)
