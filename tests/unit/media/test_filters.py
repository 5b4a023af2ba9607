"""The one policy by which a decoded frame becomes a picture: matrix, range, shape, levels."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path

import pytest

from daemon.media import filters as picture
from daemon.media.filters import (
    Layout,
    chain,
    is_full_range,
    layout_of,
    matrix_name,
    picture_size,
    square_size,
    to_text,
)
from daemon.media.rules import FIRST_RULES, PICTURE_RULES
from daemon.model import Colour, VideoInfo

TURNS = {"transpose", "hflip", "vflip", "rotate"}
PQ, HLG = Colour(transfer="smpte2084"), Colour(transfer="arib-std-b67")


def video(
    width: int = 640,
    height: int = 480,
    pix_fmt: str = "yuv420p",
    bit_depth: int = 8,
    *,
    sample_aspect: Fraction = Fraction(1),
    rotation_degrees: int = 0,
    flip: bool = False,
    colour: Colour = Colour(),  # noqa: B008 - frozen
    rules: int = FIRST_RULES,
) -> VideoInfo:
    return VideoInfo(
        path=Path("/in/a.mp4"),
        container="mov,mp4",
        stream_index=0,
        codec="h264",
        width=width,
        height=height,
        pix_fmt=pix_fmt,
        bit_depth=bit_depth,
        time_base=Fraction(1, 12800),
        frame_rate=Fraction(25),
        frames_estimate=10,
        duration_s=0.4,
        start_s=0.0,
        sample_aspect=sample_aspect,
        rotation_degrees=rotation_degrees,
        flip=flip,
        colour=colour,
        rules=rules,
    )


def filters(info: VideoInfo, depth: int = 8) -> list[tuple[str, str]]:
    return list(chain(info, layout_of(info), depth=depth))


def scale(info: VideoInfo) -> dict[str, str]:
    (arguments,) = (arguments for name, arguments in filters(info) if name == "scale")
    return dict(part.split("=", 1) for part in arguments.split(":"))


def tables(info: VideoInfo, depth: int) -> list[str]:
    """The expressions of the level tables, one after the other, each the same for all three channels."""
    expressions = []
    for arguments in (arguments for name, arguments in filters(info, depth) if name == "lutrgb"):
        red, green, blue = (
            re.fullmatch(rf"{c}='(.*)'", part) for c, part in zip("rgb", arguments.split(":"), strict=True)
        )
        assert red
        assert green
        assert blue
        assert red[1] == green[1] == blue[1]
        expressions.append(red[1])
    return expressions


def level(expressions: list[str], value: int) -> int:
    """What FFmpeg's lut filters would put there: halves round away from zero."""
    for expression in expressions:
        names = {
            "val": float(value),
            "round": lambda x: math.floor(abs(x) + 0.5) * (1 if x >= 0 else -1),
            "clip": lambda x, low, high: min(max(x, low), high),
        }
        value = int(eval(expression, {"__builtins__": {}}, names))
    return value


# Matrix


@pytest.mark.parametrize(
    ("tag", "matrix"),
    [
        ("bt709", "bt709"),
        ("bt470bg", "smpte170m"),
        ("smpte170m", "smpte170m"),
        ("fcc", "fcc"),
        ("smpte240m", "smpte240m"),
        ("bt2020nc", "bt2020"),
        ("bt2020c", "bt2020"),
    ],
)
@pytest.mark.parametrize("height", [240, 2160])
def test_a_tagged_matrix_is_followed_at_any_height(tag: str, matrix: str, height: int) -> None:
    assert matrix_name(Colour(matrix=tag), height) == matrix
    assert scale(video(height=height, colour=Colour(matrix=tag)))["in_color_matrix"] == matrix


