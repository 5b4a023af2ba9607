"""Facts inside an image: read back, and not one pixel changed."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from daemon.export.metadata import embed, read

FACTS = {
    "software": "stillwatch 1.0",
    "source": "/in/My film “Ünïcode” 日本語 🎬.mp4",
    "frame": "431",
    "score": repr(3.2147198765),
    "pts": "",
    "scorer": "niqe pyiqa 0.1.16 " + "w" * 300,
}


def pixels(dtype: type = np.uint8) -> NDArray[np.uint8] | NDArray[np.uint16]:
    top = np.iinfo(dtype).max
    return np.random.default_rng(5).integers(0, top, (18, 26, 3), dtype=dtype, endpoint=True)


def png(array: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """As FFmpeg's encoder writes it, 8 or 16 bits."""
    deep = array.dtype == np.uint16
    context = av.CodecContext.create("png", "w")
    context.width, context.height = array.shape[1], array.shape[0]
    context.pix_fmt = "rgb48be" if deep else "rgb24"
    context.time_base = 1
    frame = av.VideoFrame.from_ndarray(array, format="rgb48le" if deep else "rgb24").reformat(format=context.pix_fmt)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def jpeg(array: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def by_pyav(data: bytes, pix_fmt: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    with av.open(io.BytesIO(data)) as container:
        return next(container.decode(video=0)).to_ndarray(format=pix_fmt)


def facts_of(data: bytes, tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "still"
    path.write_bytes(data)
    return read(path)


def test_a_png_keeps_every_pixel_and_says_its_facts(tmp_path: Path) -> None:
    array = pixels()
    told = embed(png(array), FACTS)
    assert np.array_equal(by_pillow(told), array)
    assert np.array_equal(by_pyav(told, "rgb24"), array)
    assert facts_of(told, tmp_path) == FACTS


def test_a_16_bit_png_keeps_every_bit_and_says_its_facts(tmp_path: Path) -> None:
    array = pixels(np.uint16)
    told = embed(png(array), FACTS)
    assert np.array_equal(by_pyav(told, "rgb48le"), array)
    assert facts_of(told, tmp_path) == FACTS


def test_a_jpeg_keeps_every_pixel_and_says_its_facts(tmp_path: Path) -> None:
    plain = jpeg(pixels())
    told = embed(plain, FACTS)
    assert np.array_equal(by_pillow(told), by_pillow(plain))
    assert np.array_equal(by_pyav(told, "rgb24"), by_pyav(plain, "rgb24"))
    assert facts_of(told, tmp_path) == FACTS


def test_the_encoded_picture_itself_is_left_as_it_is() -> None:
    for plain in (png(pixels()), jpeg(pixels())):
        told = embed(plain, FACTS)
        at = next(i for i, (a, b) in enumerate(zip(plain, told, strict=False)) if a != b)
        assert told.endswith(plain[at:])
        assert told[:at] + told[len(told) - len(plain) + at :] == plain


def test_a_png_names_its_program_so_that_other_texts_are_not_mistaken(tmp_path: Path) -> None:
    told = embed(png(pixels()), {"frame": "3"})
    with Image.open(io.BytesIO(told)) as image:
        image.load()
        assert getattr(image, "text", {}) == {"stillwatch:frame": "3"}


def test_equal_pictures_with_equal_facts_are_equal_files() -> None:
    for plain in (png(pixels()), jpeg(pixels())):
        assert embed(plain, FACTS) == embed(plain, dict(FACTS))


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_an_undecodable_source_path_does_not_break_the_file(tmp_path: Path, kind: str) -> None:
    told = embed(png(pixels()) if kind == "png" else jpeg(pixels()), {"source": "/in/caf\udce9.mp4", "frame": "3"})
    facts = facts_of(told, tmp_path)
    assert facts["frame"] == "3"
    assert facts["source"].startswith("/in/caf")
    assert facts["source"].endswith(".mp4")


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_the_longest_path_that_linux_allows_fits(tmp_path: Path, kind: str) -> None:
    source = "/" + "語" * 1360
    told = embed(png(pixels()) if kind == "png" else jpeg(pixels()), {"source": source})
    assert facts_of(told, tmp_path) == {"source": source}


def test_a_text_that_spells_a_chunks_name_is_no_chunk(tmp_path: Path) -> None:
    once = embed(png(pixels()), {"source": "/in/IDAT.mp4"})
    twice = embed(once, {"frame": "3"})
    assert np.array_equal(by_pillow(twice), pixels())
    assert facts_of(twice, tmp_path) == {"source": "/in/IDAT.mp4", "frame": "3"}


def test_an_image_without_facts_has_none(tmp_path: Path) -> None:
    assert facts_of(png(pixels()), tmp_path) == {}
    assert facts_of(jpeg(pixels()), tmp_path) == {}


def test_a_jpeg_with_a_description_of_somebody_else_has_none(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "A day at the sea"
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(buffer, "JPEG", exif=exif)
    assert facts_of(buffer.getvalue(), tmp_path) == {}


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kind of error is the contract
        embed(data, FACTS)
