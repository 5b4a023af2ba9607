"""The review application: which address is which page, and serving it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from urllib.parse import quote

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from daemon.config.schema import Config
from daemon.errors import Kind, StillwatchError, VideoError
from daemon.logs.setup import get
from daemon.model import Frame, VideoRecord
from daemon.observe.listen_address import is_socket_path
from daemon.pipeline.frame_picture import frame_pictures
from daemon.runtime.stall import run_in_abandonable_thread
from daemon.scan import apart
from daemon.store.store import Store
from daemon.web import data, decide, export_panel, pages, shown, static_files, take_away
from daemon.web.budget import Budget, Budgeted
from daemon.web.context import Context
from daemon.web.exports import Exports
from daemon.web.films import Films
from daemon.web.guard import Guard, Secrets
from daemon.web.live import Live
from daemon.web.pictures import FullPictures
from daemon.web.previews import Previews
from daemon.web.server import serving
from daemon.web.strip_maker import StripMaker
from daemon.web.templating import environment

log = get(__name__)

ROUTES = [
    Route("/", pages.list_page),
    Route("/list", pages.list_rows),
    Route("/changes", pages.changes),
    Route("/films/{film}", pages.film_page),
    Route("/films/{film}/curve", data.curve_data),
    Route("/films/{film}/decisions", decide.decisions),
    Route("/films/{film}/decisions", decide.decide, methods=["POST"]),
    Route("/films/{film}/undo", decide.undo, methods=["POST"]),
    Route("/films/{film}/redo", decide.redo, methods=["POST"]),
    Route("/films/{film}/preview", export_panel.preview, methods=["POST"]),
    Route("/films/{film}/prepare", export_panel.prepare, methods=["POST"]),
    Route("/films/{film}/export", export_panel.export_state),
    Route("/films/{film}/export", export_panel.export, methods=["POST"]),
    Route("/films/{film}/stop", export_panel.stop, methods=["POST"]),
    Route("/films/{film}/stills.zip", export_panel.stills_zip),
    Route("/films/{film}/sheet.png", take_away.sheet),
    Route("/films/{film}/report.html", take_away.report_file),
    Route("/films/{film}/strip", pages.strip_state),
    Route("/films/{film}/strip", pages.make_strip, methods=["POST"]),
    Route("/films/{film}/retry", pages.retry, methods=["POST"]),
    Route("/films/{film}/scores", data.scores_data),
    Route("/films/{film}/strip/{frame}.jpg", data.strip_picture),
    Route("/films/{film}/stills/{rank}", data.still_file),
    Route("/films/{film}/previews/{rank}.jpg", data.still_preview),
    Route("/films/{film}/frames/{frame}.jpg", data.full_picture),
    Route("/films/{film}/frames/{frame}.json", data.frame_data),
    Route("/films/{film}/frames/{frame}/why", data.why_data),
    Route("/films/{film}/frames/{frame}", pages.frame_page),
    Route("/static/{name}", static_files.static_file),
]


def new_context(config: Config, store: Store, secrets: Secrets) -> Context:
    """What the pages of one server share."""

    async def decode(record: VideoRecord, frames: frozenset[int]) -> AsyncGenerator[Frame, None]:
        async for frame in frame_pictures(config, store, record, frames):
            yield frame

    live = Live(store, config.database.path)
    return Context(
        config=config,
        store=store,
        films=Films(store),
        pictures=FullPictures(decode, live.scoring),
        live=live,
        templates=environment(),
        secrets=secrets,
        exports=Exports(store),
        previews=Previews(),
        strips=StripMaker(store, decode, live.scoring),
    )


def application(shared: Context) -> ASGIApp:
    """All pages, behind their guard."""
    handlers = {HTTPException: _refused, StillwatchError: _failed, Exception: _crashed}
    app = Starlette(routes=ROUTES, exception_handlers=handlers)  # type: ignore[arg-type]
    app.state.static = static_files.load()
    app.state.context = shared
    return Guard(Budgeted(app, Budget(shared.live.scoring)), shared.secrets)


@asynccontextmanager
async def reviewing(config: Config, setting: str, key: str) -> AsyncIterator[list[str]]:
    """Serve the pages for as long as the context lasts, which gives the addresses to open: on TCP with the token.

    The database has a connection of its own, so that no reader holds up the scoring. Raises StillwatchError.
    """
    secrets = Secrets(token=None) if is_socket_path(setting) else Secrets()
    store = await Store.open(config.database, create=False)
    shared = new_context(config, store, secrets)
    warming = asyncio.create_task(_warm(config), name="warm")
    try:
        async with serving(setting, key, application(shared)) as listening:
            if secrets.token is None:
                yield listening
            else:
                yield [f"http://{address}/?token={quote(secrets.token)}" for address in listening]
    finally:
        warming.cancel()
        await shared.exports.close()
        await shared.strips.close()
        await shared.films.close()
        await store.close()


async def _warm(config: Config) -> None:
    """Have a process ready that decodes, so that the first frame does not wait for it."""
    # Why there is none is said to whoever asks for a frame.
    with suppress(VideoError):
        await run_in_abandonable_thread(lambda: apart.warm_again(config.decode), "warm")


async def _refused(request: Request, error: HTTPException) -> Response:
    return _said(request, HTTPStatus(error.status_code), error.detail)


async def _failed(request: Request, error: StillwatchError) -> Response:
    status = HTTPStatus.NOT_FOUND if error.kind is Kind.NOT_FOUND else HTTPStatus.SERVICE_UNAVAILABLE
    return _said(request, status, error.sentence)


async def _crashed(request: Request, error: Exception) -> Response:
    log.error("web.crashed", path=request.url.path, exc_info=error)
    return _said(request, HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong: the log says what")


def _said(request: Request, status: HTTPStatus, reason: str) -> Response:
    """An error as the asker reads it: a page for people, JSON for scripts."""
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"error": shown.shown_name(reason)}, status)
    templates: Environment = request.app.state.context.templates
    text = templates.get_template("error.html").render(status=status.value, reason=shown.shown_name(reason))
    return Response(text, status, media_type="text/html")
