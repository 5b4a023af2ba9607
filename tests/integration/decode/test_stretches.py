"""The picture of a film may change in the middle: each frame is made into a picture by its own properties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.decode.stretches import best_size
from daemon.media.info_text import info_json, info_of
from daemon.model import Frame, VideoInfo
from tests import corpus, films

CONFIG = DecodeConfig()
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "10", "-bf", "2")
X264 = (*corpus.X264, "-bf", "2")


def both(folder: Path, name: str, one: tuple[str, ...], two: tuple[str, ...], **sizes: int) -> Path:
    """Twenty frames made by ``one``, and behind them twenty by ``two``."""
    suffix = name.rpartition(".")[2]
    first = corpus.encode(folder / f"one.{suffix}", *one, numbers=range(20))
    second = corpus.encode(folder / f"two.{suffix}", *two, numbers=range(20, 40), **sizes)
    joined = folder / name
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    return joined


def decoded(path: Path) -> tuple[VideoInfo, list[Frame], DecodeReport]:
    info, report = probe(path, CONFIG), DecodeReport()
    return info, list(decode_frames(info, CONFIG, report, single_thread=False)), report


def sizes(frames: list[Frame]) -> list[tuple[int, int]]:
    return [(frame.picture.shape[1], frame.picture.shape[0]) for frame in frames if frame.picture is not None]


FOUR_BY_THREE, SIXTEEN_BY_NINE = ("-vf", "setsar=3/4"), ("-vf", "setsar=1")


@pytest.mark.parametrize(
    ("name", "codec"), [("film.ts", MPEG2), ("film.vob", MPEG2), ("film.ts", X264), ("film.h264", X264)]
)
def test_each_frame_is_made_as_in_a_film_of_its_part_alone(tmp_path: Path, name: str, codec: tuple[str, ...]) -> None:
    path = both(tmp_path, name, (*codec, *FOUR_BY_THREE), (*codec, *SIXTEEN_BY_NINE))
    info, frames, report = decoded(path)
    assert sizes(frames) == [(info.width, round(info.height * 4 / 3))] * 20 + [(info.width, info.height)] * 20
    assert report.mixed
    assert not report.damaged
    assert [films.read_code(frame.picture) for frame in frames if frame.picture is not None] == list(range(40))
    found = [(stretch.first, stretch.info.sample_aspect) for stretch in report.stretches]
    assert found == [(0, Fraction(3, 4)), (20, Fraction(1))]
    for part, some in (("one", frames[:20]), ("two", frames[20:])):
        _, alone, _ = decoded(path.with_stem(part))
        assert [frame.hash for frame in alone] == [frame.hash for frame in some]
        for one, other in zip(alone, some, strict=True):
            assert one.picture is not None
            assert other.picture is not None
            assert (one.picture == other.picture).all()


def test_an_aspect_that_the_container_gives_holds_while_the_stream_says_the_same(tmp_path: Path) -> None:
    plain = corpus.encode(tmp_path / "plain.mp4", *X264, numbers=range(10))
    film = films.remux(plain, tmp_path / "film.mkv", "-c", "copy", "-aspect", "4:3")
    info, frames, report = decoded(film)
    assert info.sample_aspect == Fraction(3, 4)
    assert not report.mixed
    assert set(sizes(frames)) == {(info.width, round(info.height * Fraction(4, 3)))}


TAGS: Callable[[str, str, str], tuple[str, ...]] = lambda primaries, transfer, matrix: (  # noqa: E731
    "-x264-params", f"colorprim={primaries}:transfer={transfer}:colormatrix={matrix}",
)  # fmt: skip


@pytest.mark.parametrize(
    ("second", "transfer"),
    [
        (TAGS("bt2020", "smpte2084", "bt2020nc"), "smpte2084"),
        (TAGS("bt2020", "arib-std-b67", "bt2020nc"), "arib-std-b67"),
    ],
    ids=["PQ", "HLG"],
)
def test_colours_are_those_of_the_frame(tmp_path: Path, second: tuple[str, ...], transfer: str) -> None:
    deep = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p10le", "-threads", "1")
    path = both(tmp_path, "film.ts", (*deep, *TAGS("bt709", "bt709", "bt709")), (*deep, *second))
    _, frames, report = decoded(path)
    assert [(stretch.first, stretch.info.colour.transfer) for stretch in report.stretches] == [
        (0, "bt709"),
        (20, transfer),
    ]
    _, alone, _ = decoded(tmp_path / "two.ts")
    for one, other in zip(alone, frames[20:], strict=True):
        assert one.hash == other.hash
        assert (one.picture == other.picture).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("codec", [X264, (*corpus.X265, "-pix_fmt", "yuv420p10le")], ids=["h264", "hevc"])
@pytest.mark.parametrize("single_thread", [False, True])
def test_frames_without_tags_do_not_get_those_of_the_part_behind_them(
    tmp_path: Path, codec: tuple[str, ...], single_thread: bool
) -> None:
    """FFmpeg gives them to what its decoder still keeps back when the new part begins."""
    tagged = ("-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc")
    path = both(tmp_path, "film.ts", codec, (*codec, *tagged))
    report = DecodeReport()
    list(decode_frames(probe(path, CONFIG), CONFIG, report, single_thread=single_thread))
    found = [(stretch.first, stretch.info.colour.transfer) for stretch in report.stretches]
    assert found == [(0, "unknown"), (20, "smpte2084")]


def test_a_film_that_begins_small_is_judged_at_its_best_size(tmp_path: Path) -> None:
    small = corpus.encode(tmp_path / "one.ts", *X264, numbers=range(10), width=96, height=54)
    large = corpus.encode(tmp_path / "two.ts", *X264, numbers=range(10, 40), width=192, height=108)
    path = tmp_path / "film.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    info, frames, report = decoded(path)
    assert len(frames) == 40
    seen, spans = best_size(info, report.stretches, report.frames)
    assert seen.best == (192, 108)
    assert spans == [(0, 9)]
    assert seen.size_note == "it begins as small as 96x54 (10 frames) and is judged at 192x108"
    assert [seen.at(frame).width for frame in (0, 9, 10, 39)] == [96, 96, 192, 192]


def test_two_films_in_one_are_both_taken(tmp_path: Path) -> None:
    first = corpus.encode(tmp_path / "one.ts", *X264, numbers=range(25), width=96, height=54)
    second = corpus.encode(tmp_path / "two.ts", *X264, numbers=range(25, 40), width=192, height=108)
    path = tmp_path / "film.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    info, _, report = decoded(path)
    _, spans = best_size(info, report.stretches, report.frames)
    assert spans == []


def test_stretches_are_stored_and_read_back(tmp_path: Path) -> None:
    path = both(tmp_path, "film.ts", (*MPEG2, *FOUR_BY_THREE), (*MPEG2, *SIXTEEN_BY_NINE))
    info, _, report = decoded(path)
    seen, _ = best_size(info, report.stretches, report.frames)
    stored = info_json(seen)
    assert info_of(stored, path) == seen
    assert '{"first": 20, "sample_aspect": "1"}' in stored
    assert info_of(info_json(info), path) == replace(info, stretches=())
