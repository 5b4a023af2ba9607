"""``stillwatch bench``: every figure of the table is there and means what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon.cli import bench
from daemon.cli.bench_processes import DECODER, DECODING, OTHERS, SCORING
from daemon.config.schema import Config
from tests import films
from tests.acceptance.harness import cli

pytestmark = pytest.mark.model

STAGES = ["start", "decode", "hash", "convert", "measure", "score", "store", "choose and export"]


def test_one_file_is_measured_from_decoding_to_the_stills(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=70, width=320, height=240)
    found = bench.bench(film, Config())
    assert (found.frames, found.width, found.height, found.codec, found.pix_fmt) == (70, 320, 240, "h264", "yuv420p")
    assert found.machine
    assert list(found.stages) == STAGES
    assert all(cost.cpu_s >= 0 for cost in found.stages.values())
    for name in ("start", "decode", "convert", "score", "store"):
        assert found.stages[name].cpu_s > 0, name
    assert found.ratio == pytest.approx(found.once.cpu_s / found.ffmpeg.cpu_s)
    # Of so short a film nearly all is the start, so that a wide band says little: the figure is there.
    assert 0.5 < found.alone < 2
    assert list(found.parts) == [DECODER, DECODING, SCORING, OTHERS]
    # Decoding so little is over between two looks.
    assert all(found.parts[name] > 0 for name in (DECODING, SCORING))
    assert found.accounted == pytest.approx(sum(found.parts.values()) / found.once.cpu_s)
    assert 0.8 < found.accounted < 1.05
    assert found.once.cpu_s > found.stages["decode"].cpu_s
    assert 50 < found.memory_mib < 4000
    assert found.pyiqa_fps is not None
    assert found.times_pyiqa is not None
    assert found.times_pyiqa > 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_table_and_the_json_say_the_same(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=12, width=128, height=96)
    ended = cli("bench", str(film), "--json", seconds=400)
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(ended.stdout)
    assert row["frames"] == 12
    assert list(row["stages"]) == STAGES
    table = cli("bench", str(film), seconds=400)
    assert table.returncode == 0, table.stderr
    assert "128x96, 12 frames" in table.stdout
    assert all(f"| stage: {name} |" in table.stdout for name in STAGES)
    assert row["machine"] in table.stdout
