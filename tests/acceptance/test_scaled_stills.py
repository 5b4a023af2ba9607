"""Stills of another size: scaled once proven, recorded, and proven again by scaling the frame likewise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daemon.export.proof import png_depth
from daemon.export.scaling import scaled, target_size
from tests import films
from tests.acceptance.harness import cli, write_config


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_scaled_picture_is_the_same_picture(dtype: type[np.uint8] | type[np.uint16]) -> None:
    top = np.iinfo(dtype).max
    ramp = np.linspace(0, top, 120).astype(dtype)
    picture = np.repeat(np.repeat(ramp[None, :, None], 90, axis=0), 3, axis=2)
    small = scaled(picture, 40, 30)
    assert (small.shape, small.dtype) == ((30, 40, 3), dtype)
    # A ramp stays a ramp, whatever the filter; the edges apart.
    expected = np.linspace(top / 120, top - top / 120, 40)
    assert np.abs(small[15, 2:-2, 1].astype(float) - expected[2:-2]).max() <= top / 100


def test_no_side_is_longer_than_asked_and_nothing_is_enlarged() -> None:
    assert target_size(192, 108, 96) == (96, 54)
    assert target_size(108, 192, 96) == (54, 96)
    assert target_size(64, 48, 96) == (64, 48)
    assert target_size(64, 48, 0) == (64, 48)


@pytest.mark.model
@pytest.mark.parametrize(
    ("kind", "format_", "depth"), [("h264", "auto", 8), ("h264", "jpeg", None), ("ten bits", "auto", 16)]
)
def test_scaled_stills_are_recorded_and_verified(tmp_path: Path, kind: str, format_: str, depth: int | None) -> None:
    deep = kind == "ten bits"
    film = films.make(tmp_path / "film.mp4", frames=40, pix_fmt="yuv420p10le" if deep else "yuv420p")
    config = str(write_config(tmp_path, output={"format": format_, "size": 96}, select={"count": 2}))
    assert cli("once", str(film), "--config", config).returncode == 0
    stills = sorted(path for path in (tmp_path / "stills").rglob("*") if path.suffix in (".png", ".jpg"))
    assert len(stills) == 2
    manifest = json.loads((stills[0].parent / "manifest.json").read_text())
    for still, entry in zip(stills, manifest["stills"], strict=True):
        with Image.open(still) as image:
            assert image.size == (entry["width"], entry["height"])
            assert max(image.size) == 96
        assert entry["scaled_from"] == [192, 108]
        if depth is not None:
            assert png_depth(still)[0] == depth
    shown = json.loads(cli("show", "1", "--json", "--config", config).stdout)
    assert all(max(one["width"], one["height"]) == 96 for one in shown["selections"][-1]["stills"])
    assert cli("verify", *map(str, stills), "--config", config).returncode == 0
    # The same again is taken from the disk; the full size is made anew, and both are proven.
    assert cli("select", "1", "--count", "3", "--config", config).returncode == 0
    assert cli("select", "1", "--count", "3", "--size", "0", "--config", config).returncode == 0
    current = json.loads(cli("show", "1", "--json", "--config", config).stdout)["selections"][-1]["stills"]
    for one in current:
        with Image.open(one["path"]) as image:
            assert image.size == (one["width"], one["height"]) == (192, 108)
    shutil.copytree(tmp_path / "stills", tmp_path / "copy")
    assert cli("verify", str(tmp_path / "copy"), "--config", config).returncode == 0


@pytest.mark.model
def test_another_picture_in_the_scaled_file_is_not_proven(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=40)
    config = str(write_config(tmp_path, output={"size": 96}, select={"count": 2}))
    assert cli("once", str(film), "--config", config).returncode == 0
    from daemon.export import metadata

    one, other = sorted((tmp_path / "stills").rglob("*.png"))
    chunk_of_facts = metadata.read(one)
    wrong = metadata.embed(metadata.remove(other.read_bytes()), chunk_of_facts)
    one.write_bytes(wrong)
    (one.parent / "manifest.json").unlink()
    answer = cli("verify", str(one), "--config", config)
    assert answer.returncode == 1
    assert "pixels are not those" in answer.stdout + answer.stderr
