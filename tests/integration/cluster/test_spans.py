"""A long film in spans on several workers: the rows, choices and stills of a run here, or the film whole, and why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from daemon.cluster.messages import WorkerLostError
from daemon.cluster.scanner import ClusterScanner
from daemon.decode.spans import Begun
from daemon.job import VideoJob
from daemon.model import Status
from daemon.scan.protocol import OpenFilm, Rows
from daemon.service.foreground import once
from tests import films
from tests.integration.cluster.fake_link import FakeCluster
from tests.integration.cluster.test_scoring_elsewhere import cluster, config, here, results
from tests.integration.decode import test_spans as decoded
from tests.stub import stub_scorer

__all__ = ["cluster", "stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")

FRAMES = 250
SECONDS = 2.0
KEYS = {"g": "25", "sc_threshold": "0"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def film(folder: Path) -> Path:
    """Ten seconds with a key frame each second."""
    return films.make(folder / "film.mkv", frames=FRAMES, options=KEYS)


async def run_here(path: Path, folder: Path) -> Any:
    (record,), _ = await once(here(folder / "here"), [path])
    assert record.status is Status.DONE, f"{record.error_kind}: {record.error}"
    return results(here(folder / "here"))


async def scored_as_here(path: Path, folder: Path, seconds: float = SECONDS) -> list[Any]:
    """The film comes to the same on the cluster as here; what was logged there."""
    settings = config(folder / "there", span_seconds=seconds)
    with capture_logs() as logs:
        (record,), _ = await once(settings, [path])
    assert record.status is Status.DONE, f"{record.error_kind}: {record.error}"
    assert results(settings) == await run_here(path, folder)
    return list(logs)


def logged(logs: list[Any], event: str) -> list[Any]:
    return [log for log in logs if log["event"] == event]


def together(cluster: FakeCluster, *machines: str) -> None:
    """No machine gives anything before all of them have begun."""
    begun = {machine: asyncio.Event() for machine in machines}
    then = cluster.on_item

    async def wait(machine: str, item: Any) -> Any:
        if machine in begun and isinstance(item, Begun):
            begun[machine].set()
            for other in begun.values():
                await other.wait()
        item = then(machine, item)
        return await item if asyncio.iscoroutine(item) else item

    cluster.on_item = wait


async def test_rows_choices_and_stills_are_those_of_a_run_here(
    cluster: FakeCluster, film: Path, tmp_path: Path
) -> None:
    used: list[str] = []
    cluster.on_item = lambda machine, item: (used.append(machine) if isinstance(item, Begun) else None) or item
    together(cluster, "one", "two")
    logs = await scored_as_here(film, tmp_path)
    assert len(used) == 5
    assert set(used) == {"one", "two"}, "side by side"
    (spans,) = logged(logs, "cluster.in_spans")
    assert (spans["spans"], spans["frames_total"]) == (5, FRAMES)
    assert logged(logs, "cluster.scored_whole") == []


async def test_a_film_that_is_not_long_enough_is_scored_whole_without_a_word(
    cluster: FakeCluster, film: Path, tmp_path: Path
) -> None:
    logs = await scored_as_here(film, tmp_path, 6.0)
    assert not logged(logs, "cluster.in_spans") + logged(logs, "cluster.scored_whole")
    assert len(logged(logs, "cluster.film_taken")) == 1


async def test_a_further_worker_that_is_lost_costs_its_span_alone(
    cluster: FakeCluster, film: Path, tmp_path: Path
) -> None:
    """The other one scores the rest of it: what has come of it is not scored again."""
    lost: list[int] = []
    came: list[int] = []

    async def lose(machine: str, item: Any) -> Any:
        if isinstance(item, Rows):
            if machine == "two" and item.first > 60 and not lost:
                lost.append(item.first)
                await cluster.take_away(machine)
            else:
                came.extend(row.frame for row in item.scored)
        return item

    cluster.on_item = lose
    together(cluster, "one", "two")
    logs = await scored_as_here(film, tmp_path)
    assert lost
    assert sorted(came) == list(range(FRAMES)), "no frame twice"
    assert len(logged(logs, "cluster.span_lost")) == 1
    assert logged(logs, "video.postponed") == []


async def test_the_film_goes_on_where_it_was_when_its_own_worker_is_lost(
    cluster: FakeCluster, film: Path, tmp_path: Path
) -> None:
    """Whichever worker it is, of a crash the film may be the cause: it is tried again, from its last stored frame."""
    crashed: list[int] = []

    def crash(machine: str, item: Any) -> Any:
        if isinstance(item, Rows) and item.first > 120 and not crashed:
            crashed.append(item.first)
            raise WorkerLostError("its process ended: signal 9", crashed=True)
        return item

    cluster.on_item = crash
    logs = await scored_as_here(film, tmp_path)
    assert [log["frames_stored"] > 0 for log in logged(logs, "video.started")] == [False, True]


async def test_a_film_that_comes_meanwhile_gets_a_further_worker_once_its_span_is_done(
    cluster: FakeCluster, film: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = films.make(folder / "other.mkv", frames=20, width=192)
    helped, waits, has_one = asyncio.Event(), asyncio.Event(), asyncio.Event()
    opened = ClusterScanner.opened

    @asynccontextmanager
    async def later(scanner: ClusterScanner, job: VideoJob) -> AsyncIterator[OpenFilm]:
        if job.record.file.path == film:
            async with opened(scanner, job) as open_film:
                yield open_film
            return
        await helped.wait()
        waits.set()
        async with opened(scanner, job) as open_film:
            has_one.set()
            yield open_film

    async def hold(machine: str, item: Any) -> Any:
        if machine == "two" and isinstance(item, Begun):
            helped.set()
            await waits.wait()
        elif machine == "one" and isinstance(item, Rows):
            await has_one.wait()
        return item

    monkeypatch.setattr(ClusterScanner, "opened", later)
    cluster.on_item = hold
    with capture_logs() as logs:
        records, _ = await once(config(tmp_path / "there", span_seconds=SECONDS), [film, other])
    assert [record.status for record in records] == [Status.DONE] * 2
    taken = [(Path(log["video"]).name, log["worker"]) for log in logged(logs, "cluster.film_taken")]
    assert taken[:3] == [("film.mkv", "one"), ("film.mkv", "two"), ("other.mkv", "two")]
    assert logged(logs, "cluster.film_left")[0]["frames"] == 50, "of one span"


BEHIND = {
    "open": (decoded.made("a.mkv", options=decoded.OPEN), "its groups of pictures are open"),
    "edit-list": (decoded.trimmed, "an edit list hides frames"),
    "joined": (decoded.joined, "its clock starts anew"),
    "damaged": (decoded.damaged, "damage: "),
    "no-keys": (decoded.WHOLE["no-keys"][0], "no key frames but the first"),
    "late": (decoded.made("a.avi", options={**KEYS, "bf": "2"}), "fewer frames than packets"),
    "turns-damaged": (decoded.spoilt, "damage: "),
    "reshaped-in-a-span": (decoded.reshaped, "the shape of its pictures changes"),
    "reshaped-between": (
        lambda folder: decoded.reshaped(folder, 50),
        "the shape of its pictures changes",
    ),
}


@pytest.mark.parametrize("name", BEHIND)
async def test_a_film_that_cannot_be_taken_in_spans_is_scored_whole_with_the_reason(
    cluster: FakeCluster, tmp_path: Path, name: str
) -> None:
    make, reason = BEHIND[name]
    logs = await scored_as_here(make(tmp_path), tmp_path, 1.5)
    (whole,) = logged(logs, "cluster.scored_whole")
    assert reason in whole["reason"]
