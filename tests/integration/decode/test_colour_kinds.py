"""Films in other primaries, curves and crops than a screen's: each becomes what its BT.709 original is."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.config.score import DecodeConfig
from daemon.decode.colour import is_profile_5
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.media.rules import FIRST_RULES, PICTURE_RULES
from daemon.model import Colour, Crop, Picture, VideoInfo
from tests import headers
from tests.films import remux
from tests.integration.decode.test_colour import through

DECODE = DecodeConfig()
SOURCE = "testsrc2=size=320x180:rate=25:duration=0.2,format=yuv444p,hue=s=0.4,gblur=sigma=4"
TO_709 = "zscale=matrixin=170m:matrix=709:primariesin=709:primaries=709:transferin=709:transfer=709"
FFV1, X264, X265 = (
    ["-c:v", "ffv1"],
    ["-c:v", "libx264", "-qp", "4"],
    ["-c:v", "libx265", "-x265-params", "qp=4:log-level=none"],
)
PRORES, VP9 = ["-c:v", "prores_ks"], ["-c:v", "libvpx-vp9", "-lossless", "1"]

KINDS = {
    "bt2020-hevc-mp4": ("transfer=2020_10:primaries=2020:matrix=2020_ncl", "yuv420p10le", X265, "mp4"),
    "bt2020-vp9-webm-8-bits": ("transfer=2020_10:primaries=2020:matrix=2020_ncl", "yuv444p", VP9, "webm"),
    "display-p3-prores-mov": ("primaries=smpte432", "yuv422p10le", PRORES, "mov"),
    "display-p3-h264-mp4": ("primaries=smpte432", "yuv420p", X264, "mp4"),
    "bt470bg-h264-mkv": ("primaries=bt470bg:matrix=470bg", "yuv420p", X264, "mkv"),
    "ebu3213-ffv1-mkv": ("primaries=jedec-p22", "yuv444p10le", FFV1, "mkv"),
    "gamma22-h264-mp4": ("transfer=bt470m", "yuv420p", X264, "mp4"),
    "gamma28-ffv1-mkv": ("transfer=bt470bg", "yuv422p10le", FFV1, "mkv"),
    "linear-ffv1-mkv": ("transfer=linear", "yuv444p16le", FFV1, "mkv"),
    "srgb-h264-mov": ("transfer=iec61966-2-1", "yuv420p", X264, "mov"),
    "smpte170m-h264-mp4": ("primaries=170m:matrix=170m", "yuv420p", X264, "mp4"),
    "smpte240m-ffv1-mkv": ("transfer=smpte240m:primaries=240m", "yuv444p10le", FFV1, "mkv"),
    "log316-bt2020-hevc-mkv": ("transfer=log316:primaries=2020:matrix=2020_ncl", "yuv444p10le", X265, "mkv"),
    "log100-ffv1-mkv": ("transfer=log100", "yuv422p10le", FFV1, "mkv"),
}  # fmt: skip


def made(path: Path, filters: str, pix_fmt: str, encoder: list[str]) -> Path:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", SOURCE]
    command += ["-vf", f"{TO_709},format=yuv444p16le{filters},format={pix_fmt}", *encoder, str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def to_kind(arguments: str) -> str:
    return f",zscale=matrixin=709:primariesin=709:transferin=709:{arguments}"


def codes(picture: NDArray[Any]) -> NDArray[np.float64]:
    """In codes of 255."""
    return picture.astype(np.float64) * 255 / np.iinfo(picture.dtype).max


def by_zscale(path: Path) -> NDArray[np.float64]:
    """Frame 1 as FFmpeg's zscale turns it to BT.709 by the film's tags."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", str(path)]
    command += ["-vf", "select='eq(n,1)',zscale=matrix=gbr:primaries=709:transfer=709:range=full,format=gbrp16le"]
    command += ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb48le", "-"]
    samples = subprocess.run(command, check=True, capture_output=True).stdout
    return codes(np.frombuffer(samples, np.uint16).reshape(180, 320, 3))


def picture_of(path: Path, number: int = 1, rules: int | None = None) -> tuple[Picture, str, VideoInfo]:
    info = probe(path, DECODE) if rules is None else probe(path, DECODE, rules)
    frame = list(decode_frames(info, DECODE, DecodeReport(), single_thread=False))[number]
    assert frame.picture is not None
    return frame.picture, frame.hash, info


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.float64]:
    path = made(tmp_path_factory.mktemp("original") / "709.mkv", "", "yuv444p16le", FFV1)
    return codes(picture_of(path)[0])


