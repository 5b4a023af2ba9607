"""Photo tools read what a still says: exiv2, exiftool and Pillow, from a PNG and a JPEG of a phone's film."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from daemon.cli import verify
from daemon.config.schema import Config
from daemon.export import manifest
from daemon.service.foreground import once
from tests import films
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")

PHONE = {
    "com.apple.quicktime.creationdate": "2024-05-01T23:59:59+0200",
    "com.apple.quicktime.location.ISO6709": "+48.8583+002.2944+035.000/",
    "com.apple.quicktime.make": "Apple",
    "com.apple.quicktime.model": "iPhone 15",
}


def phone_film(path: Path) -> Path:
    """Three seconds with a phone's tags."""
    bare = films.make(path.with_name("bare.mp4"), frames=30, rate=10)
    with av.open(str(bare)) as source, av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as film:
        film.metadata.update(PHONE)
        stream = film.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                film.mux(packet)
    bare.unlink()
    return path


async def first_still(tmp_path: Path, **output: Any) -> Path:
    film = phone_film(tmp_path / "Ausflug ü.mov")
    config = Config.model_validate(
        {
            "output": {"path": tmp_path / "out", **output},
            "database": {"path": tmp_path / "db.sqlite"},
            "select": {"strategy": "best", "count": 3, "min_gap_seconds": 0},
        }
    )
    await once(config, [film])
    return next(still for still in verify.find_stills([tmp_path / "out"]) if "_r01_" in still.name)


def exiftool(still: Path) -> dict[str, Any]:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    answer = subprocess.run(["exiftool", "-json", "-n", "-G0", still], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(answer.stdout)[0]
    return found


def exiv2(still: Path) -> dict[str, str]:
    if shutil.which("exiv2") is None:
        pytest.skip("exiv2 is not installed")
    # It ends with 253 where a field that it was not asked for is missing, and says nothing.
    answer = subprocess.run(["exiv2", "-PEXkv", still], capture_output=True, check=False)
    lines = (line.split(None, 1) for line in answer.stdout.decode("utf-8").splitlines())
    return {line[0]: line[1].strip() if len(line) > 1 else "" for line in lines if line}


def time_of(still: Path) -> str:
    """When a still was captured, to the millisecond, as its film's start plus its time."""
    seconds = float(verify.metadata.read(still)["time_s"])
    whole, left = divmod(round(seconds * 1000) + 59_000, 1000)
    return f"2024-05-0{2 if whole >= 60 else 1}T{'00:00' if whole >= 60 else '23:59'}:{whole % 60:02d}.{left:03d}+02:00"


@pytest.mark.parametrize("form", ["png", "jpeg"])
async def test_exiftool_reads_stars_words_time_with_zone_and_camera(tmp_path: Path, form: str) -> None:
    still = await first_still(tmp_path, format=form)
    read = exiftool(still)
    assert (read["EXIF:Make"], read["EXIF:Model"], read["EXIF:Rating"]) == ("Apple", "iPhone 15", 5)
    assert (read["XMP:Make"], read["XMP:Model"], read["XMP:Rating"]) == ("Apple", "iPhone 15", 5)
    assert read["EXIF:ImageDescription"] == read["XMP:Description"]
    assert read["XMP:Description"].startswith("Ausflug ü.mov at 0:00:0")
    assert str(tmp_path) not in read["EXIF:ImageDescription"]
    assert read["XMP:Title"] == "Ausflug ü"
    assert read["EXIF:OffsetTimeOriginal"] == "+02:00"
    day, _, clock = time_of(still).partition("T")
    assert read["EXIF:DateTimeOriginal"] == f"{day.replace('-', ':')} {clock[:8]}"
    assert read["XMP:DateTimeOriginal"] == f"{day.replace('-', ':')} {clock}"
    assert not [name for name in read if "GPS" in name]


@pytest.mark.parametrize("form", ["png", "jpeg"])
async def test_exiv2_reads_the_same(tmp_path: Path, form: str) -> None:
    still = await first_still(tmp_path, format=form)
    read = exiv2(still)
    assert (read["Exif.Image.Make"], read["Exif.Image.Model"]) == ("Apple", "iPhone 15")
    assert (read["Exif.Image.Rating"], read["Xmp.xmp.Rating"]) == ("5", "5")
    assert read["Exif.Image.ImageDescription"].startswith("Ausflug ü.mov at 0:00:0")
    assert read["Xmp.photoshop.DateCreated"] == time_of(still)
    assert read["Exif.Photo.OffsetTimeOriginal"] == "+02:00"
    assert read["Xmp.stillwatch.frame"] == verify.metadata.read(still)["frame"]


@pytest.mark.parametrize("form", ["png", "jpeg"])
async def test_the_place_is_there_when_it_is_asked_for(tmp_path: Path, form: str) -> None:
    still = await first_still(tmp_path, format=form, gps=True)
    with Image.open(still) as image:
        place = image.getexif().get_ifd(0x8825)
    assert place[1] == "N"
    assert np.dot([float(part) for part in place[2]], [1, 1 / 60, 1 / 3600]) == pytest.approx(48.8583, abs=1e-6)
    read = exiftool(still)
    assert (read["EXIF:GPSLatitude"], read["EXIF:GPSLongitude"]) == pytest.approx((48.8583, 2.2944), abs=1e-6)
    assert (read["XMP:GPSLatitude"], read["XMP:GPSLongitude"]) == pytest.approx((48.8583, 2.2944), abs=1e-6)
    assert read["EXIF:GPSAltitude"] == 35
    assert "Exif.GPSInfo.GPSLatitude" in exiv2(still)


@pytest.mark.parametrize("form", ["png", "jpeg"])
async def test_pillow_reads_it_and_the_picture_and_its_film_prove_it(tmp_path: Path, form: str) -> None:
    still = await first_still(tmp_path, format=form)
    with Image.open(still) as image:
        exif = image.getexif()
        assert (exif[0x010F], exif[0x0110], exif[0x4746]) == ("Apple", "iPhone 15", 5)
        assert exif.get_ifd(0x8769)[0x9011] == "+02:00"
        assert 0x8825 not in exif
    (still.parent / manifest.NAME).unlink()
    moved = (tmp_path / "Ausflug ü.mov").rename(tmp_path / "elsewhere.mov")
    alone = shutil.copy(still, tmp_path / still.name)
    assert not next(verify.verify([alone], Config().decode)).proven
    assert next(verify.verify([alone], Config().decode, films=[moved])).reason == ""
