"""Small made films of every kind and every damage, each frame with its number as a bar code.

A case says what must come out: the painted numbers, or, where the film itself loses or repeats frames,
``loses`` says why, and the frames that a plain decode with one thread gives are the measure instead.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daemon.errors import Kind
from tests import films

WIDTH, HEIGHT, FRAMES = 192, 108, 10

Build = Callable[[Path], Path]


@dataclass(frozen=True, slots=True)
class Case:
    """A film and what must become of it.

    ``build`` makes it in a folder. ``first`` is the number painted on frame 0. ``size`` is that of the
    stills. ``damaged`` is None where the flipped bytes may or may not be noticed. ``by_decode`` names the FFmpegs (``path``, ``bundled``) that cannot cut the stills themselves, so that the
    reference path has to. ``transfer`` is the curve that the film has to be tagged with for the case to mean anything.
    """

    name: str
    build: Build
    frames: int | None = FRAMES
    first: int = 0
    size: tuple[int, int] = (WIDTH, HEIGHT)
    loses: str = ""
    rejected: tuple[Kind, ...] = ()
    damaged: bool | None = False
    mixed: bool = False
    by_decode: tuple[str, ...] = ()
    transfer: str = ""


def encode(
    path: Path,
    *arguments: str,
    numbers: Iterable[int] = range(FRAMES),
    width: int = WIDTH,
    height: int = HEIGHT,
    painter: films.Painter = films.texture,
    before: Sequence[str] = (),
) -> Path:
    """Encode painted frames with the bundled FFmpeg."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{width}x{height}", "-framerate", "25"]
    command += [*before, "-i", "pipe:0", "-sws_flags", "+bitexact+accurate_rnd", *arguments, str(path)]
    data = b"".join(painter(number, width, height).tobytes() for number in numbers)
    ended = subprocess.run(command, input=data, capture_output=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"{path.name}: {ended.stderr.decode(errors='replace')[-600:]}")
    return path


def lavfi(path: Path, source: str, *arguments: str) -> Path:
    """Encode a synthetic picture with the bundled FFmpeg."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", source]
    subprocess.run([*command, *arguments, str(path)], check=True, capture_output=True)
    return path


def made(name: str, *arguments: str, before: Sequence[str] = (), width: int = WIDTH, height: int = HEIGHT) -> Build:
    """A film that one run of FFmpeg makes; ``name`` is the file's."""
    return lambda folder: encode(folder / name, *arguments, before=before, width=width, height=height)


def intra(pix_fmt: str, name: str = "film.mkv", codec: str = "ffv1", *more: str) -> Build:
    """A lossless film of a pixel format."""
    return made(name, "-c:v", codec, "-pix_fmt", pix_fmt, *more)


# The same bytes on every processor: where damage falls decides what a test sees.
X264 = (
    *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-threads", "1"),
    *("-x264opts", "cpu-independent=1"),
)
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:pools=1:frame-threads=1")


def remuxed(first: Build, name: str, *arguments: str, before: Sequence[str] = ()) -> Build:
    """A film that is made and then put through FFmpeg once more."""

    def build(folder: Path) -> Path:
        return films.remux(first(folder), folder / name, *arguments, before=before)

    return build


def timed(name: str, pts: Sequence[int], base: Fraction = Fraction(1, 1000), **options: str) -> Build:
    """A film with given presentation times."""

    def build(folder: Path) -> Path:
        return films.make(folder / name, frames=len(pts), pts=pts, time_base=base, options={"bf": "0", **options})

    return build


