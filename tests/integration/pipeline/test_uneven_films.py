"""Films that are damaged, slow, joined, interlaced or that change: from the file to the stills and their proof."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import corpus

LARGE = {"width": 320, "height": 192}
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "10")


def views(number: int, width: int, height: int) -> Any:
    """Shots of two seconds, each with a view of its own that pans; the sharpest frames are in their middles."""
    shot, frame = divmod(number, 50)
    rng = np.random.default_rng(shot)
    coarse = Image.fromarray(rng.integers(30, 200, (6, 12, 3), dtype=np.uint8))
    fine = Image.fromarray(rng.integers(0, 50, (height // 2, width, 3), dtype=np.uint8))
    wide = (2 * width, height)
    picture = sum(np.asarray(one.resize(wide, Image.Resampling.BICUBIC)).astype(int) for one in (coarse, fine))
    part = picture[:, 2 * frame : 2 * frame + width]
    return np.clip(part + (frame - 25) // 5, 0, 255).astype(np.uint8)


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "STILLWATCH_OUTPUT__PATH": str(folder / "stills"),
        "STILLWATCH_DATABASE__PATH": str(folder / "stillwatch.db"),
        "STILLWATCH_SELECT__MIN_GAP_SECONDS": "0.2",
        "STILLWATCH_SELECT__MIN_DIFFERENCE": "0",
        **{f"STILLWATCH_{key.upper()}": value for key, value in settings.items()},
    }
    command = [sys.executable, "-m", "daemon", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder, check=False)


def exported(folder: Path, film: Path, **settings: str) -> dict[str, Any]:
    """The manifest of a film's stills, each of them proven again."""
    ended = run(folder, "once", str(film), **settings)
    assert ended.returncode == 0, ended.stderr
    (manifest,) = folder.glob("stills/*/manifest.json")
    verified = run(folder, "verify", str(manifest.parent))
    assert verified.returncode == 0, verified.stdout
    content: dict[str, Any] = json.loads(manifest.read_text())
    return content


def test_stills_have_the_shape_of_their_frame(tmp_path: Path) -> None:
    one = corpus.encode(tmp_path / "one.ts", *MPEG2, "-vf", "setsar=4/5", numbers=range(30), **LARGE)
    two = corpus.encode(tmp_path / "two.ts", *MPEG2, "-vf", "setsar=16/15", numbers=range(30, 60), **LARGE)
    film = tmp_path / "film.ts"
    film.write_bytes(one.read_bytes() + two.read_bytes())
    found = exported(tmp_path, film)
    assert [stretch["first"] for stretch in found["stream"]["stretches"]] == [0, 30]
    shapes = [[still["width"] / still["height"] for still in found["stills"] if (still["frame"] < 30) == early]
              for early in (True, False)]  # fmt: skip
    assert shapes[0] == pytest.approx([4 / 3] * len(shapes[0]), rel=0.02)
    assert shapes[1] == pytest.approx([16 / 9] * len(shapes[1]), rel=0.02)
    assert all(shapes)


@pytest.mark.parametrize("count", ["2", "8"])
def test_damaged_frames_are_left_out_beside_whole_ones(tmp_path: Path, count: str) -> None:
    found = exported(tmp_path, corpus.without_packets(tmp_path / "film.ts"), select__count=count)
    assert found["source"]["damaged"]
    assert "refer to damaged ones" in found["source"]["damage"]
    assert "left out for damage" in found["selection"]["reasons"]["because"]
    assert len(found["stills"]) == int(count)
    assert all(not 20 <= still["frame"] < 40 for still in found["stills"])


def test_slides_are_a_film_each_of_which_stands_for_its_own_time(tmp_path: Path) -> None:
    film = corpus.timed("film.mp4", [0, 5000, 65_000, 85_000, 90_000])(tmp_path)
    found = exported(tmp_path, film, select__count="5")
    by_time = {round(still["time_s"]): still["reason"]["seconds"] for still in found["stills"]}
    assert by_time[5] == pytest.approx(60, abs=1)
    assert len(by_time) == 5


@pytest.mark.parametrize(
    ("name", "codec", "offset"),
    [
        ("film.ts", corpus.X264, "0"),
        ("hours.ts", corpus.X264, "18000"),
        ("film.vob", MPEG2, "0"),
        ("film.mkv", corpus.X264, "0"),
    ],
    ids=["ts", "five hours ahead", "vob", "mkv"],
)
def test_joined_parts_give_the_stills_of_one_film(
    tmp_path: Path, name: str, codec: tuple[str, ...], offset: str
) -> None:
    """A gap of a second leaves room for thirteen in fifteen seconds, wherever their best frames are."""
    film = tmp_path / name
    ahead = ("-output_ts_offset", offset)
    one = corpus.encode(tmp_path / f"one{film.suffix}", *codec, numbers=range(250), painter=views)
    two = corpus.encode(tmp_path / f"two{film.suffix}", *codec, *ahead, numbers=range(250, 382), painter=views)
    film.write_bytes(one.read_bytes() + two.read_bytes())
    found = exported(tmp_path, film, select__count="13", select__min_gap_seconds="1", select__min_difference="9")
    assert len(found["stills"]) == 13, found["selection"]["shortfall"]
    assert found["selection"]["reasons"]["frames"] == 382
    for still in found["stills"]:
        assert still["time_s"] == pytest.approx(still["frame"] / 25, abs=0.005)
        assert f"_t{still['time_s']:010.3f}_" in Path(still["file"]).name
    assert any(still["frame"] >= 250 for still in found["stills"])


def test_stills_of_interlaced_films_are_proven_with_the_setting_they_were_made_by(tmp_path: Path) -> None:
    film = corpus.encode(
        tmp_path / "film.ts", *MPEG2, "-vf", "tinterlace=interleave_top", "-flags", "+ilme+ildct",
        numbers=range(60), **LARGE,
    )  # fmt: skip
    found = exported(tmp_path, film, select__count="2")
    assert found["stream"]["deinterlace"] == "auto"
    assert run(tmp_path, "verify", str(next(tmp_path.glob("stills/*"))), decode__deinterlace="off").returncode == 0
    again = tmp_path / "again"
    again.mkdir()
    kept = exported(again, film, select__count="2", decode__deinterlace="off")
    assert kept["stream"]["deinterlace"] == "off"
    assert kept["score"]["scorer"] != found["score"]["scorer"]
