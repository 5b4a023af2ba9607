"""SIGKILL at any moment: started again until it is done, the daemon has the rows and the stills of a run in peace."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests import films
from tests.acceptance.harness import PATIENCE_SECONDS, Daemon, frame_rows, query, stills, write_config

CLIPS = ("bikes.mp4", "carphone_pristine.mp4", "bigbuckbunny.mp4")


def inbox(folder: Path, sources: list[Path]) -> Path:
    """A configuration, and the clips in its watch folder with times that are the same in every run."""
    folder.mkdir()
    config = write_config(folder, select={"count": 4}, service={"max_attempts": 100})
    for source in sources:
        target = folder / "inbox" / source.name
        shutil.copy(source, target)
        os.utime(target, (1_000_000, 1_000_000))
    return config


def outcome(folder: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]], dict[str, bytes]]:
    """Rows, picks and still files; ids, and the times at which things were done, may differ."""
    picks = query(
        folder,
        "SELECT v.fingerprint, s.rank, s.frame, s.time_s, s.score, s.sha256, s.method FROM stills s"
        " JOIN videos v ON v.id = s.video_id ORDER BY 1, 2",
    )
    files = {name: data for name, data in stills(folder).items() if not name.endswith("manifest.json")}
    return frame_rows(folder), picks, files


def all_done(folder: Path, count: int) -> bool:
    if not (folder / "stillwatch.db").exists():
        return False
    try:
        return query(folder, "SELECT COUNT(*) FROM videos WHERE status = 'done'") == [(count,)]
    except sqlite3.OperationalError:  # the schema is not there yet
        return False


def killed_until_done(folder: Path, config: Path, count: int, kills: int, seed: int, busy_seconds: float) -> int:
    """Kill the daemon at seeded random moments of its work, then let it end; returns how many kills met it at work."""
    rng = random.Random(seed)
    met = 0
    for _ in range(kills):
        daemon = Daemon(config)
        with daemon:
            moment = rng.uniform(0.0, busy_seconds)
            if rng.random() < 0.8:
                daemon.ready()
            deadline = time.monotonic() + moment
            while time.monotonic() < deadline and daemon.process.poll() is None and not all_done(folder, count):
                time.sleep(0.005)
            met += not all_done(folder, count)
            daemon.stop(signal.SIGKILL)
    with Daemon(config).ready() as daemon:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all_done(folder, count):
            assert time.monotonic() < deadline, daemon.tail()
            time.sleep(0.05)
        assert daemon.stop() == 0
    return met


def check(tmp_path: Path, sources: list[Path], *, kills: int, seed: int) -> None:
    # Stills name their source, so both runs happen at the same place.
    place = tmp_path / "place"
    with Daemon(inbox(place, sources)).ready() as daemon:
        started = time.monotonic()
        for _ in sources:
            daemon.event("video.done")
        busy_seconds = time.monotonic() - started
        assert daemon.stop() == 0
    peace = outcome(place)
    shutil.rmtree(place)
    config = inbox(place, sources)
    met = killed_until_done(place, config, len(sources), kills, seed, 1.5 * busy_seconds / kills)
    assert met > kills / 3, f"only {met} of {kills} kills met it at work"
    assert outcome(place) == peace
    assert not (place / "stills" / ".stillwatch-work").exists()
    names = {path.name for path in place.rglob("*")}
    assert not {name for name in names if name.endswith((".tmp", ".part", ".partial"))}
    assert query(place, "SELECT DISTINCT attempts FROM videos") == [(0,)]
    commands = [" ".join(_command_of(process)) for process in psutil.process_iter()]
    assert [command for command in commands if str(place) in command] == [], "a killed daemon left nobody behind"


def _command_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def short(clips: dict[str, Path], folder: Path) -> list[Path]:
    """The beginnings of three real clips, not encoded again."""
    return [
        films.remux(clips[name], folder / f"{Path(name).stem}.mkv", "-an", "-c", "copy", "-frames:v", "60")
        for name in CLIPS
    ]


def test_six_kills_change_nothing(tmp_path: Path, clips: dict[str, Path]) -> None:
    check(tmp_path, short(clips, tmp_path), kills=6, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thirty_kills_change_nothing(tmp_path: Path, clips: dict[str, Path]) -> None:
    check(tmp_path, [clips[name] for name in CLIPS], kills=30, seed=2)