@pytest.mark.parametrize("kind", KINDS)
async def test_another_colour_space_becomes_bt709(
    kind: str, original: NDArray[np.float64], tmp_path: Path, ffmpeg_binary: str
) -> None:
    arguments, pix_fmt, encoder, suffix = KINDS[kind]
    path = made(tmp_path / f"{kind}.{suffix}", to_kind(arguments), pix_fmt, encoder)
    scored, saved = await through(path, tmp_path / "work", ffmpeg_binary)
    assert np.array_equal(scored, saved)
    assert scored.dtype == (np.uint8 if pix_fmt in ("yuv420p", "yuv444p") else np.uint16)
    assert np.abs(codes(scored) - by_zscale(path)).mean() <= 2.0
    if "log" not in kind:
        # Such curves cannot hold what is darker than a 100th or a 316th of white.
        assert np.abs(codes(scored) - original).mean() <= 2.0


@pytest.mark.parametrize(
    ("kind", "off"), [("bt2020-hevc-mp4", 4.0), ("display-p3-h264-mp4", 2.0), ("linear-ffv1-mkv", 30.0)]
)
def test_the_first_rules_left_it_as_it_was(
    kind: str, off: float, original: NDArray[np.float64], tmp_path: Path
) -> None:
    arguments, pix_fmt, encoder, suffix = KINDS[kind]
    path = made(tmp_path / f"{kind}.{suffix}", to_kind(arguments), pix_fmt, encoder)
    assert np.abs(codes(picture_of(path, rules=FIRST_RULES)[0]) - original).mean() >= off


@pytest.mark.parametrize(("primaries", "matrix"), [("bt709", "709"), ("unknown", "709"), ("unknown", "170m")])
def test_a_plain_film_has_the_same_picture_by_all_rules(primaries: str, matrix: str, tmp_path: Path) -> None:
    """Where its chroma lies in the middle, as the older rules take it for granted."""
    tags = f",zscale=matrixin=709:matrix={matrix},setparams=color_primaries={primaries}:color_trc={primaries}"
    path = made(tmp_path / "plain.mp4", tags, "yuv420p", [*X264, "-chroma_sample_location", "center"])
    for rules in range(FIRST_RULES, PICTURE_RULES):
        assert np.array_equal(picture_of(path)[0], picture_of(path, rules=rules)[0])


@pytest.mark.parametrize(("encoder", "suffix"), [(PRORES, "mov"), (X265, "mp4"), (X265, "mkv")])
def test_what_a_stream_does_not_say_the_container_says(encoder: list[str], suffix: str, tmp_path: Path) -> None:
    silent = ",setparams=color_primaries=unknown:color_trc=unknown:colorspace=unknown"
    plain = made(tmp_path / f"plain.{suffix}", silent, "yuv422p10le", encoder)
    tags = ("-color_primaries", "smpte432", "-color_trc", "gamma28", "-colorspace", "bt709")
    path = remux(plain, tmp_path / f"told.{suffix}", "-c", "copy", *tags)
    colour = probe(path, DECODE).colour
    assert (colour.primaries, colour.transfer, colour.matrix) == ("smpte432", "gamma28", "bt709")
    assert probe(path, DECODE, FIRST_RULES).colour.primaries == "unknown"


def test_colours_that_change_in_the_middle_are_those_of_each_frame(tmp_path: Path) -> None:
    deep = "yuv420p10le"
    hdr = "transfer=smpte2084:primaries=2020:matrix=2020_ncl:npl=203"
    encoder = [*X265[:3], "qp=4:log-level=none:repeat-headers=1"]
    parts = [
        made(tmp_path / "sdr.ts", to_kind("transfer=709"), deep, encoder),
        made(tmp_path / "hdr.ts", to_kind(hdr), deep, encoder),
        made(tmp_path / "p3.ts", to_kind("primaries=smpte432"), deep, encoder),
    ]
    path = tmp_path / "film.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    for number, part in enumerate(parts):
        expected, expected_hash, _ = picture_of(part, 2)
        picture, frame_hash, _ = picture_of(path, 5 * number + 2)
        assert frame_hash == expected_hash
        assert np.array_equal(picture, expected)


