"""What may go wrong around a Ray cluster: nothing is lost, nothing is there twice, and one sentence names the cause."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests import films
from tests.acceptance.harness import query
from tests.cluster.ray_cluster import RayCluster
from tests.cluster.test_ray import Here, equal, events, finished, on, run_here
from tests.cluster.test_ray import pytestmark as pytestmark

FRAMES = 6000
"""So many that what is known of them when a film goes on is more than Ray passes on by itself."""
STUCK_SECONDS = 5.0


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films.make(tmp_path_factory.mktemp("film") / "film.mkv", frames=FRAMES)


@pytest.fixture(scope="module")
def here(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Here:
    return run_here([film], tmp_path_factory.mktemp("home") / "d")


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
