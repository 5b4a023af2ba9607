"""Thousands of files at once, more than the kernel's event queue holds; and a daemon that has nothing to do."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from tests import films
from tests.acceptance.harness import Daemon, query, write_config
from tests.kernel import small_event_queue

MIB = 1024 * 1024


def gray(number: int, width: int, height: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 90, np.uint8)


def storm(folder: Path, count: int) -> None:
    """So many films of three flat frames, no two alike: scored, and nothing to be exported."""
    clip = films.make(folder.parent / "clip.mkv", frames=3, width=64, height=64, painter=gray).read_bytes()
    for number in range(count):
        # Behind the last cluster of a Matroska file comes what nobody reads.
        (folder / f"{number:05}.mkv").write_bytes(clip + number.to_bytes(4, "big"))


def wait_for_schema(folder: Path) -> None:
    """The daemon has begun: its database can be asked."""
    deadline = time.monotonic() + 60.0
    while True:
        with suppress(sqlite3.OperationalError):
            query(folder, "SELECT 1 FROM videos")
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def accounted_for(folder: Path, count: int, seconds: float, daemon: Daemon, memory: list[int]) -> None:
    process = psutil.Process(daemon.process.pid)
    deadline = time.monotonic() + seconds
    sql = "SELECT COUNT(*) FROM videos WHERE status IN ('done', 'failed', 'rejected', 'missing')"
    while (done := query(folder, sql)[0][0]) < count:
        assert time.monotonic() < deadline, f"{done} of {count}: {daemon.tail()}"
        memory.append(process.memory_info().rss)
        time.sleep(0.25)


def run_storm(tmp_path: Path, count: int, events: int, seconds: float) -> list[int]:
    # Nothing but the overflow itself makes the daemon list the folder again.
    config = write_config(tmp_path, log={"level": "warning"}, watch={"rescan_seconds": 3600.0})
    memory: list[int] = []
    with small_event_queue(events), Daemon(config) as daemon:
        storm(tmp_path / "inbox", count // 2)
        wait_for_schema(tmp_path)
        for path in sorted((tmp_path / "inbox").iterdir()):
            number = int(path.stem) + count // 2
            (tmp_path / "inbox" / f"{number:05}.mkv").write_bytes(path.read_bytes()[:-4] + number.to_bytes(4, "big"))
        accounted_for(tmp_path, count, seconds, daemon, memory)
        assert daemon.stop() == 0
    assert query(tmp_path, "SELECT status, frames_decoded, COUNT(*) FROM videos GROUP BY 1, 2") == [("done", 3, count)]
    assert query(tmp_path, "SELECT COUNT(DISTINCT path), COUNT(DISTINCT fingerprint) FROM videos") == [(count, count)]
    assert query(tmp_path, "SELECT COUNT(*) FROM frames") == [(3 * count,)]
    return memory


def test_a_storm_of_files_is_accounted_for_exactly_once(tmp_path: Path) -> None:
    run_storm(tmp_path, 200, events=16, seconds=120.0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_files_are_accounted_for_and_memory_stays_flat(tmp_path: Path) -> None:
    memory = run_storm(tmp_path, 10_000, events=64, seconds=3000.0)
    settled = memory[len(memory) // 4 :]
    early, late = np.median(settled[: len(settled) // 4]), np.median(settled[-len(settled) // 4 :])
    print(f"resident: {early / MIB:.0f} MiB after a quarter, {late / MIB:.0f} MiB at the end")
    assert late < early * 1.1 + 16 * MIB


def held(process: psutil.Process) -> tuple[int, int, int]:
    """Resident bytes, open files, threads."""
    return process.memory_info().rss, process.num_fds(), process.num_threads()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("videos", [0, 500])
def test_a_daemon_with_nothing_to_do_costs_nothing(tmp_path: Path, videos: int) -> None:
    """Ten minutes idle: under 1 % of a core, and nothing grows; also after 500 videos."""
    config = write_config(
        tmp_path, log={"level": "warning"}, service={"poll_seconds": 1.0}, watch={"rescan_seconds": 60.0}
    )
    with Daemon(config) as daemon:
        wait_for_schema(tmp_path)
        storm(tmp_path / "inbox", videos)
        accounted_for(tmp_path, videos, 600.0, daemon, [])
        process = psutil.Process(daemon.process.pid)
        time.sleep(15.0)
        before, cpu = held(process), sum(process.cpu_times()[:2])
        time.sleep(600.0)
        after, used = held(process), sum(process.cpu_times()[:2]) - cpu
        print(f"{videos} videos: CPU {used / 600:.2%}, before {before}, after {after}")
        assert daemon.stop() == 0
    assert used / 600 < 0.01
    assert after[0] <= before[0] + 4 * MIB
    assert after[1:] <= before[1:]