# Crop


def streamed(source: Path, target: Path) -> Path:
    return remux(source, target, "-c", "copy", "-live", "1", "-cluster_time_limit", "100")


def crop_elements(top: int, bottom: int, left: int, right: int) -> bytes:
    return b"".join(
        headers.number(code, value)
        for code, value in ((0x54BB, top), (0x54AA, bottom), (0x54CC, left), (0x54DD, right))
    )


CROPS = {
    "bars": Crop(40, 24, 0, 0),
    "pillars": Crop(0, 0, 32, 48),
    "uneven": Crop(7, 5, 41, 39),
}


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("container", ["mkv", "mp4"])
@pytest.mark.parametrize("name", CROPS)
async def test_the_containers_crop_is_applied_and_the_hash_is_that_of_the_whole_frame(
    name: str, container: str, pix_fmt: str, tmp_path: Path, ffmpeg_binary: str
) -> None:
    crop = CROPS[name]
    whole = made(tmp_path / f"whole.{container}", "", pix_fmt, X264 if pix_fmt == "yuv420p" else X265)
    uncut, whole_hash, _ = picture_of(whole)
    path = tmp_path / f"cut.{container}"
    if container == "mkv":
        headers.add_to_matroska(
            streamed(whole, path), video=crop_elements(crop.top, crop.bottom, crop.left, crop.right)
        )
    else:
        shown = (320 - crop.left - crop.right, 180 - crop.top - crop.bottom)
        path.write_bytes(whole.read_bytes())
        headers.add_to_sample_entry(path, headers.clap(*shown, crop.left - crop.right, crop.top - crop.bottom))
    cut, cut_hash, info = picture_of(path)
    assert info.crop == crop
    assert cut_hash == whole_hash
    expected = uncut[crop.top : 180 - crop.bottom, crop.left : 320 - crop.right]
    # At the edges the chroma of what is cut off plays no part.
    inside = (slice(12, -12), slice(12, -12))
    assert cut.shape == expected.shape
    assert np.abs(codes(cut)[inside] - codes(expected)[inside]).max() <= 1.0
    scored, saved = await through(path, tmp_path / "work", ffmpeg_binary)
    assert np.array_equal(scored, saved)
    assert np.array_equal(scored, cut)


def test_a_crop_that_leaves_nothing_is_not_believed(tmp_path: Path) -> None:
    path = made(tmp_path / "whole.mp4", "", "yuv420p", X264)
    headers.add_to_sample_entry(path, headers.clap(640, 180, 0, 0))
    assert picture_of(path)[0].shape == (180, 320, 3)


# Dolby Vision


def deep(path: Path) -> Path:
    return made(path, "", "yuv420p10le", X265)


@pytest.mark.parametrize(
    ("profile", "compatibility", "container"),
    [(5, 0, "mp4"), (5, 0, "mkv"), (10, 0, "mp4")],
)
def test_dolby_vision_without_a_base_layer_says_that_its_colours_are_lost(
    profile: int, compatibility: int, container: str, tmp_path: Path
) -> None:
    info = probe(with_record(tmp_path, profile, compatibility, container), DECODE)
    assert info.colours_lost.startswith("the colours of this film cannot be made")
    assert f"profile {profile}," in info.colours_lost


@pytest.mark.parametrize(
    ("name", "matrix", "codec"),
    [
        ("film.mp4", "ycgco", X264), ("film.mkv", "ictcp", X265), ("film.webm", "bt2020c", ["-c:v", "libaom-av1", "-cpu-used", "8"]),
        ("film.ts", "chroma-derived-c", X264),
    ],
)  # fmt: skip
def test_a_matrix_that_cannot_be_converted_says_that_its_colours_are_lost(
    name: str, matrix: str, codec: list[str], tmp_path: Path
) -> None:
    info = probe(made(tmp_path / name, "", f"yuv420p,setparams=colorspace={matrix}", codec), DECODE)
    assert info.colours_lost.startswith("the colours of this film cannot be made: its matrix is")


