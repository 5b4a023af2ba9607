"""The daemon's end of the connection to a cluster: starts the process that speaks with Ray, and asks it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import pickle
import socket
import sys
from collections.abc import AsyncGenerator, Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

from daemon.cluster import wire
from daemon.cluster.messages import END, ClusterAwayError, Node, Started
from daemon.config.cluster import ClusterConfig
from daemon.errors import ConfigError
from daemon.runtime.tasks import cancel

CONNECT_SECONDS = 90.0
"""Ray looks for the head for so long, on a busy machine."""
CLOSE_SECONDS = 3.0
ENDED = "Ray has ended the connection: its head is gone, or was started anew"
STARTED_AS = {
    # The token is read from RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token.
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
}


class Link(Protocol):
    """A connected cluster. Everything raises ClusterAwayError once the cluster is lost."""

    async def nodes(self) -> list[Node]:
        """The machines that are there."""

    async def start(self, avoid: Collection[str]) -> tuple[Started, dict[str, Any]]:
        """A worker on any node but these, once there is a place, and what it says of itself. WorkerLostError."""

    async def ask(self, worker: str, method: str, *arguments: Any) -> Any:
        """One answer of a worker. WorkerLostError."""

    def stream(self, worker: str, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        """What a worker gives, item by item; it makes a few ahead. WorkerLostError."""

    async def kill(self, worker: str) -> None:
        """End a worker, whatever it does."""

    async def close(self) -> None:
        """Leave the cluster; all workers end."""


def require_ray(address: str) -> None:
    """Raise ConfigError where a cluster is configured and Ray is not installed."""
    if find_spec("ray") is None:
        raise ConfigError(
            f"cluster.address = {address} needs Ray, which is not installed: `pip install '.[cluster]'`, or"
            " leave the address empty to score here"
        )


def require_token(environ: Mapping[str, str]) -> None:
    """Raise ClusterAwayError where Ray would find no token. It looks in these places, in this order."""
    path = environ.get("RAY_AUTH_TOKEN_PATH") or str(Path(environ.get("HOME", "/")) / ".ray" / "auth_token")
    if not environ.get("RAY_AUTH_TOKEN") and not Path(path).is_file():
        raise ClusterAwayError(
            f"there is no token for it: put the one that the cluster was started with into {path}, or RAY_AUTH_TOKEN"
        )


class RayLink:
    """A ``Link`` through a child process. Made by ``connect``; must be closed."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self._process = process
        self._address = address
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._lost: ClusterAwayError | None = None
        self._writer: asyncio.StreamWriter

    @classmethod
    async def connect(cls, config: ClusterConfig) -> Self:
        """Start the process and wait until it is connected. Raises ClusterAwayError, ConfigError."""
        require_ray(config.address)
        require_token(os.environ)
        ours, theirs = socket.socketpair()
        settings = {"address": config.address, "num_cpus": config.num_cpus, "num_gpus": config.num_gpus}
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "daemon.cluster", str(theirs.fileno()), json.dumps(settings)),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                    env=_environment(os.environ),
                    # A Ctrl-C in the terminal is the daemon's to deal with.
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise ClusterAwayError(f"the process that speaks with Ray does not start ({error})") from error
        link = cls(process, config.address)
        try:
            await link._open(ours)
        except BaseException:
            await link.close()
            raise
        return link

    async def _open(self, ours: socket.socket) -> None:
        reader, self._writer = await asyncio.open_connection(sock=ours)
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[0] = ready
        self._tasks.append(asyncio.create_task(self._read(reader), name="cluster"))
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await ready
        except TimeoutError as error:
            raise ClusterAwayError(f"no answer for {CONNECT_SECONDS:.0f} s") from error

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Hand every answer to whoever asked."""
        try:
            while True:
                number, well, value = await wire.read(reader)
                future = self._asked.pop(number, None)
                if future is None or future.done():
                    self._unwanted(value)
                    continue
                if well:
                    future.set_result(value)
                else:
                    future.set_exception(value)
        except EOFError:
            self._lost = ClusterAwayError(
                "Ray could not connect: is the head running, and is it the same token there and here?"
                if 0 in self._asked
                else ENDED
            )
        except Exception as error:
            self._lost = ClusterAwayError(f"the connection to {self._address} failed: {error}")
        for future in self._asked.values():
            if not future.done():
                future.set_exception(self._lost)
        self._asked.clear()

    async def _ask(self, operation: str, *arguments: Any) -> Any:
        if self._lost is not None:
            raise ClusterAwayError(str(self._lost))
        number = next(self._numbers)
        self._asked[number] = future = asyncio.get_running_loop().create_future()
        try:
            wire.write(self._writer, (number, operation, arguments))
            await self._writer.drain()
            return await future
        except ConnectionError as error:
            raise ClusterAwayError(ENDED) from error
        except asyncio.CancelledError:
            if self._asked.pop(number, None) is not None and self._lost is None:
                wire.write(self._writer, (0, "cancel", (number,)))
            elif future.done() and not future.cancelled() and future.exception() is None:
                self._unwanted(future.result())
            raise

    def _unwanted(self, answer: Any) -> None:
        """An answer that nobody waits for any more: a worker that has started meanwhile would keep its cores."""
        match answer:
            case (Started(worker=worker), _) if self._lost is None:
                wire.write(self._writer, (next(self._numbers), "kill", (worker,)))

    async def nodes(self) -> list[Node]:
        """The machines that are there."""
        found: list[Node] = await self._ask("nodes")
        return found

    async def start(self, avoid: Collection[str]) -> tuple[Started, dict[str, Any]]:
        """A worker on any node but these."""
        found: tuple[Started, dict[str, Any]] = await self._ask("start", tuple(avoid))
        return found

    async def ask(self, worker: str, method: str, *arguments: Any) -> Any:
        """One answer of a worker."""
        return await self._ask("ask", worker, method, arguments)

    async def stream(self, worker: str, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        """What a worker gives."""
        name = await self._ask("stream", worker, method, arguments)
        try:
            while (item := await self._ask("next", name)) != END:
                yield pickle.loads(item)
        finally:
            if self._lost is None:
                # Nobody waits for the answer.
                wire.write(self._writer, (next(self._numbers), "end", (name,)))

    async def kill(self, worker: str) -> None:
        """End a worker, whatever it does."""
        await self._ask("kill", worker)

    async def close(self) -> None:
        """End the process; the workers end with it."""
        await cancel(self._tasks)
        if hasattr(self, "_writer"):
            self._writer.close()
        if self._process.returncode is None:
            if self._lost is None:
                # One that ends by itself is left to asyncio: to look at it here would take its exit code away.
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), CLOSE_SECONDS)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The daemon's own, but for its settings; Ray is told to ask for a token and to report to nobody."""
    own = {key: value for key, value in environ.items() if not key.startswith(("STILLWATCH_", "NOTIFY_", "WATCHDOG_"))}
    home = str(Path(__file__).parents[2])
    path = os.pathsep.join([home, *filter(None, [own.get("PYTHONPATH")])])
    return {**own, **STARTED_AS, "PYTHONPATH": path}