@pytest.mark.parametrize(
    ("height", "matrix"),
    [
        (144, "smpte170m"),
        (480, "smpte170m"),
        (576, "smpte170m"),
        (577, "bt709"),
        (720, "bt709"),
        (2160, "bt709"),
    ],
)
def test_an_untagged_file_goes_by_its_lines(height: int, matrix: str) -> None:
    assert matrix_name(Colour(), height) == matrix
    assert scale(video(height=height))["in_color_matrix"] == matrix


def test_lines_are_counted_in_the_frame_that_is_there_not_in_the_first_one() -> None:
    info = video(height=480)
    (arguments,) = (args for name, args in chain(info, Layout(1280, 720, "yuv420p", 8), depth=8) if name == "scale")
    assert "in_color_matrix=bt709" in arguments


@pytest.mark.parametrize("pix_fmt", ["rgb24", "bgr24", "bgra", "bgr0", "gbrp", "gbrp10le", "argb", "0rgb", "pal8"])
def test_rgb_needs_no_matrix_and_no_input_range(pix_fmt: str) -> None:
    assert not {"in_color_matrix", "in_range"} & set(scale(video(pix_fmt=pix_fmt)))


# Range


@pytest.mark.parametrize(
    ("pix_fmt", "tag", "full"),
    [
        ("yuv420p", "unknown", False),
        ("yuv420p", "limited", False),
        ("yuv420p", "full", True),
        ("yuv420p10le", "unknown", False),
        ("yuv420p10le", "full", True),
        ("nv12", "unknown", False),
        ("yuvj420p", "unknown", True),
        ("yuvj420p", "limited", True),
        ("gray", "unknown", True),
        ("gray", "limited", False),
        ("gray10le", "unknown", True),
        ("ya8", "unknown", True),
        ("monob", "unknown", True),
        ("rgb24", "limited", True),
        ("gbrp", "unknown", True),
        ("pal8", "unknown", True),
    ],
)
def test_the_range_is_the_tag_else_the_formats_own(pix_fmt: str, tag: str, full: bool) -> None:
    colour = Colour(range=tag)
    assert is_full_range(colour, pix_fmt) is full
    if not picture.is_rgb(pix_fmt):
        told = "pc" if full or picture.is_gray(pix_fmt) else "tv"
        assert scale(video(pix_fmt=pix_fmt, colour=colour))["in_range"] == told


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "gray", "rgb24"])
def test_the_picture_is_always_full_range_and_scaled_the_same_way(pix_fmt: str) -> None:
    found = scale(video(pix_fmt=pix_fmt))
    assert found["out_range"] == "pc"
    assert found["flags"] == "accurate_rnd+full_chroma_int+bicubic"


# Shape


@pytest.mark.parametrize(
    ("size", "aspect", "square"),
    [
        ((640, 480), Fraction(1), (640, 480)),
        ((720, 576), Fraction(16, 15), (768, 576)),
        ((720, 576), Fraction(64, 45), (1024, 576)),
        ((720, 480), Fraction(8, 9), (720, 540)),
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),
        ((640, 480), Fraction(0), (640, 480)),
        ((640, 480), Fraction(-1), (640, 480)),
        ((1, 1), Fraction(1, 2), (1, 2)),
    ],
)
def test_pixels_become_square_by_stretching_never_by_shrinking(
    size: tuple[int, int], aspect: Fraction, square: tuple[int, int]
) -> None:
    assert square_size(*size, aspect) == square
    assert square[0] >= size[0]
    assert square[1] >= size[1]


def test_the_scale_filter_makes_the_square_size() -> None:
    found = scale(video(720, 576, sample_aspect=Fraction(16, 15)))
    assert (found["w"], found["h"]) == ("768", "576")


@pytest.mark.parametrize(("degrees", "size"), [(0, (768, 576)), (90, (576, 768)), (180, (768, 576)), (270, (576, 768))])
def test_a_turned_picture_has_turned_sides(degrees: int, size: tuple[int, int]) -> None:
    info = video(720, 576, sample_aspect=Fraction(16, 15), rotation_degrees=degrees)
    assert picture_size(info) == size


