"""FFmpeg's arguments: exactly these frames, nothing guessed, nothing that a name could hijack."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from daemon.export.ffmpeg_arguments import (
    ARGUMENT_LIMIT_BYTES,
    HASHES,
    SCRIPT,
    Capabilities,
    encode_arguments,
    export_arguments,
    filter_graph,
    select_expression,
)
from daemon.export.image_format import ImageFormat
from daemon.media import filters
from daemon.media.source import DEMUXERS
from daemon.model import VideoInfo

PNG = ImageFormat("png", 8)
DEEP_PNG = ImageFormat("png", 16)
JPEG = ImageFormat("jpg", 8, jpeg_quality=3)
FFMPEG = Capabilities("/usr/bin/ffmpeg", "7.1", apply_cropping=True, script_option="-/filter_complex")
INFO = VideoInfo(
    path=Path("/in/a.mp4"),
    container="mov,mp4",
    stream_index=2,
    codec="h264",
    width=640,
    height=480,
    pix_fmt="yuv420p",
    bit_depth=8,
    time_base=Fraction(1, 12800),
    frame_rate=Fraction(25),
    frames_estimate=10,
    duration_s=0.4,
    start_s=0.0,
)


def arguments(
    ordinals: Sequence[int] = (4, 9), image: ImageFormat = PNG, info: VideoInfo = INFO, hwaccel: str = "none"
) -> list[str]:
    return export_arguments(FFMPEG, info, ordinals, image, hwaccel=hwaccel)[0]


def value(found: list[str], option: str) -> str:
    assert found.count(option) == 1
    return found[found.index(option) + 1]


# The expression


@pytest.mark.parametrize(
    ("ordinals", "expression"),
    [
        ([0], "eq(n,0)"),
        ([4, 9], "if(lt(n,9),eq(n,4),eq(n,9))"),
        ([4, 9, 11], "if(lt(n,9),eq(n,4),if(lt(n,11),eq(n,9),eq(n,11)))"),
    ],
)
def test_the_expression_is_a_tree_of_comparisons(ordinals: list[int], expression: str) -> None:
    assert select_expression(ordinals) == expression


def test_thirty_thousand_frames_make_a_shallow_tree() -> None:
    expression = select_expression(range(0, 300_000, 10))
    depth = deepest = 0
    for character in expression:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    assert depth == 0
    # 15 halvings of 30,000, and the comparison at the bottom.
    assert deepest <= 16
    assert expression.count("eq(") == 30_000


# The graph


def test_the_graph_selects_by_decode_order_of_the_one_stream() -> None:
    graph = filter_graph(INFO, [4, 9], PNG, hardware=False)
    assert graph.startswith("[0:2]settb=expr=1/1000,setpts=N,select='if(lt(n,9),eq(n,4),eq(n,9))',split=2[seen][kept];")
    assert graph.endswith("[image]")


def test_the_hashes_come_from_the_native_planes_and_the_pictures_from_the_scored_chain() -> None:
    graph = filter_graph(INFO, [4], PNG, hardware=False)
    _, seen = graph.split(";")
    chain = filters.to_text(filters.chain(INFO, filters.layout_of(INFO), depth=8))
    assert seen == f"[seen]{chain}[image]"


def test_hardware_frames_are_brought_back_in_the_native_format() -> None:
    assert ",format=yuv420p,split=2" in filter_graph(INFO, [4], PNG, hardware=True)
    assert ",format=yuv420p,split=2" not in filter_graph(INFO, [4], PNG, hardware=False)


def test_a_jpeg_is_full_range_and_not_subsampled() -> None:
    graph = filter_graph(INFO, [4], JPEG, hardware=False)
    assert "out_color_matrix=smpte170m:out_range=pc" in graph
    assert graph.endswith(",format=yuvj444p[image]")


# The arguments


def test_input_options_stand_before_the_input() -> None:
    found = arguments(hwaccel="cuda")
    at = found.index("-i")
    for option in ("-hwaccel", "-noautorotate", "-apply_cropping", "-protocol_whitelist", "-format_whitelist"):
        assert found.index(option) < at


def test_only_local_files_and_known_containers_are_opened() -> None:
    found = arguments()
    assert value(found, "-protocol_whitelist") == "file"
    assert value(found, "-format_whitelist") == DEMUXERS
    assert value(found, "-i") == "file:/in/a.mp4"


def test_ffmpeg_never_reads_the_terminal_and_never_turns_or_crops_by_itself() -> None:
    found = arguments()
    assert "-nostdin" in found
    assert "-noautorotate" in found
    assert value(found, "-apply_cropping") == "codec"
    assert value(found, "-reinit_filter") == "0"


def test_an_option_that_the_binary_does_not_know_is_not_given() -> None:
    old = Capabilities("ffmpeg", "6.1", apply_cropping=False, script_option="-filter_complex_script")
    assert "-apply_cropping" not in export_arguments(old, INFO, [1], PNG, hwaccel="none")[0]


@pytest.mark.parametrize("hwaccel", ["auto", "cuda", "vaapi"])
def test_hardware_decoding_is_asked_for_by_name(hwaccel: str) -> None:
    assert value(arguments(hwaccel=hwaccel), "-hwaccel") == hwaccel


def test_without_hardware_decoding_the_option_is_absent() -> None:
    assert "-hwaccel" not in arguments()


def test_both_outputs_get_exactly_as_many_frames_as_were_asked_for_with_their_own_numbers() -> None:
    found = arguments([3, 5, 8])
    counts = [found[i + 1] for i, one in enumerate(found) if one == "-frames:v"]
    modes = [found[i + 1] for i, one in enumerate(found) if one == "-fps_mode"]
    assert counts == ["3", "3"]
    assert modes == ["passthrough", "passthrough"]
    assert value(found, "-frame_pts") == "1"
    assert "%d.png" in found
    assert found[-3:] == ["-hash", "SHA160", HASHES]


@pytest.mark.parametrize(
    ("image", "codec", "pixels", "name"),
    [(PNG, "png", "rgb24", "%d.png"), (DEEP_PNG, "png", "rgb48be", "%d.png"), (JPEG, "mjpeg", None, "%d.jpg")],
)
def test_the_encoder_fits_the_format(image: ImageFormat, codec: str, pixels: str | None, name: str) -> None:
    found = arguments(image=image)
    assert found[found.index("-c:v") + 1] == codec
    assert name in found
    if pixels is None:
        assert value(found, "-q:v") == "3"
    else:
        assert value(found, "-pix_fmt") == pixels


@pytest.mark.parametrize(
    ("count", "in_file"), [(1, False), (500, False), (30_000, True)], ids=["one", "hundreds", "thousands"]
)
def test_a_graph_too_long_for_an_argument_goes_into_a_file(count: int, in_file: bool) -> None:
    found, graph = export_arguments(FFMPEG, INFO, range(1_000_000, 1_000_000 + count), PNG, hwaccel="none")
    assert (len(graph) > ARGUMENT_LIMIT_BYTES) is in_file
    if in_file:
        assert value(found, "-/filter_complex") == SCRIPT
        assert "-filter_complex" not in found
    else:
        assert value(found, "-filter_complex") == graph
    assert max(len(os.fsencode(one)) for one in found) <= ARGUMENT_LIMIT_BYTES


# Encoding one decoded frame


@pytest.mark.parametrize(
    ("image", "pixels", "name"), [(PNG, "rgb24", "%d.png"), (DEEP_PNG, "rgb48le", "%d.png"), (JPEG, "rgb24", "%d.jpg")]
)
def test_decoded_frames_are_encoded_from_standard_input(image: ImageFormat, pixels: str, name: str) -> None:
    found = encode_arguments(image, 640, 480)
    assert found[: found.index("-i")][-2:] == ["-video_size", "640x480"]
    assert found[found.index("-pix_fmt") + 1] == pixels
    assert value(found, "-i") == "pipe:0"
    assert found[-1] == name


@pytest.mark.parametrize("image", [PNG, DEEP_PNG, JPEG], ids=["png", "png16", "jpeg"])
def test_both_ways_of_making_a_still_use_the_same_encoder_settings(image: ImageFormat) -> None:
    def settings(found: list[str]) -> str:
        matched = re.search(r"-c:v (mjpeg|png) .*?-bitexact", " ".join(found))
        assert matched
        return matched[0]

    assert settings(arguments(image=image)) == settings(encode_arguments(image, 640, 480))
