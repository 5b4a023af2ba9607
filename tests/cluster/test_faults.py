"""What may go wrong around a Ray cluster: nothing is lost, nothing is there twice, and one sentence names the cause."""

from __future__ import annotations

import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import films
from tests.acceptance.harness import query
from tests.cluster.ray_cluster import MOUNT, RayCluster
from tests.cluster.test_ray import Here, configured, empty, equal, events, finished, on, put, run_here
from tests.cluster.test_ray import pytestmark as pytestmark

FRAMES = 6000
"""So many that what is known of them when a film goes on is more than Ray passes on by itself."""
STUCK_SECONDS = 5.0


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films.make(tmp_path_factory.mktemp("film") / "film.mkv", frames=FRAMES)


@pytest.fixture(scope="module")
def run(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Here:
    return run_here([film], tmp_path_factory.mktemp("home") / "d")


@pytest.fixture
def here(run: Here) -> Iterator[Here]:
    """Where the film waits, and what comes of it here."""
    yield run
    empty(run.folder)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("short")
    return [films.make(folder / f"{at}.mkv", frames=30, width=192 + 4 * at) for at in range(3)]


def once_each(folder: Path, count: int) -> None:
    assert query(folder, "SELECT status, COUNT(*) FROM videos GROUP BY status") == [("done", count)]


def test_a_full_object_store_is_not_noticed(here: Here) -> None:
    """Nothing goes through it, also where a film goes on from thousands of frames, or is cut into spans."""
    with RayCluster("one", "two", spills=False) as cluster:
        said = cluster.do("fill")
        assert said.count("Error") == 3, f"the head's and those of both nodes are full: {said}"
        with on(cluster, here.folder, videos=1) as daemon:
            while daemon.event("video.progress")["frame"] < FRAMES * 0.9:
                pass
            daemon.process.send_signal(signal.SIGKILL)
            daemon.process.wait()
        with on(cluster, here.folder, span_seconds=60.0) as daemon:
            finished(daemon, here.folder, 1)
            assert daemon.stop() == 0
        (started,) = events(daemon, "video.started")
        assert started["frames_stored"] > 5200
        assert len(events(daemon, "cluster.in_spans")) == 1
        assert events(daemon, "cluster.scored_whole") + events(daemon, "video.postponed") == []
    equal(here)


def test_a_daemon_with_another_token_waits_and_says_so(short: list[Path], tmp_path: Path) -> None:
    """The films cost nothing meanwhile, and are done by one with the right token."""
    folder = tmp_path / "d"
    configured(folder)
    put(short, folder)
    with RayCluster("one") as cluster:
        right = dict(cluster.token)
        cluster.token["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        with on(cluster, folder, gone_seconds=1.0) as daemon:
            lost, paused = daemon.event("cluster.lost"), daemon.event("service.paused")
            assert daemon.stop() == 0
        assert lost["error"].startswith("it refuses the token that is used here: put the one that the cluster was ")
        assert lost["error"] in paused["error"]
        assert query(folder, "SELECT DISTINCT status, attempts, retries FROM videos") == [("queued", 0, 0)]
        cluster.token.update(right)
        with on(cluster, folder) as daemon:
            finished(daemon.ready(), folder, len(short))
            assert daemon.stop() == 0
    once_each(folder, len(short))


def test_a_node_with_another_token_does_not_join(short: list[Path], tmp_path: Path) -> None:
    """Ray tells it why; the others are not disturbed."""
    folder = tmp_path / "d"
    configured(folder)
    with RayCluster("one") as cluster, on(cluster, folder) as daemon:
        code, said = cluster.do("stranger", "other").split(maxsplit=1)
        put(short, folder)
        finished(daemon, folder, len(short))
        assert daemon.stop() == 0
    assert code != "0"
    assert "Authentication token is missing or incorrect" in said
    assert events(daemon, "cluster.connected")[0]["workers"] == ["head", "one"]
    assert {event["worker"] for event in events(daemon, "cluster.worker_ready")} == {"one"}
    once_each(folder, len(short))


@pytest.mark.skipif(shutil.which(MOUNT) is None, reason=f"a storage that hangs needs {MOUNT}")
def test_a_machine_whose_storage_hangs_is_refused_and_its_film_goes_on_elsewhere(here: Here) -> None:
    """It is the machine that is at fault, so the film is not."""
    folder = here.folder
    with RayCluster() as cluster:
        cluster.do("mount", "slow", str(folder / "inbox"))
        with on(cluster, folder, {"service": {"stuck_seconds": STUCK_SECONDS}}) as daemon:
            daemon.event("video.progress")
            assert cluster.do("stall", "slow") == "1"
            refused, postponed = daemon.event("cluster.worker_refused"), daemon.event("video.postponed")
            cluster.do("add", "one")
            finished(daemon, folder, 1)
            assert daemon.stop() == 0
    assert refused["worker"] == "slow"
    assert (
        f"it cannot read {folder}/inbox/film.mkv any more (nothing came for 30 s): look at its mount"
        in refused["reason"]
    )
    assert postponed["error_kind"] == "worker_lost"
    assert "the worker on slow was lost: it cannot read " in postponed["error"]
    assert any(event["frames_stored"] > 0 for event in events(daemon, "video.started")), "it went on where it was"
    assert query(folder, "SELECT attempts FROM videos") == [(0,)]
    equal(here)
