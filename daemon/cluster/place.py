"""What Ray starts on a machine: sent there as code, as nobody knows yet whether stillwatch is there, and which."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any


class Place:
    """Holds a ``daemon.cluster.worker.Worker``, made of what is installed where it runs."""

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

    async def stream(self, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        """A stream of the worker."""
        items = getattr(self._worker, method)(*arguments)
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()
