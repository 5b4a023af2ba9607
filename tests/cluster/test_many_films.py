"""A thousand short films on a cluster that loses a node every minute: each is done, and none twice.

``make soak-cluster`` runs it; ``FILMS=40 KILL_SECONDS=20`` make it shorter for a try.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import films
from tests.acceptance.harness import query
from tests.cluster.ray_cluster import RayCluster
from tests.cluster.test_ray import configured, events, on, pictures

FILMS = int(os.environ.get("STILLWATCH_MANY_FILMS", "1000"))
KILL_SECONDS = float(os.environ.get("STILLWATCH_KILL_SECONDS", "60"))
FRAMES = 25
NODES = ("one", "two", "three")
STALL_SECONDS = 600.0
"""No film is done for so long: something is wrong."""

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(6 * 3600),
    pytest.mark.skipif("STILLWATCH_MANY_FILMS" not in os.environ, reason="it takes an hour: make soak-cluster"),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install '.[cluster]'"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own needs root"),
    pytest.mark.skipif(shutil.which("nsenter") is None, reason="a network of its own needs nsenter of util-linux"),
]


def many(folder: Path, count: int) -> None:
    """Films of the same pictures and different bytes: a box that every reader skips says which one it is."""
    folder.mkdir(parents=True, exist_ok=True)
    one = films.make(folder / "0000.mp4", frames=FRAMES).read_bytes()
    for number in range(count):
        own = number.to_bytes(8)
        (folder / f"{number:04}.mp4").write_bytes(one + (8 + len(own)).to_bytes(4) + b"free" + own)


def test_films_on_a_cluster_that_loses_a_node_every_minute_are_done_once_each(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    select = {"count": 1, "across": False}
    configured(folder, select=select)
    many(folder / "inbox", FILMS)
    names, killed, lost = itertools.count(), 0, list(NODES)
    started = time.monotonic()
    with RayCluster(*NODES) as cluster, on(cluster, folder, {"select": select}, max_retries=100) as daemon:
        done, due = 0, time.monotonic() + KILL_SECONDS
        while done < FILMS:
            daemon.wait_for(lambda event: event["event"] in ("video.done", "video.failed"), STALL_SECONDS)
            done = query(folder, "SELECT COUNT(*) FROM videos WHERE status IN ('done', 'failed', 'rejected')")[0][0]
            if time.monotonic() >= due and done < FILMS:
                # The node that has been there longest goes, and one with another name comes.
                lost.append(f"node-{next(names)}")
                cluster.do("kill", lost.pop(0))
                cluster.do("add", lost[-1])
                killed, due = killed + 1, time.monotonic() + KILL_SECONDS
        assert daemon.stop() == 0
    print(
        f"{FILMS} films in {time.monotonic() - started:.0f} s, {killed} nodes killed, {_postponed(events(daemon, 'video.postponed'))}"
    )
    assert killed > 0
    assert query(folder, "SELECT status, COUNT(*) FROM videos GROUP BY status") == [("done", FILMS)]
    assert Counter(event["video_id"] for event in events(daemon, "video.done")) == Counter(range(1, FILMS + 1))
    # All have the same pictures, so all have the same rows.
    rows = query(folder, "SELECT frame, pts, time_s, score, note, hash, COUNT(*) FROM frames GROUP BY 1, 2, 3, 4, 5, 6")
    assert [(row[0], row[-1]) for row in rows] == [(frame, FILMS) for frame in range(FRAMES)]
    assert len(pictures(folder)) == FILMS


def _postponed(found: list[dict[str, object]]) -> str:
    kinds = Counter(str(event["error_kind"]) for event in found)
    return ", ".join(f"{count} postponed ({kind})" for kind, count in kinds.items()) or "none postponed"
