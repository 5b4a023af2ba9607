"""Which film a camera's small file belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.inbox.companions import companions_of, film_of


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("companion", "film"),
    [
        ("GL014839.LRV", "GX014839.MP4"),
        ("GL010001.LRV", "GH010001.MP4"),
        ("GOPR0042.LRV", "GOPR0042.MP4"),
        ("GOPR0042.THM", "GOPR0042.MP4"),
        ("GS01.LRV", "GS01.360"),
        ("DJI_0001.LRF", "DJI_0001.MP4"),
        ("dji_0001.lrf", "dji_0001.mov"),
        ("MOV001.THM", "MOV001.MOD"),
        ("LRV_20230101_120000_11_001.insv", "VID_20230101_120000_00_001.insv"),
        ("LRV_20230101_120000_01_001.lrv", "PRO_VID_20230101_120000_00_001.mp4"),
        ("SUB/C0001S03.MP4", "CLIP/C0001.MP4"),
    ],
)
def test_a_companion_belongs_to_its_film(tmp_path: Path, companion: str, film: str) -> None:
    put(tmp_path, companion, film)
    assert film_of(tmp_path / companion) == tmp_path / film
    assert film_of(tmp_path / film) is None


@pytest.mark.parametrize(
    "name", ["GL014839.LRV", "DJI.LRF", "SUB/C0001S03.MP4", "film.mp4", "LRV_20230101_120000_11_001.insv"]
)
def test_what_stands_alone_is_a_film_itself(tmp_path: Path, name: str) -> None:
    put(tmp_path, name, "GX999999.MP4", "other.mp4")
    assert film_of(tmp_path / name) is None


def test_a_film_knows_its_companions(tmp_path: Path) -> None:
    put(tmp_path, "GX014839.MP4", "GL014839.LRV", "GX014839.THM", "GL014840.LRV")
    assert [path.name for path in companions_of(tmp_path / "GX014839.MP4")] == ["GX014839.THM", "GL014839.LRV"]
