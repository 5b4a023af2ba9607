"""The daemon on a real Ray cluster of this machine: equal to a run here, whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from daemon.scoring.niqe.scorer import VERSION
from tests import films
from tests.acceptance.harness import Daemon, frame_rows, query, stills, write_config
from tests.cluster.ray_cluster import ROOT, RayCluster

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install '.[cluster]'"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own needs root"),
    pytest.mark.skipif(shutil.which("nsenter") is None, reason="a network of its own needs nsenter of util-linux"),
]

SHORT_FILMS = 20
LONG_FRAMES = 1500
SLOW_SECONDS = 150
"""Of film, large enough that further workers are there before it is done."""
SPAN_SECONDS = 8.0
PATIENCE_SECONDS = 900.0
OTHER_SCORER = '''
import sys
from importlib.machinery import PathFinder

class Other:
    """Has the scorer say that it is another version. A copy of the package would be compiled anew, which takes long."""

    @staticmethod
    def find_spec(name, path, target=None):
        if name != "daemon.scoring.niqe.scorer":
            return None
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (load(module), setattr(module, "VERSION", 0))
        return spec

sys.meta_path.insert(0, Other)
'''


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster("one", "two", "three") as running:
        yield running


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("short")
    keys = {"g": "12", "sc_threshold": "0"}
    return [
        films.make(folder / f"{at:02}.mkv", frames=60, width=192 + 4 * at, options=keys) for at in range(SHORT_FILMS)
    ]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Long enough that something can happen in the middle."""
    folder = tmp_path_factory.mktemp("long")
    return [films.make(folder / f"{at}.mkv", frames=LONG_FRAMES, width=480 + 16 * at, height=270) for at in range(3)]


def put(paths: list[Path], folder: Path) -> None:
    for path in paths:
        shutil.copy2(path, folder / "inbox" / path.name)


