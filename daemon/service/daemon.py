"""The daemon's life: start, recovery, signals, an orderly stop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from daemon import __version__
from daemon.config.reload import reload
from daemon.config.schema import Config
from daemon.config.service import ServiceConfig
from daemon.errors import Kind, StillwatchError, StoreError
from daemon.events import Event, Heartbeat, Left, Listener, Progress, Taken, ignore, to_all
from daemon.export import work_folder
from daemon.inbox.ingestor import Ingestor
from daemon.logs import setup
from daemon.logs.setup import get
from daemon.model import Status
from daemon.observe import status_line
from daemon.pipeline.workers import Workers, cancel, wind_down, workers
from daemon.runtime import heartbeat, systemd
from daemon.runtime.deadline import GRACE_SECONDS, Deadline
from daemon.runtime.heartbeat import Heartbeats
from daemon.runtime.retry import StagePause, is_global
from daemon.service.background import BackgroundTasks, background_tasks
from daemon.store.store import Store

log = get(__name__)

FEEDS_PER_WATCHDOG = 3
"""Two may be late before the watchdog bites."""
POOL_THREADS = 6
"""They wait for disks and shares: as many as the stages keep waiting at once."""
PATIENT = 2.0
"""Times ``service.stuck_seconds``: what hangs is given up by its own stage first."""


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
    """INT and TERM: the first asks for an orderly stop within a deadline, the second forces it."""

    def __init__(self, config: ServiceConfig) -> None:
        self.asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(config.stop_seconds + GRACE_SECONDS, code=0)

    def __enter__(self) -> Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._signalled, number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)
        self._deadline.cancel()

    def _signalled(self, number: signal.Signals) -> None:
        if self.asked.is_set():
            # Committed scores are safe: this is what kill -9 would do, and that loses nothing.
            setup.flush()
            os._exit(128 + number)
        log.info("service.stopping", signal=signal.Signals(number).name)
        systemd.tell("STOPPING=1", "STATUS=stopping")
        self._deadline.start()
        self.asked.set()


async def run(config: Config, listener: Listener = ignore, read_config: Callable[[], Config] | None = None) -> None:
    """The daemon: watch, score and export until a signal asks it to stop. Raises StillwatchError.

    HUP reads the configuration again with ``read_config`` and takes over what can change.
    """
    hearts = Heartbeats(PATIENT * config.service.stuck_seconds)
    asyncio.get_running_loop().set_default_executor(_pool())
    with only_one(config.database.path), Stop(config.service) as stop:
        _make_folders(config)
        removed = await asyncio.to_thread(work_folder.clean, config.output.path)
        store = await _opened(config, stop)
        if store is None:
            log.info("service.stopped")
            return
        try:
            resumed, aside = await store.recover(config.service.max_attempts)
            async with (
                background_tasks(config, store) as background,
                workers(config, store, to_all(listener, background.tell, pulse(hearts, config)), after=True) as crew,
            ):
                pause_seconds = config.service.pause_seconds
                intake = Ingestor(
                    config.watch, store, crew.wake, pause_seconds, listener=background.tell, hearts=hearts
                )
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
                systemd.tell("READY=1")
                with _hangup(read_config, crew):
                    await _serve(config, intake, crew, stop, background, hearts, _reporters(store, hearts))
        finally:
            await _close(store, stop)
        log.info("service.stopped")


def _pool() -> ThreadPoolExecutor:
    """The threads of ``asyncio.to_thread``, all started: what an idle daemon holds does not grow with its work."""
    pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="disk")
    together = threading.Barrier(POOL_THREADS)
    for _ in range(POOL_THREADS):
        pool.submit(together.wait)
    return pool


async def _opened(config: Config, stop: Stop) -> Store | None:
    """The database, once nobody else holds it; None when a stop was asked for in the meantime."""
    pause = StagePause("start", stop.asked, config.service.pause_seconds)
    try:
        store = await pause.through(lambda: Store.open(config.database))
    except StoreError as error:
        if stop.asked.is_set() and is_global(error):
            return None
        raise
    pause.went_well()
    return store


async def _close(store: Store, stop: Stop) -> None:
    try:
        await store.close()
    except StoreError as error:
        if not (stop.asked.is_set() and is_global(error)):
            raise
        log.warning("service.late", tasks=["store"], reason=error.sentence)


async def _serve(
    config: Config,
    intake: Ingestor,
    crew: Workers,
    stop: Stop,
    background: BackgroundTasks,
    hearts: Heartbeats,
    reporters: Sequence[asyncio.Task[None]],
) -> None:
    arrival = asyncio.create_task(intake.run(), name="intake")
    working = crew.start()
    asked = asyncio.create_task(stop.asked.wait(), name="signals")
    background.unwell = lambda: _unwell([arrival, *working], stop, hearts)
    try:
        await asyncio.wait([arrival, asked, *working, *reporters], return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
        await cancel([arrival])
        await intake.stop()
        crew.stop()
        shortening = asyncio.create_task(crew.set_busy_timeout(), name="busy-timeout")
        await wind_down(working, config.service.stop_seconds)
        await cancel([shortening, *reporters])
    for task in (arrival, *working, *reporters):
        if task.cancelled() or (error := task.exception()) is None:
            continue
        if not (stop.asked.is_set() and is_global(error)):
            raise error
        # The row stays as it is: the next start finds it, as after a kill.
        log.warning("service.late", tasks=[task.get_name()], reason=str(error))


@contextmanager
def _hangup(read_config: Callable[[], Config] | None, crew: Workers) -> Iterator[None]:
    """Reload on HUP while the block runs; without ``read_config`` the signal is ignored.

    Whatever is wrong with the configuration, the one that it has stays.
    """

    def signalled() -> None:
        if read_config is None:
            return
        try:
            found = reload(crew.config, read_config())
        except StillwatchError as error:
            log.error("service.reload_failed", error=error.sentence)
            return
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            log.exception("service.reload_failed", error=f"the configuration cannot be read: {cause}")
            return
        crew.reconfigure(found.config)
        setup.set_level(found.config.log.level)
        log.info("service.reloaded", changed=list(found.taken), needs_restart=list(found.refused))

    loop = asyncio.get_running_loop()
    # Not the loop's own handlers: taking one away leaves a moment in which the signal kills.
    before = signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(signalled))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _unwell(tasks: Sequence[asyncio.Task[None]], stop: Stop, hearts: Heartbeats) -> str:
    if stop.asked.is_set():
        return "stopping"
    ended = sorted({task.get_name() for task in tasks if task.done()})
    if ended:
        return f"ended: {', '.join(ended)}"
    stuck = hearts.stalled()
    return f"stuck: {', '.join(stuck)}" if stuck else ""


def pulse(hearts: Heartbeats, config: Config) -> Listener:
    """An observer that hears in the news which videos get on.

    An FFmpeg run is silent until it ends, and has its own limit.
    """
    scoring = PATIENT * config.service.stuck_seconds
    allowed = {Status.SCORING: scoring, Status.EXPORTING: scoring + config.export.timeout_seconds}

    def tell(event: Event) -> None:
        match event:
            case Taken(video_id, _, status):
                hearts.beat(f"{status} {video_id}", allowed[status])
            case Heartbeat(video_id, status):
                hearts.beat(f"{status} {video_id}", allowed[status])
            case Progress(video_id):
                hearts.beat(f"{Status.SCORING} {video_id}", scoring)
            case Left(video_id, status):
                hearts.rest(f"{status} {video_id}")

    return tell


def _reporters(store: Store, hearts: Heartbeats) -> list[asyncio.Task[None]]:
    """What keeps the service manager informed, as far as there is one and it wants to know."""
    tasks: list[asyncio.Task[None]] = []
    if (within_seconds := systemd.watchdog_seconds()) is not None:
        feeding = heartbeat.feed(
            hearts,
            within_seconds / FEEDS_PER_WATCHDOG,
            alive=lambda: systemd.tell("WATCHDOG=1"),
            stuck=lambda stages: log.error("service.stuck", stages=list(stages), watchdog_seconds=within_seconds),
        )
        tasks.append(asyncio.create_task(feeding, name="watchdog"))
    if systemd.told():
        telling = status_line.follow(store, lambda text: systemd.tell(f"STATUS={text}"))
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
