"""The workers of a cluster: started when one is needed, looked at before they may score, lent out, and lost.

::

    lease ─┬─▶ an idle one
           └─▶ start ─▶ hello: versions ─▶ ready: scorer, calibration picture, folder ─▶ lent
                             └──── differs ────┴──▶ its machine is refused for a while, with the reason
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from daemon.cluster import calibration
from daemon.cluster.link import Link
from daemon.cluster.messages import ClusterAwayError, Failed, Node, Settings, WorkerLostError, versions
from daemon.config.cluster import ClusterConfig
from daemon.errors import StillwatchError
from daemon.logs.setup import get
from daemon.runtime.retry import nothing
from daemon.runtime.stall import while_loading

log = get(__name__)

REFUSED_SECONDS = 300.0
"""A machine that was refused is looked at again after this time: somebody may have mended it."""


BEAT_SECONDS = 1.0


class NoMachineError(ClusterAwayError):
    """The cluster is there, and no machine of it can be used."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a worker has to be like: the versions and the scorer here, its number for the calibration picture."""

    identity: str
    number: float
    versions: dict[str, str] = field(default_factory=versions)


@dataclass(eq=False, slots=True)
class Lent:
    """A worker that somebody uses. ``memory_bytes`` is the most that its processes have held, where that is known."""

    link: Link
    id: str
    node: str
    name: str
    stall_seconds: float
    memory_bytes: int = 0

    async def items(self, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        """What a stream of it gives, None as a sign of life included; what it has failed with is raised."""
        async with aclosing(self.link.stream(self.id, method, *arguments)) as items:
            while True:
                try:
                    async with asyncio.timeout(self.stall_seconds):
                        item = await anext(items)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    raise WorkerLostError(
                        f"it gave no sign of life for {self.stall_seconds:g} s", crashed=True
                    ) from error
                if isinstance(item, Failed):
                    raise item.raised()
                yield item

    async def answer(self, on_progress: Callable[[], None], method: str, *arguments: Any) -> Any:
        """The one thing that a stream of it gives."""
        answer = None
        async with aclosing(self.items(method, *arguments)) as items:
            async for item in items:
                on_progress()
                answer = answer if item is None else item
        return answer


class Pool:
    """Lends workers of a cluster that it is connected to, and connects again once that was lost."""

    def __init__(
        self,
        config: ClusterConfig,
        reference: Reference,
        settings: Settings,
        connect: Callable[[], Awaitable[Link]],
        *,
        stall_seconds: float,
        pause_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._reference = reference
        self._settings = settings
        self._connect = connect
        self._stall_seconds = stall_seconds
        self._pause_seconds = pause_seconds
        self._monotonic = monotonic
        self._link: Link | None = None
        self._connecting = asyncio.Lock()
        self._tried_at = -pause_seconds
        self._away_since: float | None = None
        self._idle: list[Lent] = []
        self._waiting: deque[asyncio.Future[Lent]] = deque()
        self._closing: list[asyncio.Task[None]] = []
        self._refused: dict[str, tuple[float, str, str]] = {}
        self.lent: set[Lent] = set()
        self.away = ""
        """Why the cluster does not answer; empty while it does."""

    @property
    def away_seconds(self) -> float:
        """For how long the cluster has not answered."""
        return 0.0 if self._away_since is None else self._monotonic() - self._away_since

    @property
    def idle(self) -> list[Lent]:
        """Workers that nobody uses now."""
        return list(self._idle)

    @property
    def refused(self) -> list[tuple[str, str]]:
        """Machines that are refused now, each with the reason."""
        now = self._monotonic()
        return [(name, reason) for until, name, reason in self._refused.values() if until > now]

    async def lease(self, on_wait: Callable[[], None]) -> Lent:
        """A worker that may score. Raises ClusterAwayError, NoMachineError when none is left; WorkerLostError."""
        link = await while_loading(self._connected(), on_wait)
        while self._idle:
            if (worker := self._idle.pop()).link is link:
                return self._lend(worker)
        given: asyncio.Future[Lent] = asyncio.get_running_loop().create_future()
        self._waiting.append(given)
        starting = asyncio.create_task(self._started(link, on_wait))
        leased: Lent | None = None
        try:
            while not (given.done() or starting.done()):
                await asyncio.wait([given, starting], timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                on_wait()
            leased = given.result() if given.done() else starting.result()
            return self._lend(leased)
        except NoMachineError as error:
            self._gone(str(error))
            raise
        except ClusterAwayError as error:
            self.lost(link, str(error))
            raise
        finally:
            if given in self._waiting:
                self._waiting.remove(given)
            if not starting.done():
                starting.cancel()
            # What comes too late for this film, or after it was given up, is there for the next one.
            for came in (given, starting):
                if came.done() and not came.cancelled() and came.exception() is None and came.result() is not leased:
                    self._offer(came.result())

    def _lend(self, worker: Lent) -> Lent:
        self._away_since, self.away = None, ""
        self.lent.add(worker)
        return worker

    def _offer(self, worker: Lent) -> None:
        """To whoever waits, else keep it."""
        if worker.link is not self._link:
            return
        while self._waiting:
            if not (given := self._waiting.popleft()).done():
                given.set_result(worker)
                return
        self._idle.append(worker)

    async def give_back(self, worker: Lent) -> None:
        """Let the next film have it."""
        self.lent.discard(worker)
        self._offer(worker)

    async def end(self, worker: Lent) -> None:
        """It is not to be used again: it was lost, hangs, or cannot be trusted."""
        self.lent.discard(worker)
        if worker.link is self._link:
            # Then it is gone already.
            with suppress(ClusterAwayError, WorkerLostError):
                await worker.link.kill(worker.id)

    def refuse(self, node: str, name: str, reason: str) -> None:
        """Start no worker on this machine for a while, and lend none that is there; said once."""
        if (name, reason) not in self.refused:
            log.warning("cluster.worker_refused", worker=name, reason=reason, again_in_s=REFUSED_SECONDS)
        self._refused[node] = self._monotonic() + REFUSED_SECONDS, name, reason
        for worker in self._idle:
            if worker.node == node:
                self._closing.append(asyncio.create_task(self.end(worker), name="cluster"))
        self._idle = [worker for worker in self._idle if worker.node != node]

    def lost(self, link: Link, reason: str) -> None:
        """The cluster does not answer any more; said once."""
        if self._link is link:
            self._link = None
            self._idle.clear()
            self._closing.append(asyncio.create_task(link.close(), name="cluster"))
            self._gone(reason)

    async def close(self) -> None:
        """Leave the cluster."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _connected(self) -> Link:
        async with self._connecting:
            if self._link is not None:
                return self._link
            now = self._monotonic()
            if now - self._tried_at < self._pause_seconds:
                raise ClusterAwayError(self.away)
            try:
                link = await self._connect()
                nodes = await self._nodes_of(link)
            except (ClusterAwayError, WorkerLostError) as error:
                self._gone(str(error))
                raise ClusterAwayError(str(error)) from error
            finally:
                self._tried_at = self._monotonic()
            self._link = link
            cores = sum(node.cpus for node in nodes)
            log.info(
                "cluster.connected",
                address=self._config.address,
                workers=sorted(node.name for node in nodes),
                cores=cores,
                away_s=round(self.away_seconds, 1),
            )
            self._away_since, self.away = None, ""
            return link

    async def _nodes_of(self, link: Link) -> list[Node]:
        """The machines of a cluster that was just connected; it is left again where they cannot be had."""
        try:
            return await link.nodes()
        except BaseException:
            await link.close()
            raise

    def _gone(self, reason: str) -> None:
        if self._away_since is None:
            self._away_since = self._monotonic()
            log.error("cluster.lost", address=self._config.address, error=reason)
        self.away = reason

    async def _started(self, link: Link, on_wait: Callable[[], None]) -> Lent:
        """A new worker that may score, once there is a place for it; machines without such are refused."""
        while True:
            now = self._monotonic()
            self._refused = {node: held for node, held in self._refused.items() if held[0] > now}
            self._require_some(await link.nodes())
            started, hello = await link.start(sorted(self._refused))
            worker = Lent(link, started.worker, started.node, started.name, self._stall_seconds)
            try:
                tolerance = self._config.tolerance
                reason = await refusal(worker, hello, self._reference, self._settings, tolerance, on_wait)
            except BaseException:
                await self.end(worker)
                raise
            if not reason:
                log.info("cluster.worker_ready", worker=started.name, scorer=self._reference.identity)
                return worker
            self.refuse(started.node, started.name, reason)
            await self.end(worker)

    def _require_some(self, nodes: list[Node]) -> None:
        """Raise NoMachineError when every machine that is large enough is refused."""
        fitting = [node for node in nodes if node.cpus >= self._config.num_cpus and node.gpus >= self._config.num_gpus]
        reasons = [
            f"{self._refused[node.id][1]}: {self._refused[node.id][2]}" for node in fitting if node.id in self._refused
        ]
        if fitting and len(reasons) == len(fitting):
            raise NoMachineError(f"no machine of it can be used ({'; '.join(reasons)})")


async def refusal(
    worker: Lent,
    hello: dict[str, Any],
    reference: Reference,
    settings: Settings,
    tolerance: float,
    on_wait: Callable[[], None] = nothing,
) -> str:
    """Why a worker may not score; empty when it may. Raises ClusterAwayError, WorkerLostError."""
    if missing := hello.get("missing"):
        return f"stillwatch is not installed in its Python ({missing}): install the version that runs here"
    there = hello["versions"]
    for name, version in reference.versions.items():
        if there.get(name) != version:
            return f"{name} is {there.get(name, 'unknown')} there and {version} here: install the same version"
    try:
        ready = await worker.answer(on_wait, "ready", settings)
    except StillwatchError as error:
        return f"its scorer cannot be opened: {error.sentence}"
    if ready["identity"] != reference.identity:
        return f"its scorer is {ready['identity']}, here it is {reference.identity}: install the same version"
    differs = calibration.difference(reference.number, ready["number"])
    if differs > tolerance:
        return (
            f"it scores the calibration picture {ready['number']!r}, here it is {reference.number!r}: another kind of"
            f" processor; cluster.tolerance: {differs:.1g} would allow it"
        )
    if ready["folder"]:
        return f"it does not see {settings['folder']} ({ready['folder']}): mount it there, or set cluster.path_map"
    return ""
