"""The pages for machines that ``service.http`` asks for: GET and HEAD of a few fixed paths, nothing else.

Nothing of a request is ever repeated in the answer or the log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.errors import StillwatchError
from daemon.logs.setup import get
from daemon.web.hosts import is_known_host
from daemon.web.server import serving as served

log = get(__name__)

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a content type and a body."""

    body: bytes
    content_type: str = TEXT
    status: HTTPStatus = HTTPStatus.OK


Page = Callable[[], Awaitable[Answer]]


def plain(status: HTTPStatus, text: str = "") -> Answer:
    """A line of text, the status's own words if none is given."""
    return Answer(f"{text or status.phrase}\n".encode(errors="backslashreplace"), status=status)


@asynccontextmanager
async def serving(setting: str, pages: Mapping[str, Page]) -> AsyncIterator[None]:
    """Serve pages by path for as long as the context lasts. Raises StillwatchError(CONFIG) if it cannot listen."""
    async with served(setting, "service.http", application(pages)) as addresses:
        for address in addresses:
            log.info("web.started", address=address)
        yield


def application(pages: Mapping[str, Page]) -> ASGIApp:
    """An application of these pages. Each connection ends with its answer."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        answer = await _answer(request, pages)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Connection": "close"}
        if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "GET, HEAD"
        response = Response(answer.body, answer.status, headers)
        response.headers["Content-Type"] = answer.content_type
        await response(scope, receive, send)

    return app


async def _answer(request: Request, pages: Mapping[str, Page]) -> Answer:
    if not is_known_host(request.headers.get("host", "")):
        return plain(HTTPStatus.MISDIRECTED_REQUEST, "ask by the address or the name of this machine")
    if request.method not in ("GET", "HEAD"):
        return plain(HTTPStatus.METHOD_NOT_ALLOWED)
    page = pages.get(request.scope["raw_path"].decode("latin-1"))
    if page is None:
        return plain(HTTPStatus.NOT_FOUND)
    try:
        return await page()
    except StillwatchError as error:
        return plain(HTTPStatus.SERVICE_UNAVAILABLE, error.sentence)
    except Exception:
        log.exception("web.crashed", path=request.url.path)
        return plain(HTTPStatus.INTERNAL_SERVER_ERROR)
