"""Films for tests: every frame carries its number as a bar code that survives any codec.

The code is 16 columns over the whole width in the upper quarter, white for a set bit, so it can be
read from a still of any size. Below it is moving texture, so that frames differ and can be scored.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = 16

Painter = Callable[[int, int, int], NDArray[np.uint8]]


def texture(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """RGB, uint8: smooth noise that moves with the frame number, and the code above it."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(40, 215, (height // 4 + 2, width // 4 + 2, 3), dtype=np.uint8)
    fine = np.kron(coarse, np.ones((4, 4, 1), np.uint8))[:height, :width]
    grain = rng.integers(0, 24, (height, width, 3), dtype=np.uint8)
    return code(np.roll(fine // 2 + grain + 40, (number * 3, number), axis=(1, 0)), number)


def code(picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Draw the bar code of a number into a picture."""
    height, width = picture.shape[:2]
    edges = np.linspace(0, width, BITS + 1).round().astype(int)
    for bit in range(BITS):
        picture[: height // 4, edges[bit] : edges[bit + 1]] = 235 if number >> bit & 1 else 16
    return picture


def read_bars(picture: NDArray[Any]) -> NDArray[np.float64]:
    """How bright each bar of the code is, in codes of 255."""
    height, width = picture.shape[:2]
    rows = picture[height // 16 : max(height * 3 // 16, height // 16 + 1)]
    gray = rows.reshape(rows.shape[0], width, -1)[..., :3].astype(float).mean(axis=(0, 2))
    bars = np.empty(BITS)
    for bit in range(BITS):
        left, right = width * bit / BITS, width * (bit + 1) / BITS
        bars[bit] = gray[int(left + (right - left) * 0.3) : max(int(left + (right - left) * 0.7), int(left) + 1)].mean()
    return bars * (255 / 65535 if picture.dtype == np.uint16 else 1)


def read_code(picture: NDArray[Any]) -> int:
    """The number in an upright picture of any size and depth."""
    return sum(int(bar > 127.5) << bit for bit, bar in enumerate(read_bars(picture)))


def read_still(path: Path) -> int:
    """The number in a saved still, read by Pillow, independent of how it was written."""
    with Image.open(path) as image:
        return read_code(np.asarray(image.convert("RGB")))


def make(
    path: Path,
    *,
    frames: int = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    width: int = 192,
    height: int = 108,
    rate: Fraction | int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    container: str | None = None,
    painter: Painter = texture,
    numbers: Iterable[int] | None = None,
    tags: dict[str, int] | None = None,
) -> Path:
    """Encode a film with PyAV. ``pts`` are presentation times in ``time_base`` (1/rate unless given).

    The bytes do not depend on the processor and its cores: where damage falls decides what a test sees.
    """
    exact = {"threads": "1"} | ({"x264opts": "cpu-independent=1"} if codec == "libx264" else {})
    with av.open(str(path), "w", format=container, options=container_options or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=exact | (options or {}))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        base = time_base or Fraction(1, 1) / Fraction(rate)
        stream.codec_context.time_base = base
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        for position, number in enumerate(numbers if numbers is not None else range(frames)):
            frame = av.VideoFrame.from_ndarray(painter(number, width, height), format="rgb24")
            frame = frame.reformat(format=pix_fmt)
            frame.pts = pts[position] if pts is not None else position
            frame.time_base = base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def ffmpeg_binaries() -> list[str]:
    """The FFmpeg on PATH, if any, and the bundled one."""
    found = [shutil.which("ffmpeg"), imageio_ffmpeg.get_ffmpeg_exe()]
    return list(dict.fromkeys(str(one) for one in found if one))


def remux(source: Path, target: Path, *arguments: str, before: Sequence[str] = ()) -> Path:
    """Run the bundled FFmpeg on a film, for what PyAV cannot write."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", *before, "-i", str(source)]
    subprocess.run([*command, *arguments, str(target)], check=True, capture_output=True)
    return target


def noise(path: Path, size: str = "1280x720", seconds: int = 10) -> Path:
    """Moving noise at 30 frames a second, slow to score: work enough to be interrupted or measured."""
    shutil.copyfile(_noise(path.suffix, size, seconds), path)
    return path


@functools.cache
def _noise(suffix: str, size: str, seconds: int) -> Path:
    """The same film for every test of a run: encoding it takes longer than many a test."""
    path = Path(_kept().name) / f"noise-{size}-{seconds}{suffix}"
    source = f"testsrc2=size={size}:rate=30:duration={seconds},noise=alls=12:allf=t"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", source]
    subprocess.run([*command, "-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-y", str(path)], check=True)
    return path


@functools.cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    """A folder that is there until the run ends."""
    folder = tempfile.TemporaryDirectory(prefix="films-")
    atexit.register(folder.cleanup)
    return folder