@pytest.mark.parametrize(
    ("degrees", "flip", "turns"),
    [
        (0, False, []),
        (90, False, ["transpose=clock"]),
        (180, False, ["hflip", "vflip"]),
        (270, False, ["transpose=cclock"]),
        (0, True, ["hflip"]),
        (90, True, ["hflip", "transpose=clock"]),
        (180, True, ["hflip", "hflip", "vflip"]),
        (270, True, ["hflip", "transpose=cclock"]),
    ],
)
def test_the_display_matrix_is_applied_mirror_first(degrees: int, flip: bool, turns: list[str]) -> None:
    moves = [one for one in filters(video(rotation_degrees=degrees, flip=flip)) if one[0] in TURNS]
    assert [to_text((one,)) for one in moves] == turns


# Formats and levels


@pytest.mark.parametrize(
    ("bit_depth", "depth", "first", "last"),
    [
        (8, 8, ["gbrp", "rgb24"], "rgb24"),
        (8, 16, ["gbrp", "rgb24"], "rgb48le"),
        (10, 8, ["gbrp16le", "rgb48le"], "rgb24"),
        (10, 16, ["gbrp16le", "rgb48le"], "rgb48le"),
    ],
)
def test_deep_sources_stay_deep_until_the_last_step(bit_depth: int, depth: int, first: list[str], last: str) -> None:
    pix_fmt = "yuv420p" if bit_depth == 8 else "yuv420p10le"
    formats = [a for n, a in filters(video(pix_fmt=pix_fmt, bit_depth=bit_depth), depth) if n == "format"]
    assert formats == [*first, last]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj444p", "rgb24", "gray", "pal8"])
def test_eight_bit_pictures_need_no_level_table(pix_fmt: str) -> None:
    assert tables(video(pix_fmt=pix_fmt), 8) == []


@pytest.mark.parametrize(("value", "out"), [(0, 0), (16, 0), (126, 128), (235, 255), (255, 255)])
def test_limited_gray_is_expanded_because_swscale_does_not(value: int, out: int) -> None:
    assert level(tables(video(pix_fmt="gray", colour=Colour(range="limited")), 8), value) == out


DEEP = [
    ("yuv420p10le", 10, "unknown", 0, 255 << 8),
    ("yuv420p12le", 12, "limited", 0, 255 << 8),
    ("yuv420p10le", 10, "full", 0, 1023 << 6),
    ("yuv444p12le", 12, "full", 0, 4095 << 4),
    ("gray10le", 10, "unknown", 0, 1023 << 6),
    ("gray12le", 12, "limited", 16 << 8, 235 << 8),
    ("gbrp10le", 10, "unknown", 0, 65535),
    ("rgb48le", 16, "unknown", 0, 65535),
    ("yuv444p16le", 16, "full", 0, 65535),
]


@pytest.mark.parametrize(("pix_fmt", "bits", "tag", "black", "white"), DEEP)
def test_black_and_white_of_deep_sources_are_exact_in_16_bits(
    pix_fmt: str, bits: int, tag: str, black: int, white: int
) -> None:
    expressions = tables(video(pix_fmt=pix_fmt, bit_depth=bits, colour=Colour(range=tag)), 16)
    assert level(expressions, black) == 0
    assert level(expressions, white) == 65535


@pytest.mark.parametrize(("pix_fmt", "bits", "tag", "black", "white"), DEEP)
def test_deep_sources_are_rounded_to_8_bits_not_cut(pix_fmt: str, bits: int, tag: str, black: int, white: int) -> None:
    expressions = tables(video(pix_fmt=pix_fmt, bit_depth=bits, colour=Colour(range=tag)), 8)
    assert expressions
    for value in range(black, white + 1, 97):
        exact = (value - black) / (white - black) * 255
        # The step from 16 to 8 bits keeps the high byte.
        assert abs((level(expressions, value) >> 8) - exact) <= 0.5 + 255 / 65535
    assert level(expressions, white) >> 8 == 255


