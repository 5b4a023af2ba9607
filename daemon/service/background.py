"""What runs beside the pipeline and never holds it up: the progress file that ``status`` reads, metrics, web pages,
webhooks, and the disposal of sources."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.config.schema import Config
from daemon.events import Listener, to_all
from daemon.export import beside
from daemon.inbox import disposal
from daemon.logs.setup import get
from daemon.model import FileIdentity
from daemon.observe import prometheus
from daemon.observe.progress_file import ProgressFile
from daemon.observe.prometheus import Metrics
from daemon.observe.reports import current
from daemon.observe.webhooks import Webhooks
from daemon.store.store import Store

if TYPE_CHECKING:
    from daemon.web.monitoring import Page

log = get(__name__)

STOP_SECONDS = 2.0
"""At the stop, for what the webhooks have still to deliver."""

Unwell = Callable[[], str]
"""Why the daemon is not well, in a few words; nothing when it is."""


def _take_along(config: Config, file: FileIdentity, moved: Path | None) -> None:
    if templates := config.output.beside:
        within, archive = config.watch.bounds(file.path), config.watch.after_path
        beside.follow(file.path, moved, file.fingerprint, templates, within, archive)


@asynccontextmanager
async def background_tasks(config: Config, store: Store, unwell: Unwell) -> AsyncIterator[Listener]:
    """Run them as long as the context lasts, which gives their listener; at its end each gets a short time to finish.

    ``/healthz`` asks ``unwell``. Raises StillwatchError(CONFIG) when ``service.http``, ``service.review``,
    ``notify.command`` or ``watch.after_path`` cannot be used.
    """
    disposal.check(config.watch, config.output)
    progress_file = ProgressFile(config.database.path)
    sources = disposal.SourceDisposal(config.watch, store, follow=partial(_take_along, config))
    metrics = Metrics(progress_file)
    webhooks = Webhooks(config.notify)
    async with AsyncExitStack() as stack:
        stack.callback(progress_file.remove)
        if config.service.http:
            # Neither is loaded by a daemon that serves nothing.
            from daemon.web import monitoring

            pages = _pages(store, config.database.path, metrics, unwell)
            await stack.enter_async_context(monitoring.serving(config.service.http, pages))
        if config.service.review:
            from daemon.web.review import reviewing

            addresses = await stack.enter_async_context(reviewing(config, config.service.review, "service.review"))
            for address in addresses:
                log.info("review.started", address=address)
        await stack.enter_async_context(_running(progress_file.run(), "board"))
        await stack.enter_async_context(_running(sources.run(), "after"))
        await stack.enter_async_context(_running(webhooks.run(), "hooks"))
        stack.push_async_callback(webhooks.finish, STOP_SECONDS)
        yield to_all(progress_file.tell, metrics.tell, webhooks.tell, sources.tell)


def _pages(store: Store, database: Path, metrics: Metrics, unwell: Unwell) -> dict[str, Page]:
    from daemon.web.monitoring import JSON, Answer, plain

    async def metrics_page() -> Answer:
        return Answer(metrics.page(await store.videos.counts()), prometheus.CONTENT_TYPE)

    async def health_page() -> Answer:
        reason = unwell()
        return plain(HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK, reason)

    async def status_page() -> Answer:
        state = await current(store, database)
        return Answer((json.dumps(state, indent=2, default=str) + "\n").encode("ascii"), JSON)

    return {"/metrics": metrics_page, "/healthz": health_page, "/status.json": status_page}


@asynccontextmanager
async def _running(coroutine: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine, name=name)
    task.add_done_callback(_ended)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _ended(task: asyncio.Task[None]) -> None:
    """Nobody waits for a background task, so its crash is logged."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("attendant.crashed", task=task.get_name(), exc_info=error)
