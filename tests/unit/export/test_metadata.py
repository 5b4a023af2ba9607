"""Facts inside an image: read back, and not one pixel changed."""

from __future__ import annotations

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from daemon.export.metadata import embed, read, remove, replace
from daemon.export.tags import Tags
from daemon.export.xmp import NAMESPACE, is_xml_text, read_facts
from tests.older_stills import older_form

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
        assert list(getattr(image, "text", {})) == ["XML:com.adobe.xmp"]
    others = "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", others)
    info.add_text("Comment", "stillwatch:frame")
    Image.fromarray(pixels()).save(tmp_path / "other.png", pnginfo=info)
    assert read(tmp_path / "other.png") == {}


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
    plain = png(pixels())
    told = embed(plain, {"source": "/in/IDAT.mp4", "frame": "3"})
    assert np.array_equal(by_pillow(told), pixels())
    assert facts_of(told, tmp_path) == {"source": "/in/IDAT.mp4", "frame": "3"}
    assert remove(told) == plain


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@given(
    facts=st.dictionaries(st.from_regex(r"[a-z][a-z_0-9]{0,12}", fullmatch=True), st.text(max_size=80), max_size=6),
    tags=st.builds(Tags, st.text(max_size=60), st.text(max_size=60), st.integers(0, 5), maker=st.text(max_size=30)),
)
def test_whatever_the_texts_are_the_image_stays_and_the_facts_come_back(
    kind: str, facts: dict[str, str], tags: Tags
) -> None:
    plain = png(pixels()) if kind == "png" else jpeg(pixels())
    told = embed(plain, facts, tags=tags)
    assert remove(told) == plain
    assert np.array_equal(by_pillow(told), by_pillow(plain))
    with TemporaryDirectory() as folder:
        found = facts_of(told, Path(folder))
    assert found.keys() == facts.keys()
    assert all(found[name] == text for name, text in facts.items() if is_xml_text(text))


@pytest.mark.parametrize("encoders_exif", [False, True])
def test_a_still_with_other_facts_is_the_file_that_had_them_from_the_beginning(encoders_exif: bool) -> None:
    exif = Image.Exif()
    exif[0x010F] = "the encoder's own"
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(buffer, "PNG", exif=exif if encoders_exif else None)
    for image in (buffer.getvalue(), jpeg(np.asarray(pixels(), np.uint8))):
        others = {"frame": "7"}
        assert replace(embed(image, FACTS), others, Tags(rating=3)) == embed(image, others, tags=Tags(rating=3))


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_stills_of_earlier_versions_say_their_facts_and_give_their_image_back(tmp_path: Path, kind: str) -> None:
    plain = png(pixels()) if kind == "png" else jpeg(pixels())
    assert facts_of(older_form(plain, FACTS), tmp_path) == FACTS
    assert remove(older_form(plain, FACTS)) == plain


@pytest.mark.parametrize("packet", [b"<a", b"\xff\xfe", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
def test_a_packet_that_is_no_xmp_has_no_facts(packet: bytes) -> None:
    assert read_facts(packet + NAMESPACE.encode()) == {}


def test_facts_that_another_program_wrote_as_attributes_are_read() -> None:
    packet = (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        f"<rdf:Description xmlns:s='{NAMESPACE}' s:frame='3'/></rdf:RDF></x:xmpmeta>"
    )
    assert read_facts(packet.encode()) == {"frame": "3"}


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
