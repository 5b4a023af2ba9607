"""Exports that were asked for on a page: one at a time, each with its state."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from daemon.config.schema import Config
from daemon.errors import StillwatchError
from daemon.logs.setup import get
from daemon.pipeline.reselect import reselect
from daemon.store.store import Store
from daemon.web import shown

log = get(__name__)


@dataclass(frozen=True, slots=True)
class Export:
    """How an export stands: ``state`` is running, done, failed or stopped; ``steps`` grows while it gets on.

    ``sentence`` is why not, or the folder where it is one of its own.
    """

    state: str
    steps: int = 0
    sentence: str = ""
    stills: int = 0

    def as_json(self) -> dict[str, Any]:
        """The same for JSON."""
        return {"state": self.state, "steps": self.steps, "sentence": self.sentence, "stills": self.stills}


class Exports:
    """Runs one export at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._exports: dict[int, Export] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._slot = asyncio.Semaphore(1)

    def state(self, video_id: int) -> Export | None:
        """The newest export of a film since the server started."""
        return self._exports.get(video_id)

    def start(self, config: Config, video_id: int, *, anew: bool, folder: str | None = None) -> bool:
        """Begin to export a film; False while it is being exported."""
        if video_id in self._tasks:
            return False
        self._exports[video_id] = Export("running")
        task = asyncio.create_task(self._run(config, video_id, anew=anew, folder=folder), name=f"export-{video_id}")
        self._tasks[video_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(video_id, None))
        return True

    async def stop(self, video_id: int) -> None:
        """End an export; what was not published by then is not."""
        if (task := self._tasks.get(video_id)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """End all of them."""
        for video_id in list(self._tasks):
            await self.stop(video_id)

    async def _run(self, config: Config, video_id: int, *, anew: bool, folder: str | None) -> None:
        def got_on() -> None:
            now = self._exports[video_id]
            self._exports[video_id] = replace(now, steps=now.steps + 1)

        try:
            async with self._slot:
                await reselect(config, self._store, str(video_id), anew=anew, folder=folder, on_progress=got_on)
                selections = await self._store.queries.selections(video_id)
                stills = await self._store.queries.stills(selections[-1]["id"])
                place = "" if folder is None or not stills else str(Path(stills[0]["path"]).parent)
                self._exports[video_id] = Export("done", sentence=shown.shown_name(place), stills=len(stills))
        except asyncio.CancelledError:
            self._exports[video_id] = Export("stopped", sentence="stopped: nothing was changed")
        except StillwatchError as error:
            self._exports[video_id] = Export("failed", sentence=shown.shown_name(error.sentence))
        except Exception as error:
            log.error("web.crashed", path=f"/films/{video_id}/export", exc_info=error)
            self._exports[video_id] = Export("failed", sentence="something went wrong: the log says what")
