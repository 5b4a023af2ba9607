"""Causes that pass by themselves: the back-off of one video, and the pause of a whole stage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from daemon.errors import Kind, StillwatchError
from daemon.logs.setup import get
from daemon.runtime.tasks import is_set_within

T = TypeVar("T")

log = get(__name__)

_GLOBAL = frozenset({Kind.DISK_FULL, Kind.AWAY, Kind.BUSY})


def is_global(error: BaseException) -> bool:
    """Whether the cause would meet every video: a disk that is full or away, a database that somebody else holds."""
    return isinstance(error, StillwatchError) and error.kind in _GLOBAL


def retry_delay_seconds(retries: int, first_seconds: float, longest_seconds: float) -> float:
    """How long a video waits after its ``retries``-th failure for a cause that may pass: twice as long each time.

    >>> [retry_delay_seconds(n, 15.0, 3600.0) for n in (0, 1, 2, 9)]
    [15.0, 30.0, 60.0, 3600.0]
    """
    return min(first_seconds * 2.0 ** min(retries, 40), longest_seconds)


def nothing() -> None:
    """Nobody has to be told."""
    return


class StagePause:
    """Lets one stage wait for room on a disk or for the database, and says so once in the log.

    Every wait ends early when ``stop`` is set. Without ``forever`` there is no second try: whoever waits in the
    foreground gets the error instead.
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

    async def wait(self, error: StillwatchError, on_wait: Callable[[], None] = nothing) -> None:
        """Return when it is time to try again, or to stop; ``on_wait`` first tells that this is no hang."""
        if self._since is None:
            self._since = self._monotonic()
            log.warning(
                "service.paused",
                stage=self._stage,
                error_kind=error.kind.value,
                error=error.sentence,
                again_every_s=self._pause_seconds,
            )
        on_wait()
        await is_set_within(self._stop, self._pause_seconds)

    def went_well(self) -> None:
        """The stage works again."""
        if self._since is not None:
            log.info("service.resumed", stage=self._stage, paused_s=round(self._monotonic() - self._since, 1))
            self._since = None

    async def retry_until_possible(
        self, function: Callable[[], Awaitable[T]], on_wait: Callable[[], None] = nothing
    ) -> T:
        """Call it, and again while a global cause is in the way. Raises the cause itself once a stop is asked for."""
        while True:
            try:
                return await function()
            except StillwatchError as error:
                if not is_global(error) or self._stop.is_set() or not self._forever:
                    raise
                await self.wait(error, on_wait)
