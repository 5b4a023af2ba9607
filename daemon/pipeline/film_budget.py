"""What one film may take while it is scored: time, and room for its rows. Frames and memory: ``decode.budget``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from daemon.config.schema import Config
from daemon.errors import Kind, StoreError, VideoError
from daemon.store.room import FRAME_BYTES

LOOK_SECONDS = 1.0
"""How often it is looked how much is free."""


class Free(Protocol):
    """Where the room for rows is."""

    async def free_bytes(self) -> int:
        """Bytes that rows can still take."""


class FilmBudget:
    """Counts from its making on. ``require`` is called with how many frames the film has had so far."""

    def __init__(self, config: Config, room: Free, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._work_seconds = config.decode.work_seconds
        self._margin = config.database.disk_margin_bytes
        self._room = room
        self._monotonic = monotonic
        self._began = monotonic()
        self._looked = -LOOK_SECONDS

    async def require(self, frames: int) -> None:
        """Raise VideoError where the film has taken too much, StoreError(DISK_FULL) where it is not the film's doing.

        The film is to blame for a full disk when all would be well without its rows.
        """
        spent = self._monotonic() - self._began
        if spent > self._work_seconds:
            raise VideoError(
                Kind.TOO_LARGE, f"it takes longer than decode.work_seconds = {self._work_seconds:g} to be scored"
            )
        if spent - self._looked < LOOK_SECONDS or not self._margin:
            return
        self._looked = spent
        lacking = self._margin - await self._room.free_bytes()
        if lacking <= 0:
            return
        if frames * FRAME_BYTES >= lacking:
            raise VideoError(
                Kind.NO_ROOM,
                f"its {frames} frames leave less than database.disk_margin_bytes = {self._margin} on the disk of the"
                " database: make room there",
            )
        raise StoreError(
            Kind.DISK_FULL,
            f"the disk of the database has {lacking} bytes less free than database.disk_margin_bytes = {self._margin}:"
            " make room there",
        )
