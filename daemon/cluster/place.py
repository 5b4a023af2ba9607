"""What Ray starts on a machine: sent there as code, as nobody knows yet whether stillwatch is there, and which."""

from __future__ import annotations

import pickle
from collections.abc import AsyncGenerator
from typing import Any

PIECE_BYTES = 96_000
"""Ray passes on what is smaller than 100 KiB by itself. It keeps larger things in an object store, which others may
have filled: so everything travels in pieces."""


class Place:
    """Holds a ``daemon.cluster.worker.Worker``, made of what is installed where it runs."""

    def __init__(self) -> None:
        self._sent: dict[int, bytes] = {}

    async def hello(self) -> dict[str, Any]:
        """Who is there, and ``missing`` where no worker can be."""
        import socket

        import ray

        where = {"node": ray.get_runtime_context().get_node_id(), "host": socket.gethostname()}
        try:
            from daemon.cluster.worker import Worker
        except ImportError as error:
            return {**where, "missing": str(error)}
        self._worker = Worker()
        return {**where, **self._worker.hello()}

    async def ask(self, method: str, *arguments: Any) -> Any:
        """One answer of the worker."""
        return await getattr(self._worker, method)(*arguments)

    async def send(self, number: int, piece: bytes) -> None:
        """One more piece of the arguments of a stream that begins later."""
        self._sent[number] = self._sent.get(number, b"") + piece

    async def stream(self, method: str, number: int, last_piece: bytes) -> AsyncGenerator[tuple[bytes, bool], None]:
        """A stream of the worker: the pickle of each item in pieces, each with whether it is the last of its item."""
        arguments = pickle.loads(self._sent.pop(number, b"") + last_piece)
        items = getattr(self._worker, method)(*arguments)
        try:
            async for item in items:
                *before, last = pieces(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
                for piece in before:
                    yield piece, False
                yield last, True
        finally:
            await items.aclose()


def pieces(data: bytes) -> list[bytes]:
    """What Ray passes on by itself, one piece at least.

    >>> [len(piece) for piece in pieces(bytes(200_000))], pieces(b"")
    ([96000, 96000, 8000], [b''])
    """
    return [data[at : at + PIECE_BYTES] for at in range(0, max(len(data), 1), PIECE_BYTES)]
