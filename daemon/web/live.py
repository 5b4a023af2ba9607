"""Tells open pages that something has changed: server-sent events, one look at the database for all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from daemon.errors import StoreError
from daemon.observe.progress_reader import path_beside, read
from daemon.runtime.lock import is_locked
from daemon.store.store import Store

LOOK_SECONDS = 1.0
ALIVE_LOOKS = 15
"""After this many looks without a change a comment is sent: a client that is gone is noticed by it."""
MOST_STREAMS = 24


class Live:
    """Counts changes; each open page waits for the next one."""

    def __init__(self, store: Store, database: Path) -> None:
        self._store = store
        self._progress = path_beside(database)
        self._database = database
        self._streams = 0
        self._scoring = False
        self._looked_at = -LOOK_SECONDS

    def scoring(self) -> bool:
        """Whether a daemon works on a film now; looked up once a second at most."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._scoring = bool(read(self._database).get("working")) and is_locked(self._database)
        return self._scoring

    @property
    def full(self) -> bool:
        """Whether no further page can be told."""
        return self._streams >= MOST_STREAMS

    async def changes(self) -> AsyncIterator[bytes]:
        """An event at first and after every change; ends when the client is gone."""
        self._streams += 1
        try:
            seen: object = None
            quiet = 0
            while True:
                with suppress(StoreError):
                    now = (await self._store.data_version(), _mtime_ns(self._progress))
                    if now != seen:
                        seen, quiet = now, 0
                        yield b"event: change\ndata: 1\n\n"
                quiet += 1
                if quiet % ALIVE_LOOKS == 0:
                    yield b": still here\n\n"
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._streams -= 1


def _mtime_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
