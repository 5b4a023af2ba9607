"""The daemon's life: start, recovery, service, an orderly stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager

from daemon import __version__
from daemon.config.schema import Config
from daemon.errors import Kind, StillwatchError, StoreError
from daemon.events import Listener, ignore, to_all
from daemon.export import work_folder
from daemon.inbox import held_source
from daemon.inbox.ingestor import Ingestor
from daemon.logs.setup import get
from daemon.observe import status_line
from daemon.pipeline.workers import Workers, running_workers
from daemon.runtime import heartbeat, systemd
from daemon.runtime.durable import make_synced_folder
from daemon.runtime.heartbeat import Heartbeats
from daemon.runtime.lock import only_one
from daemon.runtime.retry import StagePause, is_global
from daemon.runtime.tasks import cancel, wind_down
from daemon.service.background import background_tasks
from daemon.service.health import PATIENCE, Health, pulse
from daemon.service.scanning import elsewhere
from daemon.service.signals import Stop, reload_on_hangup
from daemon.store.store import Store

log = get(__name__)

FEEDS_PER_WATCHDOG = 3
"""Two may be late before the watchdog ends the process."""
POOL_THREADS = 6
"""They wait for disks and shares: as many as the stages keep waiting at once."""


async def run(config: Config, listener: Listener = ignore, read_config: Callable[[], Config] | None = None) -> None:
    """The daemon: watch, score and export until a signal asks it to stop. Raises StillwatchError.

    HUP reads the configuration again with ``read_config`` and takes over what can change.
    """
    hearts = Heartbeats(PATIENCE * config.service.stuck_seconds)
    asyncio.get_running_loop().set_default_executor(_pool())
    with only_one(config.database.path), Stop(config.service) as stop:
        _make_folders(config)
        removed = await asyncio.to_thread(lambda: work_folder.clean(config.output.path) + held_source.clean())
        store = await _opened(config, stop)
        if store is None:
            log.info("service.stopped")
            return
        health = Health(stop.asked, hearts)
        try:
            resumed, aside = await store.queue.recover(config.service.max_attempts)
            async with (
                background_tasks(config, store, health.unwell) as tell,
                _workers(config, store, to_all(listener, tell, pulse(hearts, config))) as workers,
            ):
                pause_seconds = config.service.pause_seconds
                ingestor = Ingestor(config.watch, store, workers.wake, pause_seconds, listener=tell, hearts=hearts)
                await ingestor.start()
                log.info(
                    "service.ready",
                    version=__version__,
                    path=str(config.watch.path),
                    mode=ingestor.mode,
                    resumed=resumed,
                    set_aside=aside,
                    leftovers_removed=removed,
                )
                systemd.tell("READY=1")
                with reload_on_hangup(config, read_config, workers.reconfigure):
                    await _serve(config, ingestor, workers, stop, health, _reporters(store, hearts))
        finally:
            await _close(store, stop)
        log.info("service.stopped")


def _workers(config: Config, store: Store, listener: Listener) -> AbstractAsyncContextManager[Workers]:
    return running_workers(
        config, store, listener, dispose=True, elsewhere=elsewhere(config, listener, config.watch.path)
    )


def _pool() -> ThreadPoolExecutor:
    """The threads of ``asyncio.to_thread``, all started at once: an idle daemon's memory does not grow later."""
    pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="disk")
    together = threading.Barrier(POOL_THREADS)
    for _ in range(POOL_THREADS):
        pool.submit(together.wait)
    return pool


async def _opened(config: Config, stop: Stop) -> Store | None:
    """The database, once nobody else holds it; None when a stop was asked for in the meantime."""
    pause = StagePause("start", stop.asked, config.service.pause_seconds)
    try:
        store = await pause.retry_until_possible(lambda: Store.open(config.database))
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
    ingestor: Ingestor,
    workers: Workers,
    stop: Stop,
    health: Health,
    reporters: Sequence[asyncio.Task[None]],
) -> None:
    arrival = asyncio.create_task(ingestor.run(), name="intake")
    working = workers.start()
    asked = asyncio.create_task(stop.asked.wait(), name="signals")
    health.watch([arrival, *working])
    try:
        await asyncio.wait([arrival, asked, *working, *reporters], return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
        await cancel([arrival])
        await ingestor.stop()
        workers.stop()
        shortening = asyncio.create_task(workers.set_busy_timeout(), name="busy-timeout")
        await wind_down(working, config.service.stop_seconds)
        await cancel([shortening, *reporters])
    for task in (arrival, *working, *reporters):
        if task.cancelled() or (error := task.exception()) is None:
            continue
        if not (stop.asked.is_set() and is_global(error)):
            raise error
        # The row stays as it is: the next start finds it, as after a kill.
        log.warning("service.late", tasks=[task.get_name()], reason=str(error))


def _reporters(store: Store, hearts: Heartbeats) -> list[asyncio.Task[None]]:
    """Tasks that keep the service manager informed, if there is one and it asks for it."""
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
            make_synced_folder(folder)
        except OSError as error:
            raise StillwatchError(
                Kind.CONFIG, f"{key} = {folder} cannot be made: {error.strerror}; choose another or create it"
            ) from error
