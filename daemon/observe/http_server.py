"""The pages that the daemon serves when ``service.http`` says so: GET and HEAD of a few fixed paths, nothing else.

asyncio's own server on the daemon's loop: a loop that does not turn does not answer, and there is no
thread to guard the store against. Nothing of a request is ever repeated in the answer or the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from daemon.errors import Kind, StillwatchError
from daemon.logs.setup import get

log = get(__name__)

REQUEST_BYTES = 8192
REQUEST_SECONDS = 5.0
MAX_CONNECTIONS = 16
LOOPBACK = "127.0.0.1"

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


def address_of(setting: str) -> tuple[str, int]:
    """Host and port of ``service.http``; without a host it is this machine alone.

    >>> address_of("[::1]:9464"), address_of(":9464")
    (('::1', 9464), ('127.0.0.1', 9464))
    """
    host, _, port = setting.rpartition(":")
    return host.strip("[]") or LOOPBACK, int(port)


@asynccontextmanager
async def serving(setting: str, pages: Mapping[str, Page]) -> AsyncIterator[None]:
    """Serve pages by path for as long as the context lasts. Raises StillwatchError(CONFIG) if it cannot listen."""
    host, port = address_of(setting)
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            if len(connections) <= MAX_CONNECTIONS:
                await _converse(reader, writer, pages)
        except asyncio.CancelledError:
            # The daemon stops; asyncio would log this as an error.
            return
        finally:
            connections.discard(task)
            writer.close()

    try:
        server = await asyncio.start_server(connected, host, port, limit=REQUEST_BYTES, backlog=MAX_CONNECTIONS)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StillwatchError(
            Kind.CONFIG, f"service.http = {setting} cannot be listened on ({reason}): choose another address or port"
        ) from error
    try:
        for listening in server.sockets:
            name, bound = listening.getsockname()[:2]
            log.info("web.started", address=f"[{name}]:{bound}" if ":" in name else f"{name}:{bound}")
        yield
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pages: Mapping[str, Page]) -> None:
    """One request, one answer, the end."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                head = b""
            answer, with_body = await _answer(head, pages)
            writer.write(_head(answer) + (answer.body if with_body else b""))
            await writer.drain()
    except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
        # A client that is slow or gone gets nothing, and costs nothing.
        return


async def _answer(head: bytes, pages: Mapping[str, Page]) -> tuple[Answer, bool]:
    """The answer to a request's head, and whether its body is sent; no head at all was too long a one."""
    if not head:
        return plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), True
    words = head.partition(b"\r\n")[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return plain(HTTPStatus.BAD_REQUEST), True
    if words[0] not in (b"GET", b"HEAD"):
        return plain(HTTPStatus.METHOD_NOT_ALLOWED), True
    page = pages.get(words[1].partition(b"?")[0].decode("latin-1"))
    if page is None:
        return plain(HTTPStatus.NOT_FOUND), words[0] == b"GET"
    try:
        return await page(), words[0] == b"GET"
    except StillwatchError as error:
        return plain(HTTPStatus.SERVICE_UNAVAILABLE, error.sentence), words[0] == b"GET"


def _head(answer: Answer) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
