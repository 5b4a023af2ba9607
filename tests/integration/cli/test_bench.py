"""``stillwatch bench``: every figure of the table is there and means what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon.cli import bench
from daemon.config.schema import Config
from tests import films
from tests.acceptance.harness import cli

pytestmark = pytest.mark.model


def test_one_file_is_measured_from_decoding_to_storing(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=70, width=320, height=240)
    found = bench.bench(film, Config())
    assert (found.frames, found.width, found.height) == (70, 320, 240)
    assert found.machine
    assert found.decode_fps > found.end_to_end_fps > 0
    assert found.score_fps > found.end_to_end_fps
    assert 0 < found.efficiency < 1
    assert 0 <= found.store_share < found.hash_share + found.store_share < 0.5
    assert found.pyiqa_fps is not None
    assert found.times_pyiqa == pytest.approx(found.score_fps / found.pyiqa_fps)


def test_the_table_and_the_json_say_the_same_columns(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=12, width=128, height=96)
    ended = cli("bench", str(film), "--json")
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(ended.stdout)
    assert row["frames"] == 12
    table = cli("bench", str(film))
    assert table.returncode == 0, table.stderr
    assert "| 128x96, 12 frames |" in table.stdout
    assert row["machine"] in table.stdout
