"""The HTTP server: uvicorn on the loop that is there, on TCP or a Unix socket, with bounds on what clients may hold.

A loop that does not turn does not answer, and there is no thread to guard the store against. A client that sends
nothing holds a connection only while nobody else wants it: the oldest idle one is closed first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import Server

from daemon.errors import Kind, StillwatchError
from daemon.logs.setup import get
from daemon.observe.listen_address import address_of, is_socket_path

log = get(__name__)

REQUEST_SECONDS = 5.0
"""How long a client may take to send a request, also the next one on the same connection."""
MAX_CONNECTIONS = 64
HEAD_BYTES = 16 * 1024
STOP_SECONDS = 1
SOCKET_MODE = 0o660
MAX_PORT = 65535

# What clients do wrong is answered, not logged; what goes wrong here is logged by the pages.
logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)


class Connection(H11Protocol):
    """One client. It is idle while no request of it is being answered."""

    used_at = 0.0
    _giving_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; if it is one too many, another one has to go."""
        super().connection_made(transport)
        self.used_at = self.loop.time()
        self._wait()
        if len(self.connections) > MAX_CONNECTIONS:
            others = [one for one in self.connections if isinstance(one, Connection) and one is not self]
            oldest = min(others, key=lambda one: (one.busy, one.used_at))
            oldest.hang_up()

    def data_received(self, data: bytes) -> None:
        """Some of a request, or all of it."""
        super().data_received(data)
        if self.busy and self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def on_response_complete(self) -> None:
        """The answer is out."""
        self.used_at = self.loop.time()
        super().on_response_complete()
        if not self.busy:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        if self._giving_up is not None:
            self._giving_up.cancel()
        super().connection_lost(exc)

    @property
    def busy(self) -> bool:
        """Whether a whole request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def hang_up(self) -> None:
        """Close the connection at once."""
        self.connections.discard(self)
        self.transport.abort()

    def _wait(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._giving_up = self.loop.call_later(REQUEST_SECONDS, self.hang_up)


@asynccontextmanager
async def serving(setting: str, key: str, app: ASGIApp) -> AsyncIterator[list[str]]:
    """Serve an application for as long as the context lasts, which gives the addresses that it listens on.

    ``setting`` is host:port or the path of a Unix socket, ``key`` the name of that setting. Raises
    StillwatchError(CONFIG) if it cannot be listened on.
    """
    sockets = _unix(setting, key) if is_socket_path(setting) else await _tcp(setting, key)
    config = uvicorn.Config(
        app, http=Connection, ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False,
        server_header=False, date_header=False, timeout_keep_alive=3600, h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_graceful_shutdown=STOP_SECONDS,
    )  # fmt: skip
    config.load()
    server = Server(config)
    server.lifespan = config.lifespan_class(config)
    # Not ``serve``: that takes the signals, and wakes up ten times a second to look whether one came.
    await server.startup(sockets)
    try:
        yield [_name(one) for one in sockets]
    finally:
        await _close(server, sockets)
        if is_socket_path(setting):
            with suppress(OSError):
                Path(setting).unlink()


async def _close(server: Server, sockets: list[socket.socket]) -> None:
    for listening in server.servers:
        listening.close()
    for one in sockets:
        one.close()
    connections: list[Any] = list(server.server_state.connections)
    for connection in connections:
        connection.shutdown()
    tasks = list(server.server_state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for connection in connections:
        connection.transport.abort()


async def _tcp(setting: str, key: str) -> list[socket.socket]:
    host, port = address_of(setting)
    sockets: list[socket.socket] = []
    try:
        if port > MAX_PORT:
            raise OverflowError(f"there is no port {port}")
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in dict.fromkeys(found):
            one = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            one.listen(MAX_CONNECTIONS)
            one.setblocking(False)
    except (OSError, OverflowError) as error:
        for one in sockets:
            one.close()
        raise _cannot_listen(setting, key, error, "choose another address or port") from error
    return sockets


def _unix(setting: str, key: str) -> list[socket.socket]:
    """A socket that only its owner and group may connect to, whatever the umask is."""
    path = Path(setting)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.lexists(path) and stat.S_ISSOCK(path.lstat().st_mode):
            _refuse_if_served(path)
            path.unlink()
        before = os.umask(0o777 & ~SOCKET_MODE)
        try:
            one.bind(setting)
        finally:
            os.umask(before)
        one.listen(MAX_CONNECTIONS)
        one.setblocking(False)
    except OSError as error:
        one.close()
        raise _cannot_listen(setting, key, error, "choose a path in a folder that can be written") from error
    return [one]


def _refuse_if_served(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return
    raise OSError(98, "another process serves it")


def _cannot_listen(setting: str, key: str, error: Exception, fix: str) -> StillwatchError:
    reason = getattr(error, "strerror", None) or str(error)
    return StillwatchError(Kind.CONFIG, f"{key} = {setting} cannot be listened on ({reason}): {fix}")


def _name(one: socket.socket) -> str:
    if one.family == socket.AF_UNIX:
        return str(one.getsockname())
    name, port = one.getsockname()[:2]
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