@pytest.mark.parametrize("depth", [8, 16])
def test_levels_never_leave_their_range(depth: int) -> None:
    for pix_fmt, bits, tag, _, _ in DEEP:
        expressions = tables(video(pix_fmt=pix_fmt, bit_depth=bits, colour=Colour(range=tag)), depth)
        levels = [level(expressions, value) for value in range(0, 65536, 255)]
        assert levels == sorted(levels)
        assert levels[0] >= 0
        assert levels[-1] <= 65535


# HDR


@pytest.mark.parametrize("colour", [PQ, HLG], ids=["pq", "hlg"])
def test_hdr_is_worked_on_in_16_bits_and_mapped_unless_it_is_to_be_kept(colour: Colour) -> None:
    info = video(pix_fmt="yuv420p10le", bit_depth=10, colour=colour)
    plain = video(pix_fmt="yuv420p10le", bit_depth=10)
    assert picture.bits(info, layout_of(info)) == 16
    assert len(tables(info, 16)) > len(tables(plain, 16))
    kept = chain(info, layout_of(info), depth=16, keep_hdr=True)
    assert [one for one in kept if one[0] == "lutrgb"] == [one for one in filters(plain, 16) if one[0] == "lutrgb"]


@pytest.mark.parametrize("colour", [PQ, HLG], ids=["pq", "hlg"])
def test_an_hdr_file_without_a_matrix_is_bt2020(colour: Colour) -> None:
    assert matrix_name(colour, 480) == "bt2020"


def test_a_mapped_picture_does_not_claim_the_sources_curve() -> None:
    info = video(pix_fmt="yuv420p10le", bit_depth=10, colour=PQ)
    claims = ("setparams", "color_primaries=unknown:color_trc=unknown")
    assert filters(info, 16)[-1] == claims
    assert claims not in chain(info, layout_of(info), depth=16, keep_hdr=True)


def test_the_command_line_gets_the_same_chain_as_text() -> None:
    assert to_text((("scale", "w=2:h=2"), ("hflip", ""), ("format", "rgb24"))) == "scale=w=2:h=2,hflip,format=rgb24"


AS_EVER = (
    "setparams=colorspace=unknown,"
    "scale=w=640:h=480:flags=accurate_rnd+full_chroma_int+bicubic:out_range=pc:in_color_matrix=smpte170m:in_range=tv,"
    "format=gbrp,format=rgb24,format=rgb24,setparams=color_primaries=unknown:color_trc=unknown"
)


@pytest.mark.parametrize("rules", [1, 2])
def test_older_films_keep_their_chain_word_for_word(rules: int) -> None:
    told = Colour(chroma_location="topleft")
    assert to_text(chain(video(colour=told, rules=rules), layout_of(video()), depth=8)) == AS_EVER


@pytest.mark.parametrize(
    ("place", "pix_fmt", "said"),
    [
        ("unknown", "yuv420p", "in_h_chr_pos=0"),
        ("left", "yuv422p10le", "in_h_chr_pos=0"),
        ("center", "yuv420p", ""),
        ("topleft", "nv12", "in_h_chr_pos=0:in_v_chr_pos=0"),
        ("top", "yuv420p", "in_v_chr_pos=0"),
        ("bottomleft", "yuv420p10le", "in_h_chr_pos=0:in_v_chr_pos=256"),
        ("bottom", "yuv410p", ""),
        ("left", "yuv444p", ""),
        ("left", "gbrp", ""),
        ("left", "gray", ""),
    ],
)
def test_chroma_is_taken_from_where_it_lies(place: str, pix_fmt: str, said: str) -> None:
    info = video(pix_fmt=pix_fmt, colour=Colour(chroma_location=place), rules=PICTURE_RULES)
    assert ":".join(f"{key}={value}" for key, value in scale(info).items() if key.endswith("chr_pos")) == said
