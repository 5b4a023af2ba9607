"""The review page's server on a socket of its own, for requests that no browser sends."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.config.schema import Config
from daemon.store.store import Store
from daemon.web.review import reviewing

REQUEST = (
    b"GET /film/1?page=2&sort=name HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nCookie: a=b; c=d\r\n"
    b"Range: bytes=0-10\r\nContent-Length: 3\r\nOrigin: http://x\r\nConnection: close\r\n\r\nabc"
)
ANSWER_SECONDS = 10.0


@contextmanager
def served(folder: Path) -> Iterator[Path]:
    """Serve an empty database on a Unix socket, from a thread of its own."""
    config = Config.model_validate(
        {"database": {"path": folder / "db.sqlite"}, "output": {"path": folder / "out"}, "watch": {"path": folder}}
    )
    path, loop, over, ready = folder / "review.sock", asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        await (await Store.open(config.database)).close()
        async with reviewing(config, str(path), "--socket"):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield path
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def status(path: Path, request: bytes) -> int:
    """The code of the answer; 0 where the connection was closed without one. Raises OSError, TimeoutError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(path))
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while b"\r\n" not in answer and (chunk := connection.recv(4096)):
            answer += chunk
    words = answer.split(b"\r\n")[0].split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
