"""What a demuxer passes over without a word is damage as well, and counts in bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from tests import corpus

CONFIG = DecodeConfig()
FRAMES = 30
"""Twelve of a hundred of them are more than a hole of one frame."""
FILLS = {"zeros": b"\0", "ones": b"\xff", "noise": b""}

ASF = ("film.asf", ("-c:v", "wmv1", "-q:v", "2"))
WMV = ("film.wmv", ("-c:v", "wmv2", "-q:v", "2", "-bf", "0"))
HUFFYUV = ("film.avi", ("-c:v", "huffyuv", "-pix_fmt", "yuv422p"))
FFV1 = ("film.avi", ("-c:v", "ffv1", "-pix_fmt", "yuv420p"))
THEORA = ("film.ogv", ("-c:v", "libtheora", "-q:v", "9"))
Y4M = ("film.y4m", ("-pix_fmt", "yuv420p"))
APNG = ("film.apng", ("-c:v", "apng", "-pix_fmt", "rgb24", "-f", "apng"))
MP4 = ("film.mp4", ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"))

Kind = tuple[str, tuple[str, ...]]


def made(folder: Path, kind: Kind, *more: str) -> Path:
    name, arguments = kind
    return corpus.encode(folder / name, *arguments, *more, numbers=range(FRAMES), width=320, height=180)


def read(path: Path) -> DecodeReport:
    report = DecodeReport()
    list(decode_frames(probe(path, CONFIG), CONFIG, report, single_thread=True))
    return report


def with_hole(path: Path, fill: bytes, share: float = 0.12) -> int:
    """Overwrites a part near the middle, and says how many bytes."""
    data = bytearray(path.read_bytes())
    size = max(int(len(data) * share), 8192)
    hole = fill * size if fill else np.random.default_rng(3).integers(0, 256, size, np.uint8).tobytes()
    at = int(len(data) * 0.45)
    data[at : at + size] = hole
    path.write_bytes(data)
    return size


@pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)
@pytest.mark.parametrize("kind", [ASF, WMV, HUFFYUV, FFV1], ids=["asf", "wmv", "huffyuv", "ffv1"])
def test_a_part_that_was_overwritten_is_damage(tmp_path: Path, kind: Kind, fill: bytes) -> None:
    path = made(tmp_path, kind)
    size = with_hole(path, fill)
    with pytest.raises(DamageError):
        list(decode_frames(probe(path, CONFIG), CONFIG, DecodeReport(), single_thread=False))
    report = read(path)
    assert report.frames < FRAMES
    assert "without packets" in (report.summary() or "")
    assert report.unread_bytes >= size / 3


@pytest.mark.parametrize("kind", [THEORA, Y4M], ids=["ogg", "y4m"])
def test_a_file_that_is_cut_short_says_so(tmp_path: Path, kind: Kind) -> None:
    path = made(tmp_path, kind)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    report = read(path)
    assert 0 < report.frames < FRAMES
    assert 0 < report.unread_bytes < len(data) / 2
    assert "hold nothing that is read of this stream" in (report.summary() or "")


@pytest.mark.parametrize("kind", [MP4, APNG], ids=["mp4", "apng"])
def test_a_second_file_behind_the_first_is_said_to_be_unread(tmp_path: Path, kind: Kind) -> None:
    path = made(tmp_path, kind)
    first = path.read_bytes()
    (tmp_path / "more").mkdir()
    second = made(tmp_path / "more", kind, "-frames:v", "20").read_bytes()
    path.write_bytes(first + second)
    report = read(path)
    assert report.frames == FRAMES
    assert report.unread_bytes == len(second)


@pytest.mark.parametrize("kind", [ASF, WMV, HUFFYUV, FFV1, THEORA, Y4M, APNG, MP4], ids=lambda kind: kind[0])
def test_what_is_whole_is_not_damaged(tmp_path: Path, kind: Kind) -> None:
    report = read(made(tmp_path, kind))
    assert (report.frames, report.errors, report.unread_bytes) == (FRAMES, 0, 0)


@pytest.mark.parametrize(("name", "codec", "sound"), [("film.avi", "ffv1", "pcm_s24le"), ("film.wmv", "wmv2", "wmav2")])
def test_silence_between_pictures_is_no_hole(tmp_path: Path, name: str, codec: str, sound: str) -> None:
    """It is zeros, as what was never written."""
    path = corpus.lavfi(
        tmp_path / name, "testsrc2=size=320x180:rate=2:duration=10", "-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo",
        "-shortest", "-c:v", codec, "-c:a", sound,
    )  # fmt: skip
    report = read(path)
    assert (report.frames, report.errors) == (20, 0)
