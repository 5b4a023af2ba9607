"""A still says what its colours are, and the bare image can be had back."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from daemon.export.metadata import embed, read, remove
from daemon.export.still_colour import StillColour, chunk, srgb_profile
from tests.unit.export.test_metadata import FACTS, by_pillow, jpeg, pixels, png

KEPT_PQ = StillColour((9, 16))


def bare_png() -> bytes:
    return png(pixels())


def test_a_png_says_that_it_is_srgb() -> None:
    with Image.open(io.BytesIO(embed(bare_png(), FACTS))) as image:
        assert image.info["srgb"] == 1


def test_kept_hdr_samples_say_their_code_points() -> None:
    assert b"\0\0\0\4cICP\x09\x10\0\1" in embed(bare_png(), FACTS, KEPT_PQ)


def test_a_jpeg_carries_a_profile_that_colour_management_reads_as_srgb(tmp_path: Path) -> None:
    still = tmp_path / "still.jpg"
    still.write_bytes(embed(jpeg(pixels()), FACTS))
    with Image.open(still) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert ImageCms.getProfileDescription(profile).strip() == "sRGB"
        turned = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
        assert turned is not None
        off = abs(by_pillow(still.read_bytes()).astype(int) - by_pillow_of(turned)).max()
    assert off <= 1
    assert read(still)["frame"] == FACTS["frame"]


def by_pillow_of(image: Image.Image):  # type: ignore[no-untyped-def]
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return by_pillow(buffer.getvalue()).astype(int)


def test_the_profile_is_the_same_every_time() -> None:
    assert srgb_profile() == srgb_profile.__wrapped__()
    assert int.from_bytes(srgb_profile()[:4], "big") == len(srgb_profile())


@pytest.mark.parametrize("colour", [StillColour(), KEPT_PQ])
def test_the_bare_image_comes_back(colour: StillColour) -> None:
    for bare in (bare_png(), jpeg(pixels())):
        assert remove(embed(bare, FACTS, colour)) == bare


def test_an_encoders_own_word_is_kept() -> None:
    at = bare_png().index(b"IDAT") - 4
    said = bare_png()[:at] + chunk(b"cICP", bytes([9, 18, 0, 1])) + bare_png()[at:]
    assert embed(said, FACTS).count(b"sRGB") == 0
    assert remove(embed(said, FACTS)) == said
