"""Who may look and who may decide: checked before any page is asked.

::

    request ─▶ Host known? ─▶ Origin ours? ─▶ token or cookie? ─▶ a change: CSRF token? ─▶ the page
                  421             403              403                      403

On TCP a secret is always needed, also from this machine, since every user of it can connect. Who may connect to a Unix
socket is decided by its mode. A change needs a second secret, which only our own pages know.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.web.hosts import is_known_host

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
SAFE_METHODS = ("GET", "HEAD")
CSRF_HEADER = "x-csrf-token"
MAX_BODY_BYTES = 64 * 1024


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a client has to know. ``token`` is None where everyone who can connect may look (a Unix socket)."""

    token: str | None = field(default_factory=_secret)
    session: str = field(default_factory=_secret)
    csrf: str = field(default_factory=_secret)


class Guard:
    """Refuses what does not come from a page of ours, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, secrets_: Secrets) -> None:
        self._app = app
        self._secrets = secrets_

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                for name, value in HEADERS.items():
                    message["headers"].append((name.lower().encode(), value.encode()))
                if b"cache-control" not in present:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        refused = self._refusal(request)
        await (refused or self._app)(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not is_known_host(host):
            text = "ask by the address or the name of this machine"
            return PlainTextResponse(text, HTTPStatus.MISDIRECTED_REQUEST)
        origin = request.headers.get("origin")
        if origin is not None and origin != "null" and urlsplit(origin).netloc != host:
            return PlainTextResponse("asked by a page of another site", HTTPStatus.FORBIDDEN)
        if request.headers.get("sec-fetch-site") == "cross-site" and request.method not in SAFE_METHODS:
            return PlainTextResponse("asked by a page of another site", HTTPStatus.FORBIDDEN)
        if self._secrets.token is not None:
            given = request.query_params.get("token", "")
            if request.method == "GET" and _same(given, self._secrets.token):
                return self._welcome(request)
            if not _same(request.cookies.get(cookie_name(request.scope), ""), self._secrets.session):
                text = "open the address that was printed at the start: it holds the token that is asked for here"
                return PlainTextResponse(text, HTTPStatus.FORBIDDEN)
        if request.method in SAFE_METHODS:
            return None
        if origin is None or origin == "null":
            return PlainTextResponse("a change has to come from a page of this server", HTTPStatus.FORBIDDEN)
        if not _same(request.headers.get(CSRF_HEADER, ""), self._secrets.csrf):
            return PlainTextResponse("the page is older than this server: load it again", HTTPStatus.FORBIDDEN)
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or int(length[:12]) > MAX_BODY_BYTES:
            return PlainTextResponse("too much was sent", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return None

    def _welcome(self, request: Request) -> Response:
        """The same address without the token, which then is in no history and no referrer."""
        rest = [(key, value) for key, value in request.query_params.multi_items() if key != "token"]
        target = "/" + request.url.path.lstrip("/") + ("?" + urlencode(rest) if rest else "")
        response = RedirectResponse(target, HTTPStatus.SEE_OTHER)
        response.set_cookie(
            cookie_name(request.scope), self._secrets.session, httponly=True, samesite="strict", path="/"
        )
        return response


def cookie_name(scope: MutableMapping[str, Any]) -> str:
    """Cookies belong to a host, whatever its port: each server there has its own."""
    port = (scope.get("server") or ("", None))[1]
    return f"stillwatch_{port or 'socket'}"


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
