"""Gray from a decoder's planes has every bit that the filter chain gives; what may not come this way does not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from daemon.analysis.measure import measure, measure_rows, rows_looked_at
from daemon.config.score import DecodeConfig
from daemon.decode import planes
from daemon.decode.damage import LAYOUTS_KEPT, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.gray import GrayMaker, GrayWanted
from daemon.decode.picture import PictureMaker
from daemon.decode.probe import probe
from daemon.decode.rgb import RgbMaker
from daemon.media import filters
from daemon.media.rules import PICTURE_RULES
from daemon.media.scorable import is_flat
from daemon.model import Colour, Crop, GrayPicture, Picture, VideoInfo
from daemon.scoring.niqe import kernel
from tests import films

CONFIG = DecodeConfig()
UNTAGGED = Colour()
ALL_ROWS = GrayWanted(96, lambda height: np.arange(height, dtype=np.int32), lambda _: True)


@pytest.fixture(scope="module")
def film_info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    film = films.make(tmp_path_factory.mktemp("gray") / "film.mp4", frames=2)
    return replace(probe(film, CONFIG), colour=Colour())


def noise(pix_fmt: str, width: int, height: int, *, seed: int = 1) -> VideoFrame:
    """Every code that there is, those that are out of range too."""
    rng = np.random.default_rng(seed)
    frame = VideoFrame(width, height, pix_fmt)
    depth = frame.format.components[0].bits
    for plane in frame.planes:
        samples = np.frombuffer(plane, np.uint8 if depth == 8 else np.uint16)
        samples[:] = rng.integers(0, 1 << depth, samples.shape)
    frame.pts = 0
    return frame


def info_of(frame: VideoFrame, base: VideoInfo, colour: Colour = UNTAGGED) -> VideoInfo:
    depth = frame.format.components[0].bits
    return replace(
        base, width=frame.width, height=frame.height, pix_fmt=frame.format.name, bit_depth=depth, colour=colour
    )


def both(frame: VideoFrame, info: VideoInfo) -> tuple[GrayPicture, Picture]:
    """By the kernel, which has to prove itself, and by the chain."""
    differences: list[str] = []
    made = GrayMaker(ALL_ROWS, PictureMaker(None, False), differences.append).make(frame, info, 0)
    assert differences == []
    assert made is not None
    return made, PictureMaker(None, False).make(frame, info)


def gray_of(picture: Picture) -> Any:
    found = np.empty(picture.shape[:2], np.uint8)
    white = np.float32(np.iinfo(picture.dtype).max)
    kernel.to_gray(np.ascontiguousarray(picture).reshape(picture.shape[0], -1), white, found)
    return found


FORMATS = [
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuvj422p",
    "yuv444p",
    "yuv440p",
    "yuv411p",
    "yuv410p",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p10le",
    "yuv420p12le",
]


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize(("width", "height"), [(320, 200), (201, 203)], ids=["even", "odd"])
@pytest.mark.parametrize("levels", ["limited", "full"])
def test_every_bit_is_the_chains(film_info: VideoInfo, pix_fmt: str, width: int, height: int, levels: str) -> None:
    frame = noise(pix_fmt, width, height)
    made, picture = both(frame, info_of(frame, film_info, Colour("bt709", levels)))
    assert np.array_equal(made.rows.transpose(0, 2, 1), picture)
    assert np.array_equal(made.gray, gray_of(picture))


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize(("width", "height"), [(320, 200), (201, 203)], ids=["even", "odd"])
def test_every_bit_in_colour_too(film_info: VideoInfo, pix_fmt: str, width: int, height: int) -> None:
    differences: list[str] = []
    maker = RgbMaker(PictureMaker(None, False), differences.append)
    for seed in (1, 2):
        # The second comes without the chain, once the first was the same.
        frame = noise(pix_fmt, width, height, seed=seed)
        info = info_of(frame, film_info)
        assert np.array_equal(maker.make(frame, info), PictureMaker(None, False).make(frame, info))
    assert differences == []


@pytest.mark.parametrize("place", filters.CHROMA_PLACES)
@pytest.mark.parametrize("pix_fmt", [one for one in FORMATS if "444" not in one])
def test_every_bit_wherever_chroma_lies(film_info: VideoInfo, pix_fmt: str, place: str) -> None:
    by_place = replace(film_info, rules=PICTURE_RULES)
    for width, height in ((320, 200), (201, 203), (98, 97), (130, 100), (99, 98)):
        frame = noise(pix_fmt, width, height)
        made, picture = both(frame, info_of(frame, by_place, Colour("bt709", chroma_location=place)))
        assert np.array_equal(made.rows.transpose(0, 2, 1), picture), (width, height)
        assert np.array_equal(made.gray, gray_of(picture))


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt470bg", "fcc", "smpte240m", "bt2020nc", "unknown"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_every_matrix(film_info: VideoInfo, matrix: str, pix_fmt: str) -> None:
    for levels in ("limited", "full", "unknown"):
        frame = noise(pix_fmt, 240, 200)
        made, picture = both(frame, info_of(frame, film_info, Colour(matrix, levels)))
        assert np.array_equal(made.rows.transpose(0, 2, 1), picture)
        assert np.array_equal(made.gray, gray_of(picture))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("height", [96, 131, 720])
def test_features_are_those_of_the_picture(film_info: VideoInfo, pix_fmt: str, height: int) -> None:
    frame = noise(pix_fmt, 256, height)
    info = info_of(frame, film_info)
    wanted = GrayWanted(96, rows_looked_at, lambda _: False)
    made = GrayMaker(wanted, PictureMaker(None, False), lambda _: None).make(frame, info, 0)
    assert made is not None
    assert made.small is None
    assert measure_rows(made.rows, height) == measure(PictureMaker(None, False).make(frame, info))


def test_flat_is_what_is_flat_in_the_picture(film_info: VideoInfo) -> None:
    for spot in (0, 2, 60):
        frame = VideoFrame(200, 120, "yuv420p")
        for plane in frame.planes:
            np.frombuffer(plane, np.uint8)[:] = 90
        np.frombuffer(frame.planes[0], np.uint8).reshape(120, -1)[-1, 199] = 90 + spot
        frame.pts = 0
        made, picture = both(frame, info_of(frame, film_info))
        assert made.flat == is_flat(picture) == (spot < 3)


def test_a_reduced_picture_looks_like_the_picture(film_info: VideoInfo) -> None:
    for pix_fmt in ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le"):
        frame = VideoFrame(1280, 720, pix_fmt)
        depth = frame.format.components[0].bits
        for number, plane in enumerate(frame.planes):
            samples = np.frombuffer(plane, np.uint8 if depth == 8 else np.uint16).reshape(plane.height, -1)
            samples[:] = np.linspace(60 + 30 * number, 200 - 20 * number, samples.shape[1]) * (1 << (depth - 8))
        frame.pts = 0
        made, picture = both(frame, info_of(frame, film_info))
        assert made.small is not None
        side = 1280 // made.small.shape[1]
        assert made.small.shape == (720 // side, 1280 // side, 3)
        codes = picture / (257 if depth > 8 else 1)
        means = codes.reshape(720 // side, side, 1280 // side, side, 3).mean(axis=(1, 3))
        assert abs(means - made.small).max() <= 3, pix_fmt


@pytest.mark.parametrize(
    "change",
    [
        {"sample_aspect": Fraction(4, 3)},
        {"rotation_degrees": 90},
        {"flip": True},
        {"crop": Crop(top=2)},
        {"colour": Colour(transfer="smpte2084")},
        {"colour": Colour(primaries="bt2020"), "rules": 2},
        {"colour": Colour(transfer="gamma28"), "rules": 2},
    ],
    ids=["narrow pixels", "turned", "mirrored", "cropped", "hdr", "primaries", "curve"],
)
def test_what_is_more_than_planes_in_rgb_goes_through_the_chain(film_info: VideoInfo, change: dict[str, Any]) -> None:
    frame = noise("yuv420p", 240, 200)
    maker = GrayMaker(ALL_ROWS, PictureMaker(None, False), lambda _: None)
    assert maker.make(frame, replace(info_of(frame, film_info), **change), 0) is None
    assert maker.make(frame, info_of(frame, film_info), 1) is not None


@pytest.mark.parametrize("pix_fmt", ["nv12", "yuva420p", "gray", "gbrp", "rgb24", "yuyv422", "yuv420p10be"])
def test_formats_that_are_not_known_go_through_the_chain(film_info: VideoInfo, pix_fmt: str) -> None:
    frame = VideoFrame(240, 200, pix_fmt)
    frame.pts = 0
    maker = GrayMaker(ALL_ROWS, PictureMaker(None, False), lambda _: None)
    assert maker.make(frame, info_of(frame, film_info), 0) is None


def test_small_frames_go_through_the_chain(film_info: VideoInfo) -> None:
    maker = GrayMaker(ALL_ROWS, PictureMaker(None, False), lambda _: None)
    for width, height, taken in ((400, 95, False), (95, 400, False), (96, 96, True)):
        frame = noise("yuv444p", width, height)
        assert (maker.make(frame, info_of(frame, film_info), 0) is not None) == taken


def test_a_layout_that_differs_keeps_the_chain_and_says_so(
    film_info: VideoInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = planes.factors

    def wrong(matrix: str, *, full: bool) -> Any:
        found = right(matrix, full=full)
        return None if found is None else found + np.array([0, 0, 0, 0, 0, 1], np.int32)

    monkeypatch.setattr(planes, "factors", wrong)
    differences: list[str] = []
    maker = GrayMaker(ALL_ROWS, PictureMaker(None, False), differences.append)
    frame = noise("yuv420p", 240, 200)
    assert maker.make(frame, info_of(frame, film_info), 0) is None
    assert maker.make(frame, info_of(frame, film_info), 1) is None
    assert differences == ["yuv420p 240x200"]
    coloured = RgbMaker(PictureMaker(None, False), differences.append)
    for _ in range(2):
        assert np.array_equal(
            coloured.make(frame, info_of(frame, film_info)),
            PictureMaker(None, False).make(frame, info_of(frame, film_info)),
        )
    assert differences == ["yuv420p 240x200"] * 2


def test_flat_frames_prove_nothing(film_info: VideoInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Black has the same bits by many a formula: the chain is asked until there is something to be seen."""
    asked = []
    right = PictureMaker.make

    def counted(self: PictureMaker, raw: VideoFrame, info: VideoInfo, *, combed: bool = False) -> Picture:
        asked.append(raw)
        return right(self, raw, info, combed=combed)

    monkeypatch.setattr(PictureMaker, "make", counted)
    maker = GrayMaker(ALL_ROWS, PictureMaker(None, False), lambda _: None)
    black = VideoFrame(240, 200, "yuv420p")
    for number, plane in enumerate(black.planes):
        np.frombuffer(plane, np.uint8)[:] = 128 if number else 16
    black.pts = 0
    for ordinal, frame in enumerate([black, black, *(noise("yuv420p", 240, 200, seed=seed) for seed in range(3))]):
        assert maker.make(frame, info_of(frame, film_info), ordinal) is not None
    # Of the black ones the first, and then the first that is not black.
    assert len(asked) == 2


