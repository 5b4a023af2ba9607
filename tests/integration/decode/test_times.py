"""Frames have the pts that the file gives them, and the times of the film where files were joined."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.model import Frame, VideoInfo
from tests import corpus, films

CONFIG = DecodeConfig()
X264 = (*corpus.X264, "-bf", "2")


def decoded(path: Path) -> tuple[VideoInfo, list[Frame]]:
    info = probe(path, CONFIG)
    try:
        return info, list(decode_frames(info, CONFIG, DecodeReport(), single_thread=False))
    except DamageError:
        return info, list(decode_frames(info, CONFIG, DecodeReport(), single_thread=True))


def pts_of_ffmpeg(path: Path, stream: int) -> tuple[Fraction, list[int]]:
    """Time base and pts of every frame as FFmpeg's command line decodes them."""
    command = [
        films.ffmpeg_binaries()[-1],
        "-nostdin",
        "-loglevel",
        "error",
        "-copyts",
        "-noautorotate",
        "-i",
        str(path),
    ]
    command += ["-map", f"0:{stream}", "-fps_mode", "passthrough", "-enc_time_base", "demux"]
    command += ["-c:v", "wrapped_avframe", "-f", "framecrc", "-"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    base = next(Fraction(line.partition(":")[2].strip()) for line in lines if line.startswith("#tb"))
    return base, [int(line.split(",")[2]) for line in lines if not line.startswith("#")]


def film(name: str, *arguments: str, numbers: range = range(40)) -> Callable[[Path], Path]:
    return lambda folder: corpus.encode(folder / name, *arguments, numbers=numbers)


@pytest.mark.parametrize(
    "make",
    [
        film("a.mp4", *X264),
        film("a.mov", *X264),
        film("a.mkv", *X264),
        film("a.ts", *X264),
        film("a.flv", *X264),
        film("a.mpg", "-c:v", "mpeg2video", "-q:v", "3", "-bf", "2"),
        film("a.webm", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
        film("a.gif"),
        film("a.nut", "-c:v", "ffv1"),
        film("a.avi", "-c:v", "mpeg4", "-bf", "2"),
        film("late.mp4", *X264, "-output_ts_offset", "5"),
    ],
    ids=["mp4", "mov", "mkv", "ts", "flv", "mpg", "webm", "gif", "nut", "avi", "late"],
)
def test_pts_are_the_file_s_own_in_its_time_base(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    info, frames = decoded(path)
    base, expected = pts_of_ffmpeg(path, info.stream_index)
    assert info.time_base == base
    assert [frame.pts for frame in frames] == expected
    for frame, pts in zip(frames, expected, strict=True):
        assert frame.time_s == pytest.approx(float(pts * base) - info.start_s, abs=1e-6)


@pytest.mark.parametrize("suffix", ["ts", "vob", "mkv"])
def test_the_time_goes_on_in_files_that_were_joined(tmp_path: Path, suffix: str) -> None:
    codec = X264 if suffix != "vob" else ("-c:v", "mpeg2video", "-q:v", "3")
    one = corpus.encode(tmp_path / f"one.{suffix}", *codec, numbers=range(30))
    two = corpus.encode(tmp_path / f"two.{suffix}", *codec, numbers=range(30, 50))
    both = tmp_path / f"both.{suffix}"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    info, frames = decoded(both)
    times = [frame.time_s for frame in frames]
    assert len(frames) == 50
    assert times == pytest.approx([n / 25 for n in range(50)], abs=0.005)
    second = frames[30].pts
    assert second is not None
    assert second * info.time_base < 2, "the pts that the file has stays beside the time"


def test_a_part_that_is_hours_ahead_follows_at_once(tmp_path: Path) -> None:
    one = corpus.encode(tmp_path / "one.ts", *X264, numbers=range(30))
    two = corpus.encode(tmp_path / "two.ts", *X264, "-output_ts_offset", "18000", numbers=range(30, 50))
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    _, frames = decoded(both)
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(50)], abs=0.005)


def test_a_recording_goes_on_where_the_clock_of_33_bits_wraps_around(tmp_path: Path) -> None:
    offset = (1 << 33) / 90_000 - 2.0
    wrapping = corpus.encode(tmp_path / "w.ts", *X264, "-output_ts_offset", f"{offset:.3f}", numbers=range(60))
    _, frames = decoded(wrapping)
    assert np.diff([frame.time_s for frame in frames]) == pytest.approx([0.04] * 59, abs=1e-6)


def test_frames_that_share_a_packet_come_in_order_at_even_times(tmp_path: Path) -> None:
    """Packed B-frames, as DivX and Xvid write them into AVI, which has a time for each packet only."""
    path = corpus.encode(tmp_path / "packed.avi", "-c:v", "libxvid", "-q:v", "3", "-bf", "2", numbers=range(40))
    assert b"DivX503b1393p" in path.read_bytes()
    _, frames = decoded(path)
    shown = [films.read_code(frame.picture) for frame in frames if frame.picture is not None]
    assert len(shown) >= 36, "the encoder drops a few"
    assert shown == sorted(set(shown))
    for number, frame in enumerate(frames):
        # Of the first group FFmpeg guesses one time wrongly, by one frame.
        assert frame.time_s - frames[0].time_s == pytest.approx(0.04 * number, abs=0.041 if number < 4 else 0.001)


def test_a_frame_lasts_as_long_as_the_file_says(tmp_path: Path) -> None:
    _, frames = decoded(corpus.timed("slides.mp4", [0, 5000, 65_000, 70_000])(tmp_path))
    assert [round(frame.time_s, 3) for frame in frames] == [0.0, 5.0, 65.0, 70.0]
    assert [frame.duration_s for frame in frames][:3] == pytest.approx([5.0, 60.0, 5.0])
