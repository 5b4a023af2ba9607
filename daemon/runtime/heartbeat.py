"""Which stages still make progress: each busy stage beats, and systemd's watchdog is fed while all of them do.

Slow is not stuck: a stage may be silent for ``service.stuck_seconds``, and a stage with nothing to do rests.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Beat:
    """When a stage last made progress, in seconds of a monotonic clock, and how long it may be silent."""

    at: float
    silence_seconds: float


def stalled(beats: Mapping[str, Beat], now: float) -> tuple[str, ...]:
    """Names of the stages that are silent for longer than they may be, the longest overdue first."""
    overdue = {name: now - beat.at - beat.silence_seconds for name, beat in beats.items()}
    return tuple(sorted((name for name in overdue if overdue[name] > 0), key=lambda name: -overdue[name]))


class Heartbeats:
    """The stages at work and their last beats; safe to call from every thread."""

    def __init__(self, silence_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._silence_seconds = silence_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._beats: dict[str, Beat] = {}

    def beat(self, name: str, silence_seconds: float | None = None) -> None:
        """A stage made progress, or has just begun; it may now be silent for this long (the default unless given)."""
        allowed = self._silence_seconds if silence_seconds is None else silence_seconds
        with self._lock:
            self._beats[name] = Beat(self._monotonic(), allowed)

    def rest(self, name: str) -> None:
        """A stage has nothing to do: its silence means nothing until it beats again."""
        with self._lock:
            self._beats.pop(name, None)

    def stalled(self) -> tuple[str, ...]:
        """Names of the stages that are stuck now, the longest overdue first."""
        with self._lock:
            beats = dict(self._beats)
        return stalled(beats, self._monotonic())


async def feed(
    hearts: Heartbeats,
    every_seconds: float,
    *,
    alive: Callable[[], None],
    stuck: Callable[[tuple[str, ...]], None],
) -> None:
    """Call ``alive`` at every interval in which no stage is stuck, until cancelled; ``stuck`` when others are.

    It runs on the event loop, so a loop that stands still is silent as well. A stage that makes progress again
    before the watchdog has ended the process is not stuck any more.
    """
    said: tuple[str, ...] = ()
    while True:
        names = hearts.stalled()
        if not names:
            alive()
        elif set(names) != set(said):
            stuck(names)
        said = names
        await asyncio.sleep(every_seconds)
