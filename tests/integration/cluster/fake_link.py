"""A cluster in this process: real workers, every message pickled, and machines that can be taken away."""

from __future__ import annotations

import asyncio
import itertools
import pickle
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any

from daemon.cluster.messages import ClusterAwayError, Node, Started, WorkerLostError
from daemon.cluster.worker import Worker


def sent(value: Any) -> Any:
    """As it arrives on another machine."""
    return pickle.loads(pickle.dumps(value))


class FakeCluster:
    """Machines by name, each with room for one worker; ``on_item`` sees every item of a scan before it is given."""

    def __init__(self, *machines: str) -> None:
        self.machines = {name: Node(name, name, 2.0, 0.0) for name in machines or ("one", "two")}
        self.workers: dict[str, tuple[str, Worker]] = {}
        self.hello: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self.on_item: Callable[[str, Any], Any] = lambda _, item: item
        self.up = True
        self.connections = 0
        self.largest = 0
        self._numbers = itertools.count()
        self._gone: list[Worker] = []
        self._room = asyncio.Condition()

    async def connect(self) -> FakeLink:
        if not self.up:
            raise ClusterAwayError("nobody answers there")
        self.connections += 1
        return FakeLink(self, self.connections)

    async def take_away(self, machine: str) -> None:
        """The machine is gone, with its workers."""
        self.machines.pop(machine, None)
        for worker, (where, _) in list(self.workers.items()):
            if where == machine:
                await self.drop(worker)

    async def drop(self, worker: str) -> None:
        found = self.workers.pop(worker, None)
        if found is not None:
            await found[1]._held.aclose()
            self._gone.append(found[1])
        async with self._room:
            self._room.notify_all()

    async def end_scorers(self) -> None:
        """Of workers that are gone; not before, as a scan that is still read here would wait for its scorer."""
        while self._gone:
            if (batcher := self._gone.pop()._batcher) is not None:
                await batcher.close()

    def free(self, avoid: Collection[str]) -> str | None:
        taken = {where for where, _ in self.workers.values()}
        return next((name for name in self.machines if name not in taken and name not in avoid), None)


class FakeLink:
    def __init__(self, cluster: FakeCluster, number: int) -> None:
        self._cluster = cluster
        self._number = number
        self._own: list[str] = []

    def _check(self) -> None:
        if not self._cluster.up or self._number != self._cluster.connections:
            raise ClusterAwayError("the connection was lost")

    async def nodes(self) -> list[Node]:
        self._check()
        return list(self._cluster.machines.values())

    async def start(self, avoid: Collection[str]) -> tuple[Started, dict[str, Any]]:
        self._check()
        async with self._cluster._room:
            await self._cluster._room.wait_for(lambda: self._cluster.free(avoid) is not None)
            machine = self._cluster.free(avoid)
            assert machine is not None
            name = f"{machine} {next(self._cluster._numbers)}"
            worker = Worker()
            self._cluster.workers[name] = machine, worker
            self._own.append(name)
        hello = {"host": machine, "node": machine, **worker.hello()}
        return Started(name, machine, machine), self._cluster.hello.get(machine, lambda same: same)(hello)

    def _worker(self, worker: str) -> Worker:
        self._check()
        if worker not in self._cluster.workers:
            raise WorkerLostError("its machine left the cluster")
        return self._cluster.workers[worker][1]

    async def ask(self, worker: str, method: str, *arguments: Any) -> Any:
        return sent(await getattr(self._worker(worker), method)(*sent(arguments)))

    async def stream(self, worker: str, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        machine = self._cluster.workers[worker][0] if worker in self._cluster.workers else ""
        items = getattr(self._worker(worker), method)(*sent(arguments))
        try:
            async for item in items:
                if method in ("scan", "scan_span"):
                    item = self._cluster.on_item(machine, item)
                    if asyncio.iscoroutine(item):
                        item = await item
                self._worker(worker)
                self._cluster.largest = max(self._cluster.largest, len(pickle.dumps(item)))
                yield sent(item)
        finally:
            await items.aclose()

    async def kill(self, worker: str) -> None:
        await self._cluster.drop(worker)

    async def close(self) -> None:
        """Workers end with whoever has started them."""
        for worker in self._own:
            await self._cluster.drop(worker)
        await self._cluster.end_scorers()