def turned(degrees: int, flip: bool) -> Build:
    """An upright picture that is stored turned, with the display matrix that says so.

    ``degrees`` clockwise (after a mirror, if any) bring the stored frame upright.
    """

    def painter(number: int, width: int, height: int) -> NDArray[np.uint8]:
        upright = films.texture(number, *((height, width) if degrees in (90, 270) else (width, height)))
        stored = np.rot90(upright, degrees // 90)
        return np.ascontiguousarray(stored[:, ::-1] if flip else stored)

    def build(folder: Path) -> Path:
        film = encode(folder / "plain.mp4", *X264, painter=painter)
        mirror = ["-display_hflip"] if flip else []
        angle = degrees if flip else -degrees
        return films.remux(film, folder / "turned.mp4", "-c", "copy", before=["-display_rotation", str(angle), *mirror])

    return build


def scaled_turn(name: str, scale: float) -> Build:
    """Stored lying on its side, with a display matrix that turns it and scales it as well."""

    def build(folder: Path) -> Path:
        film = turned(90, False)(folder).read_bytes()
        unit = (1 << 16).to_bytes(4, "big")
        at = film.index(b"tkhd")
        matrix = film.index(unit, at + 4 + 40)
        cells = [int.from_bytes(film[matrix - 4 + 4 * n : matrix + 4 * n], "big", signed=True) for n in range(5)]
        assert sorted(map(abs, cells)) == [0, 0, 0, 1 << 16, 1 << 16], cells
        scaled = b"".join(int(cell * scale).to_bytes(4, "big", signed=True) for cell in cells)
        (folder / name).write_bytes(film[: matrix - 4] + scaled + film[matrix + 16 :])
        return folder / name

    return build


def with_exif(name: str, orientation: int) -> Build:
    """A row of JPEG pictures that carry EXIF, as cameras write them."""

    def build(folder: Path) -> Path:
        exif = Image.Exif()
        exif[0x0112] = orientation
        whole = folder / "pictures.mjpeg"
        with whole.open("wb") as file:
            for number in range(FRAMES):
                picture = (
                    films.texture(number, HEIGHT, WIDTH) if orientation == 6 else films.texture(number, WIDTH, HEIGHT)
                )
                stored = np.rot90(picture) if orientation == 6 else picture
                Image.fromarray(np.ascontiguousarray(stored)).save(file, "JPEG", quality=95, exif=exif)
        if name.endswith(".mjpeg"):
            return whole.rename(folder / name)
        return films.remux(whole, folder / name, "-c", "copy", before=("-f", "mjpeg"))

    return build


def with_latin_title(build_first: Build, name: str) -> Build:
    """A film whose title is not UTF-8."""

    def build(folder: Path) -> Path:
        film = films.remux(build_first(folder), folder / f"plain-{name}", "-c", "copy", "-metadata", "title=cafeQ")
        data = film.read_bytes()
        assert b"cafeQ" in data
        (folder / name).write_bytes(data.replace(b"cafeQ", b"caf\xe9Q"[:5].ljust(5, b"Q")))
        return folder / name

    return build


def joined(name: str, *parts: Build) -> Build:
    """Raw streams one after another."""

    def build(folder: Path) -> Path:
        data = b""
        for number, part in enumerate(parts):
            place = folder / str(number)
            place.mkdir()
            data += part(place).read_bytes()
        (folder / name).write_bytes(data)
        return folder / name

    return build


def numbered(start: int, count: int, name: str, *arguments: str, width: int = WIDTH, height: int = HEIGHT) -> Build:
    """A part of a film whose numbers go on from another part."""
    return lambda folder: encode(
        folder / name, *arguments, numbers=range(start, start + count), width=width, height=height
    )


def cut(first: Build, keep: float) -> Build:
    """A film of which only the first part is there."""

    def build(folder: Path) -> Path:
        film = first(folder)
        data = film.read_bytes()
        film.write_bytes(data[: int(len(data) * keep)])
        return film

    return build


def flipped(first: Build, count: int, seed: int, after: float = 0.25) -> Build:
    """A film with some bytes wrong."""

    def build(folder: Path) -> Path:
        film = first(folder)
        data = bytearray(film.read_bytes())
        for at in np.random.default_rng(seed).integers(int(len(data) * after), len(data), count):
            data[at] ^= 0x5A
        film.write_bytes(data)
        return film

    return build


def hole(first: Build, begin: float, end: float) -> Build:
    """A film with a piece missing in the middle."""

    def build(folder: Path) -> Path:
        film = first(folder)
        data = film.read_bytes()
        film.write_bytes(data[: int(len(data) * begin)] + data[int(len(data) * end) :])
        return film

    return build


def with_cover(name: str) -> Build:
    """A film whose stream 0 is a cover picture, larger than the video."""

    def build(folder: Path) -> Path:
        film = encode(folder / "plain.mp4", *X264)
        cover = folder / "cover.png"
        Image.new("RGB", (640, 480), "red").save(cover)
        if name.endswith("mkv"):
            tags = ["-metadata:s:t", "mimetype=image/png", "-metadata:s:t", "filename=cover.png"]
            return films.remux(film, folder / name, "-attach", str(cover), *tags, "-map", "0", "-c", "copy")
        both = ["-i", str(cover), "-map", "1", "-map", "0", "-c", "copy", "-disposition:v:0", "attached_pic"]
        return films.remux(film, folder / name, *both)

    return build


def two_streams(small_first: bool) -> Build:
    """Two video streams; the larger one counts, whichever comes first."""

    def build(folder: Path) -> Path:
        small = encode(folder / "small.mp4", *X264, numbers=range(50, 50 + FRAMES), width=96, height=54)
        large = encode(folder / "large.mp4", *X264)
        order = (small, large) if small_first else (large, small)
        return films.remux(
            order[0], folder / "both.mkv", "-i", str(order[1]), "-map", "0:v", "-map", "1:v", "-c", "copy"
        )

    return build


def sound(name: str) -> Build:
    """Sound and no video at all."""

    return lambda folder: lavfi(folder / name, "sine=d=0.3")


def no_frames(name: str) -> Build:
    """A container with a video track that holds nothing."""

    def build(folder: Path) -> Path:
        with av.open(str(folder / name), "w") as output:
            stream = output.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            output.start_encoding()
        return folder / name

    return build


def without_packets(path: Path) -> Path:
    """A transport stream of 60 frames, of which some packets in the second of three groups are missing."""
    film = encode(
        path, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "8", "-g", "20", "-pix_fmt", "yuv420p",
        numbers=range(60), width=320, height=192,
    )  # fmt: skip
    data = film.read_bytes()
    at = len(data) * 9 // 24 // 188 * 188
    film.write_bytes(data[:at] + data[at + 188 * 30 :])
    return film
