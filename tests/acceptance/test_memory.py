"""Memory is bounded by the settings, whatever the length of the video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from daemon.runtime.ticking import ticking
from tests import films
from tests.acceptance.harness import Daemon, query, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

MIB = 1024 * 1024
QUEUE_BYTES = 8 * MIB
"""Which a film of a minute fills, too."""
LOOKED_BYTES = 64 * MIB
"""What a choice keeps of frames grows up to some ten thousand of them, and how alike moments are up to 4,096 of these."""


@contextmanager
def highest(daemon: Daemon) -> Iterator[list[int]]:
    """The largest resident size of the daemon while the block runs, sampled."""
    process = psutil.Process(daemon.process.pid)
    peak = [process.memory_info().rss]

    def sample() -> None:
        peak[0] = max(peak[0], process.memory_info().rss)

    with ticking(0.02, sample, "looking"):
        yield peak


def peak_bytes(folder: Path, source: Path) -> tuple[int, int, int]:
    """Resident bytes of a fresh daemon when idle, the most until a film is scored, and the most until it is done."""
    folder.mkdir()
    config = write_config(folder, select={"strategy": "representative"}, decode={"queue_bytes": QUEUE_BYTES})
    with Daemon(config).ready() as daemon:
        idle = psutil.Process(daemon.process.pid).memory_info().rss
        with highest(daemon) as peak:
            source.rename(folder / "inbox" / source.name)
            daemon.wait_for(lambda event: event["event"] == "video.scored", 1000.0)
            scoring = peak[0]
            daemon.wait_for(lambda event: event["event"] == "video.done", 1000.0)
        assert daemon.stop() == 0
    return idle, scoring, peak[0]


def test_work_takes_no_more_than_the_queue_and_a_fixed_amount(tmp_path: Path) -> None:
    idle, _, peak = peak_bytes(tmp_path / "a", films.noise(tmp_path / "film.mp4", "1920x1080", 20))
    print(f"1080p: idle {idle / MIB:.0f} MiB, peak {peak / MIB:.0f} MiB")
    assert peak - idle <= QUEUE_BYTES + 400 * MIB


@pytest.fixture(scope="module")
def peaks(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[int, int]]:
    """By minutes, the most resident bytes until the film is scored, and until it is done."""
    folder = tmp_path_factory.mktemp("films")
    minute = films.noise(folder / "minute.mp4", "640x360", 60)
    long = films.remux(minute, folder / "long.mp4", "-c", "copy", before=("-stream_loop", "19"))
    found = {1: peak_bytes(folder / "short", minute)[1:], 20: peak_bytes(folder / "long", long)[1:]}
    assert query(folder / "long", "SELECT frames_decoded FROM videos") == [(36_000,)]
    for minutes, (scoring, whole) in found.items():
        print(f"{minutes} min: {scoring / MIB:.0f} MiB while scoring, {whole / MIB:.0f} MiB at most")
    return found


def test_scoring_a_film_of_twenty_minutes_takes_no_more_than_one_of_a_minute(peaks: dict[int, tuple[int, int]]) -> None:
    assert peaks[20][0] <= peaks[1][0] * 1.05


def test_a_film_of_twenty_minutes_takes_no_more_than_one_of_a_minute(peaks: dict[int, tuple[int, int]]) -> None:
    assert peaks[20][1] <= peaks[1][1] * 1.05 + LOOKED_BYTES