def test_a_film_of_ever_new_layouts_that_differ_does_not_fill_its_report() -> None:
    report = DecodeReport()
    for width in (*range(1, 3 * LAYOUTS_KEPT), *range(1, 3 * LAYOUTS_KEPT)):
        report.differs(f"yuv420p {width}x2")
    assert report.unlike_chain == [f"yuv420p {width}x2" for width in range(1, LAYOUTS_KEPT + 1)]


def test_a_film_comes_in_gray_with_the_same_hashes(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=6)
    info = probe(film, CONFIG)
    report = DecodeReport()
    grays = list(decode_frames(info, CONFIG, report, single_thread=False, gray=ALL_ROWS))
    pictures = list(decode_frames(info, CONFIG, DecodeReport(), single_thread=False))
    assert report.unlike_chain == []
    assert [frame.hash for frame in grays] == [frame.hash for frame in pictures]
    for frame, other in zip(grays, pictures, strict=True):
        assert frame.picture is None
        assert frame.gray is not None
        assert other.picture is not None
        assert np.array_equal(frame.gray.rows.transpose(0, 2, 1), other.picture)
        assert frame.nbytes > frame.gray.gray.nbytes


def test_swscales_version_is_the_one_that_was_looked_at() -> None:
    """A change is no error, the guard sees to that: the bits are to be looked at again, and then this number."""
    assert av.library_versions["libswscale"][0] == 9
    assert filters.SWS_FLAGS == "accurate_rnd+full_chroma_int+bicubic"
