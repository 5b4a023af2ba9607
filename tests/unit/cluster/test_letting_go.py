"""What was opened on a cluster is let go of, also where nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from typing import Any, cast

import pytest

from daemon.cluster.link import RayLink
from daemon.cluster.messages import ClusterAwayError, Node, Started, WorkerLostError
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
