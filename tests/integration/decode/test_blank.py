"""Blank blocks inside of packets are damage, though a decoder makes a picture of them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.config.score import DecodeConfig
from daemon.decode.blank import BlankBytes
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.packets import index_packets, video_stream
from daemon.decode.probe import probe
from tests import corpus
from tests.corpus_cases import AV1, VP9

CONFIG = DecodeConfig()
FRAMES = 24
GROUP = 8
SECTOR, BLOCK = 512, 4096

Made = tuple[str, tuple[str, ...]]

GROUPS = ("-g", str(GROUP))
H264 = ("film.mp4", (*corpus.X264, "-qp", "4", "-bf", "0", *GROUPS))
H264_TS = ("film.ts", (*corpus.X264, "-qp", "4", "-bf", "0", *GROUPS))
HEVC_QP = "log-level=none:pools=1:frame-threads=1:qp=4:bframes=0:keyint=8:min-keyint=8"
HEVC = ("film.mp4", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", HEVC_QP))
VP8 = ("film.webm", ("-c:v", "libvpx", "-b:v", "40M", "-crf", "4", "-auto-alt-ref", "0", *GROUPS))
VP9_WEBM = ("film.webm", (*VP9, "-b:v", "40M", *GROUPS))
AV1_MKV = ("film.mkv", (*AV1[:-2], "-b:v", "40M", *GROUPS))
JPEG = ("film.mjpeg", ("-c:v", "mjpeg", "-q:v", "2", "-f", "mjpeg"))
JPEG_AVI = ("film.avi", ("-c:v", "mjpeg", "-q:v", "2"))
GIF = ("film.gif", ())
DV = ("film.dv", ("-vf", "scale=720:576", "-c:v", "dvvideo", "-pix_fmt", "yuv420p"))
KINDS = {
    "h264": (H264, SECTOR),
    "hevc": (HEVC, SECTOR),
    "vp8": (VP8, SECTOR),
    "vp9": (VP9_WEBM, SECTOR),
    "av1": (AV1_MKV, SECTOR),
    "jpeg": (JPEG, BLOCK),
    "jpeg-avi": (JPEG_AVI, BLOCK),
    "gif": (GIF, BLOCK),
    "dv": (DV, BLOCK),
}


def made(folder: Path, kind: Made) -> Path:
    name, arguments = kind
    return corpus.encode(folder / name, *arguments, numbers=range(FRAMES), width=480, height=270)


def packets(path: Path) -> list[tuple[int, int]]:
    """Where each packet of the film lies, and how long it is."""
    with av.open(str(path)) as container:
        return [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]


def blank(path: Path, at: int, size: int, fill: bytes = b"\0") -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(fill * size)


def read(path: Path, *, single_thread: bool = True) -> DecodeReport:
    report = DecodeReport()
    list(decode_frames(probe(path, CONFIG), CONFIG, report, single_thread=single_thread))
    return report


def black(_: int, width: int, height: int) -> NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize("name", KINDS)
def test_a_blank_block_in_a_picture_is_damage(name: str, tmp_path: Path) -> None:
    kind, size = KINDS[name]
    path = made(tmp_path, kind)
    (at, length), middle = packets(path)[GROUP], GROUP
    assert length > 3 * size
    blank(path, at + length // 2, size)
    with pytest.raises(DamageError, match="bytes that no picture has"):
        read(path, single_thread=False)
    report = read(path)
    assert f"a packet holds {size} bytes that no picture has" in (report.summary() or "")
    assert report.damaged_spans[0][0] == middle, "the picture itself, not the one before"
    assert report.unread_bytes == size


@pytest.mark.parametrize("fill", [b"\0", b"\xff"], ids=["zeros", "ones"])
@pytest.mark.parametrize("kind", [GIF, JPEG, DV], ids=["gif", "jpeg", "dv"])
def test_so_is_a_hole_that_a_packet_has_swallowed(tmp_path: Path, kind: Made, fill: bytes) -> None:
    path = made(tmp_path, kind)
    whole = path.stat().st_size
    size = int(whole * 0.12)
    blank(path, int(whole * 0.45), size, fill)
    report = read(path)
    assert "bytes that no picture has" in (report.summary() or "")
    assert size / 2 <= report.unread_bytes <= size + 2 * BLOCK
    assert report.damaged_frames


@pytest.mark.parametrize("kind", [H264, HEVC, VP8], ids=["h264", "hevc", "vp8"])
def test_of_a_hole_over_several_packets_the_first_and_the_last_are_damaged(tmp_path: Path, kind: Made) -> None:
    path = made(tmp_path, kind)
    (at, length), (behind, more) = packets(path)[GROUP - 1], packets(path)[GROUP]
    start = at + length - min(length // 2, 2 * BLOCK)
    blank(path, start, behind + more // 2 - start)
    report = read(path)
    damaged = {frame for first, last in report.damaged_spans for frame in range(first, last + 1)}
    assert GROUP - 1 in damaged
    assert GROUP in damaged or report.frames < FRAMES


def test_an_index_that_is_read_without_decoding_says_so_too(tmp_path: Path) -> None:
    path = made(tmp_path, HEVC)
    at, length = packets(path)[GROUP]
    blank(path, at + length // 2, SECTOR)
    report = DecodeReport()
    with av.open(str(path)) as container:
        index_packets(container, video_stream(container, 0), CONFIG, report)
    assert "bytes that no picture has" in (report.summary() or "")


@pytest.mark.parametrize("name", [*KINDS, "h264-ts"])
def test_what_is_whole_is_not_damaged(name: str, tmp_path: Path) -> None:
    report = read(made(tmp_path, H264_TS if name == "h264-ts" else KINDS[name][0]))
    assert (report.frames, report.errors, report.unread_bytes) == (FRAMES, 0, 0)


def test_zeros_that_fill_a_stream_up_are_no_damage(tmp_path: Path) -> None:
    """Between two units, and at the end, there may be any number (H.264, annex B)."""
    path = corpus.encode(tmp_path / "film.h264", *H264[1], numbers=range(FRAMES), width=480, height=270)
    units = path.read_bytes().split(b"\0\0\0\1")
    path.write_bytes((bytes(3 * SECTOR) + b"\0\0\0\1").join(units) + bytes(3 * SECTOR))
    report = read(path)
    assert (report.frames, report.errors) == (FRAMES, 0)


@pytest.mark.parametrize("kind", [JPEG, JPEG_AVI], ids=["raw", "avi"])
def test_a_black_picture_with_tables_of_its_own_is_no_damage(tmp_path: Path, kind: Made) -> None:
    """Where the shortest code ends a block, a flat picture is zeros."""
    path = corpus.encode(tmp_path / kind[0], *kind[1], numbers=range(3), width=1920, height=1080, painter=black)
    assert bytes(BLOCK) in path.read_bytes()
    report = read(path)
    assert (report.frames, report.errors) == (3, 0)


@pytest.mark.parametrize("kind", [VP8, VP9_WEBM, AV1_MKV], ids=["vp8", "vp9", "av1"])
def test_neither_is_a_large_black_picture_of_which_there_is_little_to_say(tmp_path: Path, kind: Made) -> None:
    path = corpus.encode(tmp_path / kind[0], *kind[1], numbers=range(2), width=3840, height=2160, painter=black)
    report = read(path)
    assert (report.frames, report.errors) == (2, 0)


@pytest.mark.parametrize("sized", [True, False], ids=["sized", "last"])
def test_what_an_av1_packet_is_filled_up_with_is_no_part_of_a_picture(tmp_path: Path, sized: bool) -> None:
    """A unit of zeros that end in the one bit that all units end in (AV1, 5.8)."""
    with av.open(str(made(tmp_path, AV1_MKV))) as container:
        stream = container.streams.video[0]
        packet = next(one for one in container.demux(stream) if one.size)
        zeros = bytes(2 * SECTOR - 1) + b"\x80"
        filled = bytes(packet) + (b"\x7a\x80\x08" if sized else b"\x78") + zeros
        assert BlankBytes(stream).of(av.Packet(filled)) == 0
        within = bytearray(packet)
        within[-3 * SECTOR : -SECTOR] = bytes(2 * SECTOR)
        assert BlankBytes(stream).of(av.Packet(bytes(within) + zeros)) == 2 * SECTOR
        before = b"\x7a\x80\x08" + zeros
        assert BlankBytes(stream).of(av.Packet(before + bytes(within))) == 2 * SECTOR, "behind what is filled up"


@pytest.mark.parametrize("kind", [VP8, VP9_WEBM], ids=["vp8", "vp9"])
def test_a_frame_may_be_filled_up_at_its_end(tmp_path: Path, kind: Made) -> None:
    with av.open(str(made(tmp_path, kind))) as container:
        stream = container.streams.video[0]
        packet = next(one for one in container.demux(stream) if one.size)
        assert BlankBytes(stream).of(av.Packet(bytes(packet) + bytes(2 * SECTOR))) == 0
        assert BlankBytes(stream).of(av.Packet(bytes(packet) + bytes(BLOCK))) >= BLOCK
