"""Frames that are woven of two fields are made into pictures of one of them, and of that frame alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.config.score import DecodeConfig
from daemon.decode.combing import combed_blocks
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.model import Frame, Picture
from tests import corpus

CONFIG = DecodeConfig()
OFF = DecodeConfig(deinterlace="off")
LARGE = {"width": 320, "height": 192}
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "6")
FIELDS = ("-flags", "+ilme+ildct")
WOVEN = "tinterlace=interleave_top"


def film(path: Path, *arguments: str, count: int = 24) -> Path:
    return corpus.encode(path, *arguments, numbers=range(count), **LARGE)


def decoded(path: Path, config: DecodeConfig = CONFIG, **options: object) -> tuple[list[Frame], DecodeReport]:
    report = DecodeReport()
    return list(decode_frames(probe(path, config), config, report, single_thread=True, **options)), report  # type: ignore[arg-type]


def picture(frame: Frame) -> Picture:
    assert frame.picture is not None
    return frame.picture


def combing(seen: Picture) -> float:
    """How much lines differ from their neighbours, against the next lines of their own field; 1 is much."""
    gray: NDArray[np.float64] = seen.astype(np.float64).mean(axis=2)[48:]
    return float(np.abs(np.diff(gray, axis=0)).mean() / np.abs(gray[2:] - gray[:-2]).mean())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("marked.ts", (*MPEG2, "-vf", WOVEN, *FIELDS)),
        ("marked.mp4", ("-c:v", "libx264", "-crf", "12", "-vf", WOVEN, "-x264-params", "tff=1")),
        ("marked.mkv", ("-c:v", "ffv1", "-pix_fmt", "yuv422p10le", "-vf", f"{WOVEN},setfield=tff")),
        ("unmarked.mp4", ("-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p", "-vf", f"{WOVEN},setfield=prog")),
        ("unmarked.avi", ("-c:v", "mpeg4", "-q:v", "2", "-vf", f"{WOVEN},setfield=prog")),
    ],
)
def test_frames_of_two_fields_lose_their_combing(tmp_path: Path, name: str, arguments: tuple[str, ...]) -> None:
    path = film(tmp_path / name, *arguments)
    frames, report = decoded(path)
    both, untouched = decoded(path, OFF)
    progressive, none = decoded(film(tmp_path / "progressive.mkv", "-c:v", "ffv1", count=12))
    assert none.combed_frames == 0
    usual = np.mean([combing(picture(frame)) for frame in progressive])
    assert np.mean([combing(picture(frame)) for frame in both]) > 1.15 * usual
    assert np.mean([combing(picture(frame)) for frame in frames]) < 1.05 * usual
    assert report.combed_frames == len(frames)
    assert untouched.combed_frames == 0
    assert [frame.hash for frame in frames] == [frame.hash for frame in both], "the planes are what is proven"


def test_each_is_made_of_that_frame_alone(tmp_path: Path) -> None:
    path = film(tmp_path / "film.ts", *MPEG2, "-vf", WOVEN, *FIELDS)
    frames, _ = decoded(path)
    for wanted in (3, 7, 11):
        (alone,), _ = decoded(path, wanted=frozenset({wanted}))
        assert (picture(alone) == picture(frames[wanted])).all()


def test_a_telecined_film_keeps_its_clean_frames(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mpg", *MPEG2, "-r", "24000/1001", "-vf", "telecine,setfield=tff", *FIELDS)
    frames, report = decoded(path)
    both, _ = decoded(path, OFF)
    kept = [bool((picture(one) == picture(other)).all()) for one, other in zip(frames, both, strict=True)]
    assert report.combed_frames == len(frames) - sum(kept)
    assert sum(kept) / len(kept) == pytest.approx(3 / 5, abs=0.1)


@pytest.mark.parametrize("pattern", ["testsrc2", "smptebars", "mandelbrot", "rgbtestsrc", "yuvtestsrc", "cellauto"])
def test_progressive_pictures_stay_as_they_are(tmp_path: Path, pattern: str) -> None:
    source = f"{pattern}=size=320x240:rate=25" + ("" if pattern in ("mandelbrot", "cellauto") else ":duration=1")
    path = corpus.lavfi(tmp_path / "film.mkv", source, "-c:v", "ffv1", "-pix_fmt", "yuv420p", "-frames:v", "10")
    frames, report = decoded(path)
    both, _ = decoded(path, OFF)
    assert report.combed_frames == 0
    assert not report.mixed
    for one, other in zip(frames, both, strict=True):
        assert (picture(one) == picture(other)).all()


def test_a_comb_is_told_from_a_grain_and_from_edges() -> None:
    rng = np.random.default_rng(1)
    smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    grain = rng.normal(128, 20, (64, 64)).clip(0, 255).astype(np.uint8)
    comb = smooth.copy()
    comb[::2] = np.roll(comb[::2], 16, axis=1)
    assert combed_blocks(smooth, 8) == (16, 0)
    assert combed_blocks(smooth.T.copy(), 8) == (16, 0)
    assert combed_blocks(grain, 8) == (16, 0)
    assert combed_blocks(comb, 8)[1] > 8
    assert combed_blocks(comb.astype(np.uint16) << 2, 10) == combed_blocks(comb, 8)


def test_ruled_lines_are_no_comb_but_were_one_before_version_3() -> None:
    """The frames of buttons in a recorded screen: lines of one pixel, level from end to end."""
    ruled = np.full((64, 64), 235, np.uint8)
    for top in range(0, 64, 16):
        ruled[top + 8 : top + 14] = np.array([238, 167, 234, 176, 219, 237])[:, None]
    assert combed_blocks(ruled, 8) == (16, 0)
    assert combed_blocks(ruled, 8, level=0)[1] > 8
    stripes = np.where(np.arange(64)[:, None] % 2, 40, 200).astype(np.uint8).repeat(64, axis=1)
    assert combed_blocks(stripes, 8)[1] > 8, "what moves fast is level too, line by line"
