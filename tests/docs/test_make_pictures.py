"""The script that makes the README's picture: the rows are what their labels say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from tests import films
from tests.docs.generate import ROOT


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pictures", ROOT / "docs/make_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_uniform_sampling_takes_the_middles_of_equal_parts(script: ModuleType, tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=100)
    row = script.uniform(film, 5)
    assert [films.read_code(np.asarray(picture)) for _, picture in row] == [10, 30, 50, 70, 90]
    assert [second for second, _ in row] == pytest.approx([0.4, 1.2, 2.0, 2.8, 3.6])


@pytest.mark.slow
def test_the_other_row_is_what_the_tool_itself_chooses(script: ModuleType, tmp_path: Path) -> None:
    row = script.chosen(films.make(tmp_path / "film.mp4", frames=75), 3)
    assert 1 <= len(row) <= 3
    seconds = [second for second, _ in row]
    assert seconds == sorted(seconds)
    assert [films.read_code(np.asarray(picture)) for _, picture in row] == [round(second * 25) for second in seconds]


def test_the_sheet_has_both_rows_in_cells_of_one_size(script: ModuleType) -> None:
    rows = [
        ("one", [(0.0, Image.new("RGB", (320, 180), "red")), (1.0, Image.new("RGB", (320, 180), "blue"))]),
        ("other", [(0.0, Image.new("RGB", (320, 180), "lime"))]),
    ]
    sheet = script.sheet(rows, "whose it is")
    assert sheet.width == script.WIDTH
    colours = {colour for _, colour in sheet.getcolors(100_000)}
    assert {(255, 0, 0), (0, 0, 255), (0, 255, 0)} <= colours
