"""Causes that pass by themselves: the back-off of one video, and the pause of a whole stage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from daemon.errors import Kind, StillwatchError
from daemon.logs.setup import get

T = TypeVar("T")

log = get(__name__)

_EVERYBODY = frozenset({Kind.DISK_FULL, Kind.AWAY, Kind.BUSY})


def is_global(error: BaseException) -> bool:
    """Whether the cause would meet every video: a disk that is full or away, a database that somebody else holds."""
    return isinstance(error, StillwatchError) and error.kind in _EVERYBODY


def retry_delay_seconds(retries: int, first_seconds: float, longest_seconds: float) -> float:
    """How long a video waits after its ``retries``-th failure for a cause that may pass: twice as long each time.

    >>> [retry_delay_seconds(n, 15.0, 3600.0) for n in (0, 1, 2, 9)]
    [15.0, 30.0, 60.0, 3600.0]
    """
    return min(first_seconds * 2.0 ** min(retries, 40), longest_seconds)


class StagePause:
    """Lets one stage wait for room on a disk or for the database, and says so once.

    Every wait ends early when ``stop`` is set. Without ``forever`` there is no second try: whoever waits in the
    foreground is told instead.
    """

    def __init__(
        self,
        stage: str,
        stop: asyncio.Event,
        pause_seconds: float,
        *,
        forever: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stage = stage
        self._stop = stop
        self._pause_seconds = pause_seconds
        self._forever = forever
        self._monotonic = monotonic
        self._since: float | None = None
        self.on_wait: Callable[[], None] = nothing
        """Called before every wait: who waits on purpose is not stuck."""

    async def wait(self, error: StillwatchError) -> None:
        """Return when it is time to try again, or to stop."""
        if self._since is None:
            self._since = self._monotonic()
            log.warning(
                "service.paused",
                stage=self._stage,
                error_kind=error.kind.value,
                error=error.sentence,
                again_every_s=self._pause_seconds,
            )
        self.on_wait()
        try:
            async with asyncio.timeout(self._pause_seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    def went_well(self) -> None:
        """The stage has done its work again."""
        if self._since is not None:
            log.info("service.resumed", stage=self._stage, paused_s=round(self._monotonic() - self._since, 1))
            self._since = None

    async def through(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it, and again until no such cause is in the way. Raises the cause itself once a stop is asked for."""
        while True:
            try:
                done = await work()
            except StillwatchError as error:
                if not is_global(error) or self._stop.is_set() or not self._forever:
                    raise
                await self.wait(error)
            else:
                return done


def nothing() -> None:
    """Nobody has to be told."""
    return
