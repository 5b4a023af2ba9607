"""What was opened on a cluster is let go of, also where nobody answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemon.cluster import wire
from daemon.cluster.link import RayLink
from daemon.cluster.messages import ClusterAwayError, Node, Started, WorkerLostError, versions
from daemon.cluster.pool import Lent, Pool, Reference
from daemon.cluster.scanner import ClusterScanner, RemoteFilm
from daemon.config.cluster import ClusterConfig
from daemon.job import VideoJob
from daemon.scan.protocol import Scanner, ScorerFacts
from tests.jobs import video_record

CONFIG = ClusterConfig(address="head:6379")


class SilentLink:
    """Machines that cannot be asked for, workers that never answer."""

    def __init__(self) -> None:
        self.closed = False
        self.killed: list[str] = []

    async def nodes(self) -> list[Node]:
        raise WorkerLostError("it cannot be reached")

    async def start(self, avoid: Collection[str]) -> tuple[Started, dict[str, Any]]:
        raise AssertionError

    async def ask(self, worker: str, method: str, *arguments: Any) -> Any:
        await asyncio.Event().wait()

    async def stream(self, worker: str, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        raise AssertionError
        yield

    async def kill(self, worker: str) -> None:
        self.killed.append(worker)

    async def close(self) -> None:
        self.closed = True


def pool(link: SilentLink) -> Pool:
    async def connect() -> SilentLink:
        return link

    return Pool(CONFIG, Reference("niqe", 1.0), {}, connect, stall_seconds=0.05, pause_seconds=0.0)


async def test_a_cluster_whose_machines_cannot_be_had_is_left_again() -> None:
    link = SilentLink()
    with pytest.raises(ClusterAwayError, match="cannot be reached"):
        await pool(link).lease(lambda: None)
    assert link.closed


async def test_a_worker_that_does_not_let_go_of_its_film_is_ended() -> None:
    link = SilentLink()
    lending = pool(link)
    lending._link = link
    worker = Lent(link, "worker 0", "node", "machine", 0.05)
    facts = ScorerFacts("niqe", "niqe", lower_better=True)
    scanner = ClusterScanner(CONFIG, lending, facts, cast(Scanner, None), 1, 0.05)
    film = RemoteFilm(scanner, lending, worker, VideoJob.of(video_record(), 300.0), facts, CONFIG)
    await asyncio.wait_for(film.let_go(sound=True), 10.0)
    assert link.killed == ["worker 0"]
    assert not lending.idle


async def test_no_process_to_speak_with_ray_is_a_cluster_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(*_: Any, **__: Any) -> Any:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("daemon.cluster.link.require_ray", lambda _: None)
    monkeypatch.setattr("daemon.cluster.link.require_token", lambda _: None)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", none)
    with pytest.raises(ClusterAwayError, match="does not start"):
        await RayLink.connect(CONFIG)


class CountedLink(SilentLink):
    """Machines whose workers are what they have to be, each started only once that is ``allowed``."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = asyncio.Event()
        self.started = 0

    async def nodes(self) -> list[Node]:
        return [Node("node", "machine", 4.0, 0.0)]

    async def start(self, avoid: Collection[str]) -> tuple[Started, dict[str, Any]]:
        await self.allowed.wait()
        self.started += 1
        return Started(f"worker {self.started}", "node", "machine"), {"versions": versions()}

    async def stream(self, worker: str, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        yield {"identity": "niqe", "number": 1.0, "folder": ""}


@pytest.mark.parametrize("steps", range(12))
async def test_a_worker_that_comes_when_its_film_is_given_up_is_ended_or_there_for_the_next(steps: int) -> None:
    """The cancellation comes so many turns of the loop after the worker may start."""
    link = CountedLink()
    lending = pool(link)
    leasing = asyncio.create_task(lending.lease(lambda: None))
    while not lending._waiting:
        await asyncio.sleep(0)
    link.allowed.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    leasing.cancel()
    await asyncio.gather(leasing, return_exceptions=True)
    for _ in range(10):
        await asyncio.sleep(0)
    kept = [worker.id for worker in [*lending.idle, *lending.lent]]
    assert sorted(kept + link.killed) == [f"worker {at + 1}" for at in range(link.started)]


async def test_a_worker_that_is_given_when_its_film_is_given_up_is_there_for_the_next() -> None:
    link = CountedLink()
    lending = pool(link)
    leasing = asyncio.create_task(lending.lease(lambda: None))
    while not lending._waiting:
        await asyncio.sleep(0)
    given = Lent(link, "worker 0", "node", "machine", 5.0)
    await lending.give_back(given)
    leasing.cancel()
    await asyncio.gather(leasing, return_exceptions=True)
    assert lending.idle == [given]


async def test_a_worker_that_was_started_for_nobody_is_ended() -> None:
    """The question was taken back while the answer was on its way."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)
    link = RayLink(cast(Any, SimpleNamespace(returncode=0)), "head:6379")
    opening = asyncio.create_task(link._open(ours))
    wire.write(writer, (0, True, "ready"))
    await opening
    starting = asyncio.create_task(link.start(()))
    number, operation, _ = await wire.read(reader)
    assert operation == "start"
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    wire.write(writer, (number, True, (Started("worker 0", "node", "machine"), {})))
    assert await wire.read(reader) == (0, "cancel", (number,))
    _, *asked = await wire.read(reader)
    assert asked == ["kill", ("worker 0",)]
    await link.close()
    writer.close()
    await writer.wait_closed()
