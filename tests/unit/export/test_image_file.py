"""Stills are opened as PNG and JPEG only, and never without a bound."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import pytest
from PIL import Image

from daemon.export.image_file import MOST_PARTS, MOST_SCANS, open_image
from daemon.export.still_colour import chunk
from tests import corpus
from tests.hostile_containers import many_scans


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_still_is_opened(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (20, 10), "red").save(tmp_path / "still", kind)
    with open_image(tmp_path / "still") as image:
        assert (image.format, image.size) == (kind, (20, 10))


@pytest.mark.parametrize("kind", ["GIF", "EPS", "TIFF", "BMP", "WEBP"])
def test_no_other_format_is_tried_whatever_the_name_says(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (20, 10), "red").save(tmp_path / "still.png", kind)
    with pytest.raises(OSError, match="neither a PNG nor a JPEG"):
        open_image(tmp_path / "still.png")


def test_a_picture_beyond_the_bound_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (2000, 2000)).save(tmp_path / "still.png")
    with pytest.raises(ValueError, match="2000x2000 pixels, more than 1000"):
        open_image(tmp_path / "still.png", most_pixels=1000)


def test_a_picture_of_many_passes_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """Each scan costs a few bytes of the file and a pass over the whole picture."""
    (tmp_path / "still.jpg").write_bytes(many_scans(1024, MOST_SCANS))
    with pytest.raises(ValueError, match=f"more than {MOST_SCANS} scans"):
        open_image(tmp_path / "still.jpg")


def segments(count: int) -> bytes:
    """EXIF in so many pieces, which a reader puts together one by one."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 0) + bytes(65_000)
    return b"\xff\xd8" + (b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif) * count + file.getvalue()[2:]


def chunks(count: int, kind: bytes = b"tEXt", body: bytes = b"key\0value") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "PNG")
    data = file.getvalue()
    at = data.index(b"IDAT") - 4
    return data[:at] + chunk(kind, body) * count + data[at:]


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "data", [segments(900), chunks(1_000_000), chunks(1_000_000, b"IDAT", b"")], ids=["exif", "texts", "no samples"]
)
def test_a_picture_of_many_parts_is_refused_before_they_are_put_together(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "still.png").write_bytes(data)
    with pytest.raises(ValueError, match="parts besides its samples"):
        open_image(tmp_path / "still.png").load()


def test_a_picture_of_many_samples_is_opened(tmp_path: Path) -> None:
    """FFmpeg writes them by four kilobytes."""
    corpus.encode(
        tmp_path / "still.png",
        "-vf",
        "noise=alls=100",
        "-pix_fmt",
        "rgb24",
        "-update",
        "1",
        numbers=[1],
        width=2560,
        height=1600,
    )
    assert (tmp_path / "still.png").read_bytes().count(b"IDAT") > MOST_PARTS
    with open_image(tmp_path / "still.png") as image:
        image.load()


def test_a_progressive_picture_is_opened(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 90).convert("RGB").save(tmp_path / "still.jpg", progressive=True)
    with open_image(tmp_path / "still.jpg") as image:
        image.load()
        assert image.info["progressive"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "still.png")
    with pytest.raises(OSError, match="not a regular file"):
        open_image(tmp_path / "still.png")


def test_what_the_process_allows_elsewhere_stays(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    Image.new("RGB", (20, 10)).save(tmp_path / "still.png")
    open_image(tmp_path / "still.png").close()
    assert before == Image.MAX_IMAGE_PIXELS is not None
