"""Frames that are sought are bit for bit those of the whole pass, in every kind of film."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.packet_index import PacketIndex
from daemon.decode.probe import probe
from daemon.decode.seek import Rung, frames_again, index_of, sought_frames
from daemon.decode.seek_plan import SEEK_PACKETS, cost
from daemon.decode.stretches import best_size
from daemon.model import Frame, VideoInfo, WantedFrame
from tests import films
from tests.corpus import X264, X265, Build, encode, flipped, hole, joined, remuxed, timed
from tests.corpus_cases import SVT, VP9
from tests.integration.decode.test_interlaced import FIELDS, LARGE, WOVEN

CONFIG = DecodeConfig()
FRAMES = 150

B_FRAMES = (*X264, "-bf", "3", "-g", "20")
OPEN_GOP = (*X264, "-bf", "3", "-x264-params", "keyint=20:min-keyint=20:open-gop=1:scenecut=0")
HEVC_OPEN = (*X265[:-1], X265[-1] + ":keyint=20:min-keyint=20:open-gop=1:bframes=3:scenecut=0", "-pix_fmt", "yuv420p")
REFRESH = (*X264, "-x264-params", "intra-refresh=1:keyint=30:bframes=0")
XVID = ("-c:v", "libxvid", "-q:v", "3", "-bf", "2", "-g", "20")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "15")


def film(name: str, *arguments: str, first: int = 0, count: int = FRAMES) -> Build:
    return lambda folder: encode(folder / name, *arguments, numbers=range(first, first + count))


def woven(name: str, *arguments: str) -> Build:
    """Each frame of two fields from different moments."""
    return lambda folder: encode(folder / name, *arguments, numbers=range(2 * FRAMES), **LARGE)


def halves(name: str, *arguments: str) -> Build:
    """Two films, one behind the other: the clock starts anew in the middle."""
    half = FRAMES // 2
    return joined(
        name, film(f"a-{name}", *arguments, count=half), film(f"b-{name}", *arguments, first=half, count=half)
    )


def without_its_beginning(first: Build, share: float) -> Build:
    """A recording that begins anywhere, in whole packets of a transport stream."""

    def build(folder: Path) -> Path:
        whole = first(folder)
        data = whole.read_bytes()
        whole.write_bytes(data[int(len(data) * share) // 188 * 188 :])
        return whole

    return build


@dataclass(frozen=True, slots=True)
class Case:
    """A film, and how many of a dozen single stills at least are found by seeking."""

    build: Build
    found: int = 12


KINDS = {
    "closed-gop-mp4": Case(film("film.mp4", *B_FRAMES)),
    "open-gop-mp4": Case(film("film.mp4", *OPEN_GOP)),
    "open-gop-ts": Case(film("film.ts", *OPEN_GOP)),
    "hevc-leading-pictures-mp4": Case(film("film.mp4", *HEVC_OPEN)),
    "hevc-leading-pictures-ts": Case(film("film.ts", *HEVC_OPEN)),
    "h264-ts": Case(film("film.ts", *B_FRAMES)),
    "mpeg2-ts-interlaced": Case(film("film.ts", *MPEG2, "-flags", "+ildct+ilme")),
    "combed-mpeg2-ts": Case(woven("film.ts", *MPEG2, "-vf", WOVEN, *FIELDS)),
    "combed-h264-mp4": Case(woven("film.mp4", *B_FRAMES, "-crf", "12", "-vf", WOVEN, "-x264-params", "tff=1")),
    "mpeg2-mpg": Case(film("film.mpg", *MPEG2)),
    "vp9-webm": Case(film("film.webm", *VP9, "-g", "20")),
    "av1-mkv": Case(film("film.mkv", *SVT, "-g", "20")),
    "avi": Case(film("film.avi", "-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-g", "20")),
    "xvid-mp4": Case(film("film.mp4", *XVID)),
    "xvid-avi-packed": Case(remuxed(film("a.avi", *XVID), "film.avi", "-c", "copy"), 10),
    "mkv-without-cues": Case(film("film.mkv", *B_FRAMES, "-live", "1")),
    "edit-list": Case(remuxed(film("a.mp4", *B_FRAMES), "film.mp4", "-c", "copy", before=("-ss", "1.3"))),
    "variable-frame-rate": Case(timed("film.mkv", [n * 40 + n * n % 31 for n in range(FRAMES)], bf="2", g="20")),
    "variable-frame-rate-mp4": Case(
        timed("film.mp4", [n * 40 + n * n % 31 for n in range(FRAMES)], Fraction(1, 1000), bf="2", g="20")
    ),
    "intra-refresh": Case(film("film.mp4", *REFRESH)),
    "one-key": Case(film("film.mp4", *X264, "-g", "9999", "-x264-params", "scenecut=0")),
    "clock-anew-ts": Case(halves("film.ts", *B_FRAMES)),
    "clock-anew-mpg": Case(halves("film.mpg", *MPEG2), 10),
    "two-sizes-ts": Case(
        joined(
            "film.ts",
            film("a.ts", *B_FRAMES, count=FRAMES // 2),
            film("b.ts", *B_FRAMES, "-vf", "scale=96:54", first=FRAMES // 2, count=FRAMES // 2),
        )
    ),
    "two-aspects-ts": Case(
        joined(
            "film.ts",
            film("a.ts", *B_FRAMES, count=FRAMES // 2),
            film("b.ts", *B_FRAMES, "-vf", "setsar=4/3", first=FRAMES // 2, count=FRAMES // 2),
        )
    ),
    "no-pts": Case(film("film.h264", *B_FRAMES), 0),
    "no-pts-avi": Case(remuxed(film("a.h264", *B_FRAMES), "film.avi", "-c", "copy")),
    "damaged-ts": Case(flipped(film("film.ts", *B_FRAMES), 40, 4), 6),
    "damaged-mkv": Case(flipped(film("film.mkv", *B_FRAMES), 20, 3), 4),
    "damaged-mpg": Case(flipped(film("film.mpg", *MPEG2, "-threads", "1"), 60, 5), 5),
    "damaged-avi": Case(flipped(film("film.avi", *XVID, "-threads", "1"), 20, 5), 3),
    "fragments-of-one-frame": Case(film("film.mp4", *OPEN_GOP, "-movflags", "+frag_every_frame+empty_moov")),
    "edit-list-open-gop": Case(remuxed(film("a.mp4", *OPEN_GOP), "film.mp4", "-c", "copy", before=("-ss", "1.7"))),
    "hidden-frames-webm": Case(film("film.webm", *VP9, "-auto-alt-ref", "1", "-lag-in-frames", "16", "-g", "30")),
    "ts-that-begins-in-an-open-group": Case(without_its_beginning(film("film.ts", *OPEN_GOP), 0.13)),
    "mpg-that-begins-in-a-group": Case(without_its_beginning(film("film.mpg", *MPEG2), 0.2)),
    "ts-with-a-hole": Case(hole(film("film.ts", *B_FRAMES), 0.42, 0.49)),
    "ts-whose-clock-overflows": Case(
        remuxed(film("a.mp4", *B_FRAMES), "film.ts", "-c", "copy", "-output_ts_offset", "95440.5")
    ),
    "intra-refresh-ts": Case(film("film.ts", *REFRESH)),
    "wmv": Case(film("film.wmv", "-c:v", "wmv2", "-q:v", "3", "-g", "20")),
    "no-pts-mpeg2": Case(film("film.m2v", *MPEG2)),
}


@dataclass(frozen=True, slots=True)
class Scored:
    """A film after its first pass."""

    info: VideoInfo
    frames: list[Frame]
    index: PacketIndex

    def wanted(self, *ordinals: int) -> list[WantedFrame]:
        chosen = (self.frames[at] for at in ordinals)
        return [WantedFrame(frame.index, frame.pts, frame.time_s, frame.hash) for frame in chosen]


def scored(path: Path) -> Scored:
    """As the pipeline scores: with threads, and on a sign of damage once more with one."""
    info = probe(path, CONFIG)
    try:
        report = DecodeReport()
        frames = list(decode_frames(info, CONFIG, report, single_thread=False))
    except DamageError:
        report = DecodeReport()
        frames = list(decode_frames(info, CONFIG, report, single_thread=True))
    info, _ = best_size(info, report.stretches, report.frames)
    return Scored(info, frames, report.index.built())


def same(found: Frame, first: Frame) -> bool:
    assert found.picture is not None
    assert first.picture is not None
    known = (found.index, found.pts, found.hash) == (first.index, first.pts, first.hash)
    return known and np.array_equal(found.picture, first.picture)


def spread(film: Scored, count: int) -> list[int]:
    """Frames all over the film, and the neighbours of a key packet in its middle among them."""
    last = len(film.frames) - 1
    key = int(np.flatnonzero(film.index.key)[film.index.key.sum() // 2])
    near = {min(max(key + step, 0), last) for step in (-2, -1, 0, 1)}
    return sorted(near | {round(at * last / (count - len(near) - 1)) for at in range(count - len(near))})


@pytest.mark.parametrize("name", KINDS)
def test_a_sought_frame_is_that_of_the_whole_pass(name: str, tmp_path: Path) -> None:
    case = KINDS[name]
    film = scored(case.build(tmp_path))
    ordinals = spread(film, 12)
    report = DecodeReport()
    found = 0
    for ordinal in ordinals:
        for frame in sought_frames(film.info, CONFIG, report, film.wanted(ordinal), film.index):
            assert frame.index == ordinal
            assert same(frame, film.frames[ordinal])
            found += 1
    rungs = report.rungs + Counter({Rung.PASS: len(ordinals) - found})
    print(f"{name}: {', '.join(f'{rungs[rung]} {rung}' for rung in Rung)}")
    assert found >= case.found - (12 - len(ordinals))


@pytest.mark.parametrize("name", KINDS)
def test_with_the_pass_every_wanted_frame_is_there(name: str, tmp_path: Path) -> None:
    film = scored(KINDS[name].build(tmp_path))
    ordinals = [len(film.frames) // 2, len(film.frames) // 2 + 9, len(film.frames) - 2]
    report = DecodeReport()
    frames = list(frames_again(film.info, CONFIG, report, film.wanted(*ordinals), film.index))
    assert sorted(frame.index for frame in frames) == ordinals
    assert all(same(frame, film.frames[frame.index]) for frame in frames)
    assert sum(report.rungs.values()) == len(ordinals)


@pytest.mark.parametrize("name", ["open-gop-ts", "mpeg2-mpg", "avi", "edit-list", "damaged-ts", "no-pts"])
def test_an_index_that_is_read_later_is_that_of_the_scoring(name: str, tmp_path: Path) -> None:
    film = scored(KINDS[name].build(tmp_path))
    again = index_of(film.info, CONFIG, DecodeReport())
    for column in ("pts", "dts", "position", "size", "key", "discard"):
        assert np.array_equal(getattr(again, column), getattr(film.index, column)), column


def test_no_more_is_decoded_than_the_plan_says(tmp_path: Path) -> None:
    film = scored(KINDS["closed-gop-mp4"].build(tmp_path))
    wanted = film.wanted(35, 38, 110)
    planned = cost(film.index, wanted)
    report = DecodeReport()
    assert len(list(sought_frames(film.info, CONFIG, report, wanted, film.index))) == 3
    assert report.frames <= planned.by_seeking + planned.seeks * SEEK_PACKETS < 70


def test_what_no_other_frame_refers_to_is_decoded_only_where_it_is_wanted(tmp_path: Path) -> None:
    film = scored(KINDS["one-key"].build(tmp_path))
    near, far = film.wanted(9, 140)
    report = DecodeReport()
    found = list(sought_frames(film.info, CONFIG, report, [near, far], film.index))
    assert [frame.index for frame in found] == [9, 140]
    assert all(same(frame, film.frames[frame.index]) for frame in found)
    assert report.frames < 0.8 * 140


def test_neighbours_that_no_other_frame_refers_to_are_all_there(tmp_path: Path) -> None:
    film = scored(KINDS["one-key"].build(tmp_path))
    ordinals = range(100, 112)
    report = DecodeReport()
    found = list(sought_frames(film.info, CONFIG, report, film.wanted(*ordinals), film.index))
    assert [frame.index for frame in found] == [*ordinals]
    assert all(same(frame, film.frames[frame.index]) for frame in found)
    assert report.frames < 100


def test_a_frame_with_another_hash_is_not_given_and_those_behind_it_are(tmp_path: Path) -> None:
    film = scored(KINDS["closed-gop-mp4"].build(tmp_path))
    wrong, right = film.wanted(70, 73)
    wrong = WantedFrame(wrong.frame, wrong.pts, wrong.time_s, "0" * 40)
    found = sought_frames(film.info, CONFIG, DecodeReport(), [wrong, right], film.index)
    assert [frame.index for frame in found] == [73]


def moved(film: Scored, column: str, by: int) -> PacketIndex:
    values = {name: getattr(film.index, name) for name in ("pts", "dts", "position", "size", "key", "discard")}
    return PacketIndex(**{**values, column: values[column] + by})


@pytest.mark.parametrize("spoil", [partial(moved, column="pts", by=512), partial(moved, column="size", by=1)])
def test_an_index_of_another_file_costs_time_and_gives_no_wrong_frame(
    spoil: Callable[[Scored], PacketIndex], tmp_path: Path
) -> None:
    film = scored(KINDS["closed-gop-mp4"].build(tmp_path))
    ordinals = (61, 90, 140)
    frames = list(frames_again(film.info, CONFIG, DecodeReport(), film.wanted(*ordinals), spoil(film)))
    assert sorted(frame.index for frame in frames) == list(ordinals)
    assert all(same(frame, film.frames[frame.index]) for frame in frames)


def test_pictures_are_as_deep_as_asked_for(tmp_path: Path) -> None:
    film = scored(films.make(tmp_path / "deep.mkv", frames=60, codec="ffv1", pix_fmt="yuv420p10le", options={"g": "5"}))
    (frame,) = sought_frames(film.info, CONFIG, DecodeReport(), film.wanted(50), film.index, depth=8)
    assert frame.picture is not None
    assert frame.picture.dtype == np.uint8
