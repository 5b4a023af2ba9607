"""The daemon's life: start, recovery, signals, an orderly stop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from daemon import __version__, headline, heartbeat, notify
from daemon.config import Config
from daemon.errors import Kind, StillwatchError, StoreError
from daemon.export import workshop
from daemon.heartbeat import Heartbeats
from daemon.intake import Intake
from daemon.logs import get
from daemon.store import Store
from daemon.workers import Observer, Workers, cancel, wind_down, workers

log = get(__name__)

FEEDS_PER_WATCHDOG = 3
"""Two may be late before the watchdog bites."""


@contextmanager
def only_one(database: Path) -> Iterator[None]:
    """Hold the lock beside the database. Raises StoreError(BUSY) when another process works on it."""
    database.parent.mkdir(parents=True, exist_ok=True)
    path = database.with_name(database.name + ".lock")
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(
                Kind.BUSY,
                f"another stillwatch works with {database}: drop the files into its watch folder, or stop it first",
            ) from error
        yield


class Stop:
    """INT and TERM: the first asks for an orderly stop, the second forces it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._signalled, number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)

    def _signalled(self, number: signal.Signals) -> None:
        if self.asked.is_set():
            # Committed scores are safe: this is what kill -9 would do, and that loses nothing.
            os._exit(128 + number)
        log.info("service.stopping", signal=signal.Signals(number).name)
        notify.tell("STOPPING=1", "STATUS=stopping")
        self.asked.set()


async def run(config: Config, observer: Observer = lambda _: None) -> None:
    """The daemon: watch, score and export until a signal asks it to stop. Raises StillwatchError."""
    hearts = Heartbeats(config.service.stuck_seconds)
    with only_one(config.database.path), Stop() as stop:
        _make_folders(config)
        removed = await asyncio.to_thread(workshop.clean, config.output.path)
        store = await Store.open(config.database)
        try:
            resumed, aside = await store.recover(config.service.max_attempts)
            async with workers(config, store, observer) as crew:
                intake = Intake(config.watch, store, crew.wake)
                await intake.start()
                log.info(
                    "service.ready",
                    version=__version__,
                    path=str(config.watch.path),
                    mode=intake.mode,
                    resumed=resumed,
                    set_aside=aside,
                    leftovers_removed=removed,
                )
                notify.tell("READY=1")
                await _serve(config, intake, crew, stop, _reporters(store, hearts))
        finally:
            await store.close()
        log.info("service.stopped")


async def _serve(
    config: Config, intake: Intake, crew: Workers, stop: Stop, reporters: Sequence[asyncio.Task[None]]
) -> None:
    arrival = asyncio.create_task(intake.run(), name="intake")
    working = crew.start()
    asked = asyncio.create_task(stop.asked.wait(), name="signals")
    try:
        await asyncio.wait([arrival, asked, *working, *reporters], return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
        await cancel([arrival])
        await intake.stop()
        crew.stop()
        await wind_down(working, config.service.stop_seconds)
        await cancel(reporters)
    for task in (arrival, *working, *reporters):
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _reporters(store: Store, hearts: Heartbeats) -> list[asyncio.Task[None]]:
    """What keeps the service manager informed, as far as there is one and it wants to know."""
    tasks: list[asyncio.Task[None]] = []
    if (within_seconds := notify.watchdog_seconds()) is not None:
        feeding = heartbeat.feed(
            hearts,
            within_seconds / FEEDS_PER_WATCHDOG,
            alive=lambda: notify.tell("WATCHDOG=1"),
            stuck=lambda stages: log.error("service.stuck", stages=list(stages), watchdog_seconds=within_seconds),
        )
        tasks.append(asyncio.create_task(feeding, name="watchdog"))
    if notify.told():
        telling = headline.follow(store, lambda text: notify.tell(f"STATUS={text}"))
        tasks.append(asyncio.create_task(telling, name="status"))
    return tasks


def _make_folders(config: Config) -> None:
    for key, folder in (("watch.path", config.watch.path), ("output.path", config.output.path)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StillwatchError(
                Kind.CONFIG, f"{key} = {folder} cannot be made: {error.strerror}; choose another or create it"
            ) from error
