"""Chroma that pixels share is spread from where the file says that it lies: FFmpeg's ``zscale`` gives the same picture."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.config.score import DecodeConfig
from daemon.decode.probe import probe
from daemon.media.rules import CENTRED_CHROMA_RULES, FIRST_RULES
from tests.integration.decode.test_colour import through
from tests.integration.decode.test_colour_kinds import X264, X265, codes, picture_of
from tests.integration.decode.test_stretches import decoded

DECODE = DecodeConfig()
WIDTH, HEIGHT = 320, 180
# Fine saturated detail all over: half a sample of chroma is many codes.
SOURCE = f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25:duration=0.2,hue=s=1.5,format=yuv444p"
MPEG2 = ["-c:v", "mpeg2video", "-q:v", "2"]

KINDS = {
    "h264-mp4": ("yuv420p", X264, "mp4", "left"),
    "h264-topleft-mkv": ("yuv420p", [*X264, "-chroma_sample_location", "topleft"], "mkv", "topleft"),
    "h264-bottom-ts": ("yuv420p", [*X264, "-chroma_sample_location", "bottom"], "ts", "bottom"),
    "h264-center-mp4": ("yuv420p", [*X264, "-chroma_sample_location", "center"], "mp4", "center"),
    "h264-422-mkv": ("yuv422p", X264, "mkv", "left"),
    "hevc-10-bits-mp4": ("yuv420p10le", X265, "mp4", "left"),
    "hevc-10-bits-topleft-ts": ("yuv420p10le", [*X265[:3], "qp=4:log-level=none:chromaloc=2"], "ts", "topleft"),
    "mpeg2-ts": ("yuv420p", MPEG2, "ts", "left"),
    "mpeg1-mpg": ("yuv420p", ["-c:v", "mpeg1video", "-q:v", "2"], "mpg", "center"),
    "jpeg-avi": ("yuvj420p", ["-c:v", "mjpeg", "-q:v", "2"], "avi", "center"),
    "vp9-webm": ("yuv420p", ["-c:v", "libvpx-vp9", "-lossless", "1"], "webm", "unknown"),
    "ffv1-411-avi": ("yuv411p", ["-c:v", "ffv1"], "avi", "unknown"),
    "ffv1-410-mkv": ("yuv410p", ["-c:v", "ffv1"], "mkv", "unknown"),
    "raw-nv12-mkv": ("nv12", ["-c:v", "rawvideo"], "mkv", "unknown"),
    "ffv1-444-mkv": ("yuv444p", ["-c:v", "ffv1"], "mkv", "unknown"),
}  # fmt: skip


def made(path: Path, pix_fmt: str, encoder: list[str], source: str = SOURCE) -> Path:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", source]
    subprocess.run([*command, "-pix_fmt", pix_fmt, *encoder, str(path)], check=True, capture_output=True)
    return path


def by_zscale(path: Path, matrix: str = "170m") -> NDArray[np.float64]:
    """Frame 1, by the same kernel; ``zscale`` goes by the frame's own place of chroma, else by the left."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", str(path)]
    command += ["-vf", f"select='eq(n,1)',zscale=f=bicubic:min={matrix}:m=gbr:r=full,format=gbrp16le"]
    command += ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb48le", "-"]
    samples = subprocess.run(command, check=True, capture_output=True).stdout
    return codes(np.frombuffer(samples, np.uint16).reshape(HEIGHT, WIDTH, 3))


@pytest.mark.parametrize("kind", KINDS)
async def test_the_picture_is_zscales_wherever_chroma_lies(kind: str, tmp_path: Path, ffmpeg_binary: str) -> None:
    pix_fmt, encoder, suffix, place = KINDS[kind]
    path = made(tmp_path / f"film.{suffix}", pix_fmt, encoder)
    assert probe(path, DECODE).colour.chroma_location == place
    scored, saved = await through(path, tmp_path / "work", ffmpeg_binary)
    assert np.array_equal(scored, saved)
    expected = by_zscale(path)
    assert np.abs(codes(picture_of(path)[0]) - expected).mean() <= 0.4
    older = np.abs(codes(picture_of(path, rules=CENTRED_CHROMA_RULES)[0]) - expected).mean()
    assert (older > 1) == (place != "center" and "444" not in pix_fmt)


@pytest.mark.parametrize("rules", [FIRST_RULES, CENTRED_CHROMA_RULES])
def test_older_rules_do_not_ask_for_it(rules: int, tmp_path: Path) -> None:
    path = made(tmp_path / "film.mp4", "yuv420p", [*X264, "-chroma_sample_location", "topleft"])
    assert probe(path, DECODE, rules).colour.chroma_location == "unknown"


def test_a_place_that_changes_in_the_middle_is_each_frames_own(tmp_path: Path) -> None:
    parts = [
        made(tmp_path / f"{place}.ts", "yuv420p10le", [*X265[:3], f"qp=4:log-level=none:repeat-headers=1:{tags}"])
        for place, tags in (("left", "colorprim=bt709"), ("top", "chromaloc=2:colorprim=bt2020:transfer=bt2020-10"))
    ]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    found = [one.info.colour.chroma_location for one in decoded(path)[2].stretches]
    assert found == ["left", "topleft"]