@pytest.mark.parametrize("number", [0, 3, 23])
@pytest.mark.parametrize("kind", ["mpeg2", "prores"])
def test_numbers_of_colours_that_mean_nothing_are_as_none(kind: str, number: int, tmp_path: Path) -> None:
    """ProRes writes 0 where nothing is known, and so do recorders of MPEG-2: some versions of FFmpeg's scaler refuse it."""
    pictures = []
    for value in (2, number):
        path = with_numbers(made_of(kind, tmp_path / f"{value}"), kind, value)
        with av.open(str(path)) as container:
            assert next(container.decode(video=0)).color_primaries == value
        found = decode_frames(probe(path, DECODE), DECODE, DecodeReport(), single_thread=True)
        pictures.append(next(found).picture)
    assert np.array_equal(*pictures)


def made_of(kind: str, folder: Path) -> Path:
    folder.mkdir()
    if kind == "prores":
        return made(folder / "film.mov", "", "yuv422p10le", PRORES)
    return made(folder / "film.mpg", "", "yuv420p", ["-c:v", "mpeg2video", "-q:v", "2"])


def with_numbers(path: Path, kind: str, number: int) -> Path:
    """The film with other numbers for primaries and curve in each frame's header."""
    # After "icpf" of ProRes: sizes, version, encoder, width, height, flags, rate. A sequence display extension of
    # MPEG-2 says in its first byte that colours follow.
    mark, at = (rb"icpf.{14}", 18) if kind == "prores" else (rb"\x00\x00\x01\xb5[\x21-\x2f]", 5)
    raw = bytearray(path.read_bytes())
    found = [match.start() for match in re.finditer(mark, raw, re.DOTALL)]
    assert found
    for start in found:
        raw[start + at : start + at + 2] = bytes([number, number])
    path.write_bytes(raw)
    return path


def test_a_matrix_that_can_says_nothing(tmp_path: Path) -> None:
    for matrix in ("smpte240m", "fcc", "bt2020nc"):
        path = made(tmp_path / f"{matrix}.mp4", "", f"yuv420p,setparams=colorspace={matrix}", X264)
        assert probe(path, DECODE).colours_lost == ""


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("profile", "compatibility", "transfer"),
    [(8, 1, "smpte2084"), (8, 4, "arib-std-b67"), (7, 6, "smpte2084"), (8, 2, "bt709")],
)
def test_dolby_vision_with_a_base_layer_is_read_by_it(
    profile: int, compatibility: int, transfer: str, container: str, tmp_path: Path
) -> None:
    info = probe(with_record(tmp_path, profile, compatibility, container), DECODE)
    assert info.colours_lost == ""
    assert info.colour.transfer == transfer


def with_record(folder: Path, profile: int, compatibility: int, container: str) -> Path:
    record = headers.dolby_vision_record(profile, compatibility)
    bare = ",setparams=color_primaries=unknown:color_trc=unknown:colorspace=unknown"
    path = made(folder / f"film.{container}", bare, "yuv420p10le", X265)
    if container == "mp4":
        return headers.add_to_sample_entry(path, headers.box(b"dvcC", record))
    kind = headers.number(0x41E7, int.from_bytes(b"dvcC", "big"))
    mapping = headers.element(0x41E4, kind + headers.element(0x41ED, record))
    return headers.add_to_matroska(streamed(path, folder / "streamed.mkv"), track=mapping)


@pytest.mark.parametrize(("profile", "full_range", "lost"), [(0, 1, True), (0, 0, False), (1, 0, False)])
def test_without_a_record_the_frames_own_metadata_tells_profile_5(profile: int, full_range: int, lost: bool) -> None:
    """As libavutil lays it out: offsets, then the header with its profile and the range of the base layer."""
    offset = 48
    header = bytearray(32)
    header[4], header[10] = profile, full_range
    data = struct.pack("N", offset).ljust(offset, b"\0") + bytes(header)
    assert is_profile_5(data) is lost


def test_deep_frames_with_a_mastering_display_and_no_curve_are_pq(tmp_path: Path) -> None:
    silent = ",setparams=color_primaries=unknown:color_trc=unknown:colorspace=unknown"
    display = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    path = made(tmp_path / "film.mkv", silent, "yuv420p10le", [*X265[:3], f"qp=20:log-level=none:{display}"])
    assert probe(path, DECODE).colour == Colour("bt2020nc", "limited", "smpte2084", "bt2020", "left")
    assert probe(path, DECODE, FIRST_RULES).colour.transfer == "unknown"
