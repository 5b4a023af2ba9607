"""Strip pictures for films that were scored before there were any: made when somebody asks, one film at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from daemon.errors import StillwatchError
from daemon.logs.setup import get
from daemon.media.strip_step import strip_step
from daemon.model import Frame, VideoRecord
from daemon.pipeline.strip import keep_pictures
from daemon.store.store import Store
from daemon.web import shown

log = get(__name__)

WAIT_SECONDS = 1.0

Decode = Callable[[VideoRecord, frozenset[int]], AsyncGenerator[Frame, None]]


class StripMaker:
    """Decodes a film once and keeps its strip, in the background; ``said`` is why one could not be made, by film."""

    def __init__(self, store: Store, decode: Decode, scoring: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._decode = decode
        self._scoring = scoring
        self._slot = asyncio.Semaphore(1)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.said: dict[int, str] = {}

    def start(self, record: VideoRecord, frames: int) -> None:
        """Begin, unless it is being made."""
        if record.id not in self._tasks:
            self.said.pop(record.id, None)
            task = asyncio.create_task(self._make(record, frames), name=f"strip-{record.id}")
            self._tasks[record.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(record.id, None))

    def running(self, video_id: int) -> bool:
        """Whether a film's strip is being made."""
        return video_id in self._tasks

    async def close(self) -> None:
        """End what is being made."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, record: VideoRecord, frames: int) -> None:
        wanted = frozenset(range(0, frames, strip_step(max(frames - 1, 0))))
        try:
            async with self._slot, aclosing(self._decode(record, wanted)) as found:
                async for frame in found:
                    # Decoding a whole film is more than a page may cost beside the scoring.
                    while self._scoring():  # noqa: ASYNC110 - only the end of the scoring ends it
                        await asyncio.sleep(WAIT_SECONDS)
                    await keep_pictures(self._store, record.id, [frame])
            await self._store.flush()
        except StillwatchError as error:
            self.said[record.id] = shown.shown_name(error.sentence)
        except Exception as error:
            log.error("web.crashed", path=f"/films/{record.id}/strip", exc_info=error)
            self.said[record.id] = "something went wrong: the log says what"
