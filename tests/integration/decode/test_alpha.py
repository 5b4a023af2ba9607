"""Films with transparency: what is opaque is seen on its ground, in the scored picture and in the still."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from daemon.config.schema import Config
from daemon.config.score import DecodeConfig
from daemon.decode.alpha import ground_of
from daemon.decode.probe import probe
from daemon.media.alpha import DARK, LIGHT
from daemon.media.rules import FIRST_RULES
from daemon.service.foreground import once
from daemon.store.store import Store
from tests.integration.decode.test_colour import through
from tests.integration.decode.test_colour_kinds import codes, picture_of
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

DECODE = DecodeConfig()
WIDTH, HEIGHT, FRAMES = 192, 108, 12
Painter = Callable[[int], NDArray[np.uint8]]


def lettering(number: int) -> NDArray[np.uint8]:
    """Black bars on nothing."""
    picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    picture[30:78, 20 + 4 * number : 60 + 4 * number, 3] = 255
    picture[30:78, 36 + 4 * number : 44 + 4 * number, 3] = 0
    return picture


def sticker(number: int) -> NDArray[np.uint8]:
    """A light shape, with white under what is transparent."""
    picture = np.full((HEIGHT, WIDTH, 4), (255, 255, 255, 0), np.uint8)
    picture[30:78, 20 + 4 * number : 60 + 4 * number] = (250, 250, 245, 255)
    picture[40:44, 26 + 4 * number : 34 + 4 * number] = (60, 60, 60, 255)
    return picture


def half_seen(number: int) -> NDArray[np.uint8]:
    picture = sticker(number)
    picture[..., 3] //= 2
    return picture


def opaque(number: int) -> NDArray[np.uint8]:
    picture = sticker(number)
    picture[..., 3] = 255
    return picture


KINDS = {
    "apng-rgba": ("apng", ["-c:v", "apng", "-f", "apng"], "rgba"),
    "mov-qtrle": ("mov", ["-c:v", "qtrle"], "argb"),
    "mov-prores-4444": ("mov", ["-c:v", "prores_ks", "-profile:v", "4444", "-q:v", "2"], "yuva444p10le"),
    "webm-vp9": ("webm", ["-c:v", "libvpx-vp9", "-crf", "4", "-auto-alt-ref", "0"], "yuva420p"),
    "webm-vp8": ("webm", ["-c:v", "libvpx", "-crf", "4", "-b:v", "2M", "-auto-alt-ref", "0"], "yuva420p"),
    "mkv-ffv1": ("mkv", ["-c:v", "ffv1"], "yuva420p"),
    "gif": ("gif", ["-filter_complex", "split[a][b];[a]palettegen=reserve_transparent=1[p];[b][p]paletteuse"], "pal8"),
}


def film(folder: Path, kind: str, painter: Painter, frames: int = FRAMES) -> Path:
    suffix, encoder, pix_fmt = KINDS[kind]
    path = folder / f"{painter.__name__}.{suffix}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", "-f", "rawvideo"]
    command += ["-pix_fmt", "rgba", "-video_size", f"{WIDTH}x{HEIGHT}", "-framerate", "25", "-i", "-", *encoder]
    if "-filter_complex" not in encoder:
        command += ["-pix_fmt", pix_fmt]
    samples = b"".join(painter(number).tobytes() for number in range(frames))
    subprocess.run([*command, str(path)], input=samples, check=True, capture_output=True)
    return path


@pytest.mark.parametrize(
    ("painter", "ground", "gray", "subject"), [(lettering, "light", LIGHT, 0), (sticker, "dark", DARK, 249)]
)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_opaque_is_seen_on_the_ground_that_it_differs_from(
    kind: str, painter: Painter, ground: str, gray: int, subject: int, tmp_path: Path, ffmpeg_binary: str
) -> None:
    path = film(tmp_path, kind, painter)
    assert probe(path, DECODE).ground == ground
    scored, saved = await through(path, tmp_path / "work", ffmpeg_binary)
    assert np.abs(codes(scored) - codes(saved)).max() <= 1.0
    picture = codes(scored)
    assert np.abs(picture[:24] - gray).max() <= 3
    assert np.abs(picture[50:70, 28:36] - subject).mean() <= 6


@pytest.mark.parametrize("ink", [0, 255])
def test_thin_lines_are_seen_whatever_is_under_what_is_transparent_beside_them(ink: int) -> None:
    picture = np.full((720, 1280, 4), (*(255 - ink,) * 3, 0), np.uint8)
    picture[100:600:40, 100:1100] = (ink, ink, ink, 255)
    assert ground_of(iter([VideoFrame.from_ndarray(picture, "rgba")])) == ("dark" if ink else "light")


def test_what_is_half_transparent_is_mixed_with_its_ground(tmp_path: Path) -> None:
    picture, _, _ = picture_of(film(tmp_path, "mkv-ffv1", half_seen))
    assert np.abs(codes(picture)[50:70, 30:55].mean() - (DARK + (249 - DARK) * 127 / 255)) <= 1.5


@pytest.mark.parametrize(("pix_fmt", "depth"), [("gbrap16le", 16), ("gbrap12le", 12), ("gbrap", 8)])
async def test_each_pixel_is_mixed_with_its_ground(
    pix_fmt: str, depth: int, tmp_path: Path, ffmpeg_binary: str
) -> None:
    """Also in the last row of each part of the picture that a thread of swscale works on."""
    height, width, top = 361, 634, 2**depth - 1
    planes = np.random.default_rng(3).integers(0, top + 1, (4, height, width)).astype("u1" if depth == 8 else "<u2")
    path = tmp_path / "noise.mkv"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-f", "rawvideo"]
    command += ["-pix_fmt", pix_fmt, "-video_size", f"{width}x{height}", "-i", "-", "-c:v", "ffv1", str(path)]
    subprocess.run(command, input=planes.tobytes() * 3, check=True, capture_output=True)
    gray = {"light": LIGHT, "dark": DARK}[probe(path, DECODE).ground]
    green, blue, red, opaque = planes / top
    meant = gray + (255 * np.stack([red, green, blue], axis=2) - gray) * opaque[..., None]
    for picture in await through(path, tmp_path / "work", ffmpeg_binary):
        assert np.abs(codes(picture) - meant).max() <= 1.5


@pytest.mark.parametrize("kind", ["apng-rgba", "mov-qtrle", "mov-prores-4444", "gif"])
def test_a_film_that_only_could_be_transparent_is_not_laid_over_anything(kind: str, tmp_path: Path) -> None:
    path = film(tmp_path, kind, opaque)
    assert probe(path, DECODE).ground == ""
    assert np.array_equal(picture_of(path)[0], picture_of(path, rules=FIRST_RULES)[0])


@pytest.mark.parametrize("kind", ["apng-rgba", "gif", "mov-qtrle", "mov-prores-4444", "webm-vp9", "mkv-ffv1"])
def test_a_film_may_turn_transparent_later(kind: str, tmp_path: Path) -> None:
    def later(number: int) -> NDArray[np.uint8]:
        return lettering(number % 20) if number >= 90 else opaque(number % 20)

    assert probe(film(tmp_path, kind, later, frames=130), DECODE).ground


@pytest.mark.usefixtures("stub_scorer")
async def test_frames_of_which_nothing_is_seen_are_transparent_not_flat(tmp_path: Path) -> None:
    def begins_with_nothing(number: int) -> NDArray[np.uint8]:
        return lettering(number) if number >= 4 else np.zeros((HEIGHT, WIDTH, 4), np.uint8)

    path = film(tmp_path, "apng-rgba", begins_with_nothing)
    config = Config.model_validate(
        {"output": {"path": tmp_path / "out"}, "database": {"path": tmp_path / "db.sqlite"}, "select": {"count": 2}}
    )
    (record,), _ = await once(config, [path])
    store = await Store.open(config.database)
    try:
        assert await store.frames.with_note(record.id, "transparent") == [0, 1, 2, 3]
        assert (await store.analysis.verdicts(record.id))["transparent"] == 4
    finally:
        await store.close()