def configured(folder: Path, **sections: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    service = {"poll_seconds": 0.2, "pause_seconds": 1.0, "retry_seconds": 0.5}
    return write_config(folder, **{"service": service, **sections})


def on(cluster: RayCluster, folder: Path, sections: dict[str, dict[str, Any]] | None = None, **more: Any) -> Daemon:
    """A daemon that scores on the cluster; ``more`` are settings of it, ``sections`` others."""
    settings = {"address": cluster.address, "num_cpus": 1, "videos": 3, "gone_seconds": 5.0, **more}
    config = configured(folder, cluster=settings, **(sections or {}))
    environment = [f"{key}={value}" for key, value in {**cluster.token, "PYTHONPATH": str(ROOT)}.items()]
    command = ["env", *environment, sys.executable, "-P", "-m", "daemon", "run", "--config", str(config)]
    return Daemon(config, cluster.inside(*command))


def finished(daemon: Daemon, folder: Path, count: int) -> None:
    """Wait until so many films are done."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while query(folder, "SELECT COUNT(*) FROM videos WHERE status = 'done'")[0][0] < count:
        daemon.wait_for(lambda event: event["event"] == "video.done", max(deadline - time.monotonic(), 1.0))


def stored(daemon: Daemon, folder: Path) -> None:
    """Wait until some frames are committed; progress is told before that."""
    daemon.event("video.progress")
    while not query(folder, "SELECT COUNT(*) FROM frames")[0][0]:
        daemon.event("video.progress")


class Here(NamedTuple):
    """What scoring here gave; the films wait in the folder for whoever scores them elsewhere."""

    folder: Path
    rows: list[tuple[Any, ...]]
    pictures: dict[str, bytes]


def run_here(paths: list[Path], folder: Path) -> Here:
    config = configured(folder)
    put(paths, folder)
    with Daemon(config) as daemon:
        finished(daemon.ready(), folder, len(paths))
        daemon.stop()
    found = Here(folder, frame_rows(folder) + film_rows(folder), pictures(folder))
    empty(folder)
    return found


def film_rows(folder: Path) -> list[tuple[Any, ...]]:
    """What is stored of whole films."""
    return query(
        folder,
        "SELECT v.path, v.frames_decoded, v.damaged, v.mixed, v.info, p.record FROM videos v"
        " LEFT JOIN packet_index p ON p.video_id = v.id WHERE v.status = 'done' ORDER BY 1",
    ) + query(
        folder,
        "SELECT v.path, b.block, b.packed FROM feature_blocks b JOIN videos v ON v.id = b.video_id ORDER BY 1, 2",
    )


def empty(folder: Path) -> None:
    """All but the films is as before the first start: stills name the path of their film, so it stays the same."""
    for path in folder.glob("stillwatch.db*"):
        path.unlink()
    shutil.rmtree(folder / "stills", ignore_errors=True)


def pictures(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in stills(folder).items() if name.endswith(".png")}


@pytest.fixture(scope="module")
def long_here(long: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Here:
    return run_here(long, tmp_path_factory.mktemp("long-home") / "d")


@pytest.fixture
def folder(long_here: Here) -> Iterator[Path]:
    """Where the long films wait."""
    yield long_here.folder
    empty(long_here.folder)


def events(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    return [event for event in daemon.events if event["event"] == name]


def equal(here: Here) -> None:
    assert frame_rows(here.folder) + film_rows(here.folder) == here.rows
    assert pictures(here.folder) == here.pictures


@pytest.fixture(scope="module")
def short_here(short: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Here:
    return run_here(short, tmp_path_factory.mktemp("short-home") / "d")


@pytest.mark.parametrize("span_seconds", [0.0, 0.9], ids=["whole", "in-spans"])
def test_twenty_films_give_the_rows_choices_and_stills_of_a_run_here(
    cluster: RayCluster, short_here: Here, span_seconds: float
) -> None:
    folder = short_here.folder
    with on(cluster, folder, span_seconds=span_seconds) as daemon:
        finished(daemon.ready(), folder, SHORT_FILMS)
        assert daemon.stop() == 0
    equal(short_here)
    empty(folder)
    assert len(events(daemon, "cluster.in_spans")) == (SHORT_FILMS if span_seconds else 0)
    assert events(daemon, "cluster.scored_whole") == []
    used = [event["worker"] for event in events(daemon, "cluster.worker_ready")]
    # On a busy machine the first may have done all before the second one is ready.
    assert used
    assert len(used) == len(set(used)), "a worker is not started for each film"
    assert events(daemon, "video.postponed") == []


@pytest.fixture(scope="module")
def one_here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    film = films.noise(tmp_path_factory.mktemp("slow") / "slow.mkv", seconds=SLOW_SECONDS)
    return run_here([film], tmp_path_factory.mktemp("one-home") / "d")


@pytest.fixture
def alone(one_here: Here) -> Iterator[Path]:
    """Where one long film waits, alone."""
    yield one_here.folder
    empty(one_here.folder)


def test_one_film_in_spans_on_three_nodes_two_of_which_are_killed(
    cluster: RayCluster, alone: Path, one_here: Here
) -> None:
    """First one that helps, then the one that has the film."""
    with on(cluster, alone, span_seconds=SPAN_SECONDS) as daemon:
        own, helps = (daemon.event("cluster.film_taken")["worker"] for _ in range(2))
        cluster.do("kill", helps)
        daemon.event("cluster.span_lost")
        # At once: two workers would soon be through the film.
        cluster.do("kill", own)
        postponed = daemon.event("video.postponed")
        cluster.do("add", helps)
        cluster.do("add", own)
        finished(daemon, alone, 1)
        daemon.stop()
    equal(one_here)
    assert postponed["error_kind"] == "worker_lost"
    assert len(events(daemon, "cluster.in_spans")) == 2
    assert events(daemon, "cluster.scored_whole") == []


def test_a_daemon_that_is_killed_amid_spans_goes_on_where_it_was(
    cluster: RayCluster, alone: Path, one_here: Here
) -> None:
    with on(cluster, alone, span_seconds=SPAN_SECONDS) as daemon:
        stored(daemon, alone)
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
    with on(cluster, alone, span_seconds=SPAN_SECONDS) as daemon:
        finished(daemon, alone, 1)
        daemon.stop()
    equal(one_here)
    (started,) = events(daemon, "video.started")
    assert started["frames_stored"] > 0


def test_a_film_that_turns_out_to_be_damaged_is_scored_whole(cluster: RayCluster, tmp_path: Path) -> None:
    """Found in a span while other workers are in theirs: they end, and are there for the next film."""
    folder, path = tmp_path / "d", tmp_path / "film.mkv"
    films.make(path, frames=600, width=480, height=270, options={"g": "50", "sc_threshold": "0"})
    content = bytearray(path.read_bytes())
    at = len(content) // 2
    content[at : at + 2000] = bytes(2000)
    path.write_bytes(content)
    here = run_here([path], folder)
    with on(cluster, folder, span_seconds=4.0) as daemon:
        finished(daemon.ready(), folder, 1)
        daemon.stop()
    equal(here)
    (whole,) = events(daemon, "cluster.scored_whole")
    assert whole["reason"].startswith("damage: ")


def test_nodes_that_are_killed_in_mid_film_lose_nothing(
    cluster: RayCluster, long: list[Path], long_here: Here, folder: Path
) -> None:
    with on(cluster, folder) as daemon:
        for name in ("one", "two"):
            daemon.event("video.progress")
            cluster.do("kill", name)
            daemon.event("video.postponed")
        cluster.do("add", "one")
        cluster.do("add", "two")
        finished(daemon, folder, len(long))
        daemon.stop()
    equal(long_here)
    postponed = events(daemon, "video.postponed")
    assert {event["error_kind"] for event in postponed} == {"worker_lost"}
    assert any("its machine left the cluster" in event["error"] for event in postponed)
    assert any(event["frames_stored"] > 0 for event in events(daemon, "video.started")), "it went on where it was"


def test_a_daemon_that_is_killed_goes_on_where_it_was(
    cluster: RayCluster, long: list[Path], long_here: Here, folder: Path
) -> None:
    with on(cluster, folder) as daemon:
        stored(daemon, folder)
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
    with on(cluster, folder) as daemon:
        finished(daemon, folder, len(long))
        daemon.stop()
    equal(long_here)
    assert any(event["frames_stored"] > 0 for event in events(daemon, "video.started"))


def test_a_worker_with_another_scorer_is_refused_by_name(short: list[Path], tmp_path: Path) -> None:
    """Nobody else is there at first: the films wait, and are done once somebody is."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text(OTHER_SCORER)
    folder = tmp_path / "d"
    configured(folder)
    put(short[:3], folder)
    with RayCluster() as own:
        own.do("add", "other", f"PYTHONPATH={other}")
        with on(own, folder) as daemon:
            refused = daemon.event("cluster.worker_refused")
            paused = daemon.event("service.paused")
            own.do("add", "one")
            finished(daemon, folder, 3)
            daemon.stop()
    assert refused["worker"] == "other"
    assert "its scorer is niqe|fused 0|" in refused["reason"]
    assert f"here it is niqe|fused {VERSION}|" in refused["reason"]
    assert "no machine of it can be used (other: its scorer is niqe|fused 0|" in paused["error"]
    assert len({row[0] for row in query(folder, "SELECT scorer FROM videos")}) == 1
    assert query(folder, "SELECT DISTINCT attempts, retries FROM videos") == [(0, 0)], "waiting costs a film nothing"


def test_a_node_that_cannot_see_the_folder_is_refused(short: list[Path], tmp_path: Path) -> None:
    """The folder is empty there, as where nothing is mounted."""
    folder = tmp_path / "d"
    configured(folder)
    put(short[:3], folder)
    with RayCluster() as own:
        own.do("blind", "blind", str(folder / "inbox"))
        with on(own, folder) as daemon:
            refused = daemon.event("cluster.worker_refused")
            own.do("add", "one")
            finished(daemon, folder, 3)
            daemon.stop()
    assert refused["worker"] == "blind"
    assert "it does not see" in refused["reason"]
    assert "mount the folder there, or set cluster.path_map" in refused["reason"]
    assert events(daemon, "video.failed") == []


def test_a_file_that_changed_between_admission_and_scoring_is_taken_anew(
    cluster: RayCluster, long: list[Path], short: list[Path], tmp_path: Path
) -> None:
    """It waits behind a longer one; size and time stay the same."""
    folder = tmp_path / "d"
    configured(folder)
    put(long[:1], folder)
    with on(cluster, folder, videos=1) as daemon:
        daemon.event("video.started")
        put(short[:1], folder)
        queued = daemon.event("video.queued", short[0].name)
        film = folder / "inbox" / short[0].name
        data, look = bytearray(film.read_bytes()), film.stat()
        data[-200] ^= 0xFF
        film.write_bytes(data)
        os.utime(film, ns=(look.st_atime_ns, look.st_mtime_ns))
        finished(daemon, folder, 2)
        daemon.stop()
    ends = dict(query(folder, "SELECT id, status FROM videos"))
    assert ends[queued["video_id"]] == "replaced"
    assert sorted(ends.values()) == ["done", "done", "replaced"]


def test_the_head_may_be_gone_for_half_a_minute(long: list[Path], long_here: Here, folder: Path) -> None:
    with RayCluster("one", "two") as own, on(own, folder) as daemon:
        daemon.event("video.progress")
        own.do("stop-head")
        time.sleep(30.0)
        own.do("start-head")
        finished(daemon, folder, len(long))
        daemon.stop()
    equal(long_here)
    # Films that have a worker go on meanwhile; a head that has forgotten everything ends that.
    told = {event["error"] for event in events(daemon, "cluster.lost")}
    assert told <= {"Ray has ended the connection: its head is gone, or was started anew"}
    assert all(event["error_kind"] == "worker_lost" for event in events(daemon, "video.postponed"))
    assert query(folder, "SELECT DISTINCT attempts FROM videos") == [(0,)]


def test_what_status_and_metrics_show(cluster: RayCluster, folder: Path) -> None:
    def workers() -> list[dict[str, Any]]:
        progress = json.loads((folder / "stillwatch.db.progress").read_text())
        return list((progress.get("cluster") or {}).get("workers", []))

    with on(cluster, folder) as daemon:
        # The file is written once a second at most, an event comes with each batch.
        daemon.wait_for(
            lambda event: event["event"] == "video.progress" and any(one["fps"] > 0 for one in workers()),
        )
        assert {one["worker"] for one in workers()} <= {"one", "two", "three"}
        daemon.stop()
    with sqlite3.connect(folder / "stillwatch.db") as db:
        assert db.execute("SELECT COUNT(*) FROM videos WHERE status = 'scoring'").fetchone() == (0,), "all given back"
    db.close()
