"""What runs beside the pipeline and never holds it up: the board that ``status`` reads, metrics, web pages,
hooks, and what becomes of the sources."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from daemon.config.schema import Config
from daemon.events import Event, Listener, to_all
from daemon.inbox import disposal
from daemon.logs.setup import get
from daemon.observe import http_server, prometheus
from daemon.observe.progress_file import ProgressFile
from daemon.observe.prometheus import Metrics
from daemon.observe.reports import current
from daemon.observe.webhooks import Webhooks
from daemon.store.store import Store

log = get(__name__)

STOP_SECONDS = 2.0
"""At the stop, for what hooks have still to deliver."""

Liveness = Callable[[], str]
"""Why the daemon is not well, in a few words; nothing when it is."""


class BackgroundTasks:
    """Everyone that is told the news. ``unwell`` is what ``/healthz`` asks; it is for the service to set."""

    def __init__(self, *listeners: Listener) -> None:
        self._tell = to_all(*listeners)
        self.unwell: Liveness = lambda: "starting"

    def tell(self, event: Event) -> None:
        """Pass it on; a Listener."""
        self._tell(event)


@asynccontextmanager
async def background_tasks(config: Config, store: Store) -> AsyncIterator[BackgroundTasks]:
    """Attendants at work for as long as the context lasts; at its end each gets a short time to finish.

    Raises StillwatchError(CONFIG) when ``service.http``, ``notify.command`` or ``watch.after_path`` cannot be used.
    """
    disposal.check(config.watch, config.output)
    board = ProgressFile(config.database.path)
    sources = disposal.SourceDisposal(config.watch, store)
    measured = Metrics(board)
    hooks = Webhooks(config.notify)
    background = BackgroundTasks(board.tell, measured.tell, hooks.tell, sources.tell)
    async with AsyncExitStack() as stack:
        stack.callback(board.take_down)
        if config.service.http:
            pages = _pages(store, config.database.path, measured, lambda: background.unwell())
            await stack.enter_async_context(http_server.serving(config.service.http, pages))
        await stack.enter_async_context(_running(board.run(), "board"))
        await stack.enter_async_context(_running(sources.run(), "after"))
        await stack.enter_async_context(_running(hooks.run(), "hooks"))
        stack.push_async_callback(hooks.finish, STOP_SECONDS)
        yield background


def _pages(store: Store, database: Path, measured: Metrics, unwell: Liveness) -> dict[str, http_server.Page]:
    async def metrics_page() -> http_server.Answer:
        return http_server.Answer(measured.page(await store.counts()), prometheus.CONTENT_TYPE)

    async def health_page() -> http_server.Answer:
        reason = unwell()
        return http_server.plain(HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK, reason)

    async def status_page() -> http_server.Answer:
        state = await current(store, database)
        return http_server.Answer((json.dumps(state, indent=2, default=str) + "\n").encode("ascii"), http_server.JSON)

    return {"/metrics": metrics_page, "/healthz": health_page, "/status.json": status_page}


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_ended)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _ended(task: asyncio.Task[None]) -> None:
    """An attendant that dies is missed by nobody, so its death is said."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("attendant.crashed", task=task.get_name(), exc_info=error)
