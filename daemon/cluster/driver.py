"""The process that speaks with Ray: a child of the daemon, since Ray ends the process whose cluster it has lost.

It is a driver in Ray's sense: workers that it has started end with it, however it ends. It decides nothing; the daemon
asks by number, and each question has one answer::

    (number, "start", (avoid,))                      a worker on a node that is none of these
    (number, "stream", (worker, method, arguments))  the name of a stream of what the worker gives
    (number, "next", (stream,))                      the pickle of its next item, or END
    (number, "cancel", (another number,))            that question is not asked any more
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import pickle
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from daemon.cluster import place, wire
from daemon.cluster.messages import END, ClusterAwayError, Node, Started, WorkerLostError
from daemon.cluster.place import Place

AHEAD = 4
"""Pieces of a stream that a worker makes ahead of the daemon."""
FATE_LOOKS = 20
"""A second apart: Ray says first that a worker is unavailable, and later why."""
READY = "ready"
STDERR = 2
WRONG_TOKEN = b"InvalidAuthToken"


class Driver:
    """Answers questions; ``ray`` is the module."""

    def __init__(self, ray: Any, settings: dict[str, Any]) -> None:
        self._ray = ray
        # A machine without stillwatch, or with another one, has to be able to say so.
        ray.cloudpickle.register_pickle_by_value(place)
        self._actor = ray.remote(Place)
        self._resources = {key: settings[key] for key in ("num_cpus", "num_gpus")}
        self._workers: dict[str, Any] = {}
        self._nodes: dict[str, str] = {}
        self._streams: dict[str, tuple[str, Any]] = {}
        self._numbers = itertools.count()
        self.operations: dict[str, Callable[..., Awaitable[Any]]] = {
            "nodes": self.nodes,
            "start": self.start,
            "ask": self.ask,
            "stream": self.stream,
            "next": self.next,
            "end": self.end,
            "kill": self.kill,
        }

    async def nodes(self) -> list[Node]:
        """The machines that are there."""
        found = await asyncio.to_thread(self._ray.nodes)
        return [
            Node(
                one["NodeID"],
                _name(one),
                float(one["Resources"].get("CPU", 0.0)),
                float(one["Resources"].get("GPU", 0.0)),
            )
            for one in found
            if one.get("Alive")
        ]

    async def start(self, avoid: Sequence[str]) -> tuple[Started, dict[str, Any]]:
        """A worker on any node but these, once there is a place for it; and what it says of itself."""
        options: dict[str, Any] = {**self._resources, "max_restarts": 0, "max_task_retries": 0}
        if avoid:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(avoid)})"}
        actor = self._actor.options(**options).remote()
        try:
            hello = await actor.hello.remote()
            machine = next((one.name for one in await self.nodes() if one.id == hello["node"]), hello["host"])
        except BaseException:
            self._ray.kill(actor)
            raise
        name = f"worker {next(self._numbers)}"
        self._workers[name] = actor
        self._nodes[name] = hello["node"]
        return Started(name, hello["node"], machine), hello

    async def ask(self, worker: str, method: str, arguments: Sequence[Any]) -> Any:
        """One answer."""
        return await self._workers[worker].ask.remote(method, *arguments)

    async def stream(self, worker: str, method: str, arguments: Sequence[Any]) -> str:
        """Begin a stream; its name."""
        options = {"num_returns": "streaming", "_generator_backpressure_num_objects": AHEAD}
        number, actor = next(self._numbers), self._workers[worker]
        *before, last = place.pieces(pickle.dumps(arguments, pickle.HIGHEST_PROTOCOL))
        for piece in before:
            await actor.send.remote(number, piece)
        name = f"stream {number}"
        self._streams[name] = worker, actor.stream.options(**options).remote(method, number, last)
        return name

    async def next(self, stream: str) -> bytes | str:
        """The pickle of the next item of a stream, or END."""
        worker, items = self._streams[stream]
        item, is_last = b"", False
        try:
            while not is_last:
                piece, is_last = await (await anext(items))
                item += piece
            return item
        except StopAsyncIteration:
            return END
        except self._ray.exceptions.ActorUnavailableError:
            await self._fate(worker)
            raise

    async def end(self, stream: str) -> None:
        """Nothing more is wanted of a stream."""
        if (held := self._streams.pop(stream, None)) is not None:
            self._ray.cancel(held[1])

    async def kill(self, worker: str) -> None:
        """End a worker, whatever it does."""
        self._nodes.pop(worker, None)
        if (actor := self._workers.pop(worker, None)) is not None:
            self._ray.kill(actor)

    async def _fate(self, worker: str) -> None:
        """Raises what has become of a worker that does not answer, once Ray knows; it first says that it is away."""
        where = self._nodes[worker]
        asked = asyncio.ensure_future(self._workers[worker].hello.remote())
        try:
            for _ in range(FATE_LOOKS):
                done, _ = await asyncio.wait([asked], timeout=1.0)
                if all(node.id != where for node in await self.nodes()):
                    raise WorkerLostError("its machine left the cluster")
                if not done:
                    continue
                if not isinstance(asked.exception(), self._ray.exceptions.ActorUnavailableError):
                    asked.result()
                    return
                await asyncio.sleep(1.0)
                asked = asyncio.ensure_future(self._workers[worker].hello.remote())
        finally:
            asked.cancel()


def _name(node: dict[str, Any]) -> str:
    """What a machine is called: as it was started, else by its own name."""
    address = str(node.get("NodeManagerAddress", ""))
    named = str(node.get("NodeName") or address)
    return named if named != address else str(node.get("NodeManagerHostname") or address)


def in_words(ray: Any, error: Exception) -> Exception:
    """What Ray says of a loss, as one of ours."""
    text = " ".join(str(error).split())
    failures = ray.exceptions
    if isinstance(error, failures.RayTaskError):
        return WorkerLostError(f"it failed: {text[-500:]}", crashed=True)
    if isinstance(error, failures.OutOfMemoryError):
        return WorkerLostError("Ray ended it as the machine was short of memory", crashed=True)
    if isinstance(error, failures.NodeDiedError) or "node has died" in text or "node was terminated" in text:
        return WorkerLostError("its machine left the cluster")
    if isinstance(error, failures.ActorUnavailableError):
        return WorkerLostError("it cannot be reached")
    if isinstance(error, failures.RayActorError | failures.WorkerCrashedError):
        return WorkerLostError(f"its process ended: {text[:300]}", crashed=True)
    if isinstance(error, failures.RayError):
        return WorkerLostError(f"{type(error).__name__}: {text[:300]}")
    return error


async def serve(driver: Driver, ray: Any, connection: socket.socket) -> None:
    """Answer until the daemon is gone."""
    reader, writer = await asyncio.open_connection(sock=connection)
    running: dict[int, asyncio.Task[None]] = {}

    async def answer(number: int, operation: str, arguments: Sequence[Any]) -> None:
        try:
            value, well = await driver.operations[operation](*arguments), True
        except Exception as error:
            value, well = in_words(ray, error), False
        finally:
            running.pop(number, None)
        wire.write(writer, (number, well, value))
        await writer.drain()

    wire.write(writer, (0, True, READY))
    while True:
        try:
            number, operation, arguments = await wire.read(reader)
        except EOFError:
            return
        if operation == "cancel":
            if (task := running.get(*arguments)) is not None:
                task.cancel()
        else:
            running[number] = asyncio.create_task(answer(number, operation, arguments))


def main() -> None:
    """Connect to Ray, then serve on the inherited socket. The arguments: its number, and settings as JSON."""
    connection, settings = socket.socket(fileno=int(sys.argv[1])), json.loads(sys.argv[2])
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), STDERR)
        try:
            ray = _connected(settings["address"])
        except Exception as error:
            said.seek(0)
            _refuse(connection, why_not(error, said.read()))
            sys.exit(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    os.close(nowhere)
    try:
        asyncio.run(serve(Driver(ray, settings), ray, connection))
    finally:
        # Not at leisure: what Ray still holds is the workers', and they end with this process.
        sys.stderr.flush()
        os._exit(0)


def _connected(address: str) -> Any:
    """The module, connected."""
    import ray

    ray.init(
        address=address,
        namespace="stillwatch",
        log_to_driver=False,
        include_dashboard=False,
        logging_level=logging.WARNING,
    )
    return ray


def why_not(error: Exception, said: bytes) -> str:
    """Why there is no connection. Of a wrong token only what Ray's own library has written on stderr speaks.

    >>> why_not(ConnectionError("Failed to connect"), b"RPC error: InvalidAuthToken: ...")[:32]
    'it refuses the token that is use'
    >>> why_not(ConnectionError("Failed to connect"), b"")
    'ConnectionError: Failed to connect'
    """
    if WRONG_TOKEN in said:
        return (
            "it refuses the token that is used here: put the one that the cluster was started with into"
            " RAY_AUTH_TOKEN, or into ~/.ray/auth_token"
        )
    return " ".join(f"{type(error).__name__}: {error}".split())[:600]


def _refuse(connection: socket.socket, reason: str) -> None:
    async def tell() -> None:
        _, writer = await asyncio.open_connection(sock=connection)
        wire.write(writer, (0, False, ClusterAwayError(reason)))
        await writer.drain()

    asyncio.run(tell())
