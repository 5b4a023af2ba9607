"""A reading ends at the end of the file: behind a hole it goes on, and what was not read is said in numbers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.model import Frame
from tests import corpus, films

CONFIG = DecodeConfig()
LARGE = {"width": 320, "height": 180}


def reading(path: Path) -> tuple[list[Frame], DecodeReport]:
    """A damaged file is read with threads first, and then with one."""
    info = probe(path, CONFIG)
    with pytest.raises(DamageError):
        list(decode_frames(info, CONFIG, DecodeReport(), single_thread=False))
    report = DecodeReport()
    return list(decode_frames(info, CONFIG, report, single_thread=True)), report


def count_of_ffmpeg(path: Path) -> int:
    command = [films.ffmpeg_binaries()[-1], "-nostdin", "-loglevel", "quiet", "-threads", "1", "-i", str(path)]
    command += ["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framecrc", "-"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return sum(not line.startswith("#") for line in lines)


def noisy(path: Path, *arguments: str, count: int = 60) -> Path:
    """Large enough for holes: texture that compresses badly."""
    return corpus.encode(path, *arguments, numbers=range(count), **LARGE)


def with_holes(path: Path, *places: float, size: int = 128 * 1024) -> Path:
    data = bytearray(path.read_bytes())
    for place in places:
        at = int(len(data) * place) // 188 * 188
        data[at : at + size] = bytes(len(data[at : at + size]))
    path.write_bytes(data)
    return path


TS = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "4", "-g", "10", "-pix_fmt", "yuv420p")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "10")


@pytest.mark.parametrize(
    ("name", "codec", "places"),
    [
        ("one.ts", TS, (0.33,)),
        ("two.ts", TS, (0.25, 0.6)),
        ("one.m2t", MPEG2, (0.4,)),
        ("one.vob", MPEG2, (0.4,)),
        ("one.mkv", TS, (0.4,)),
        ("one.flv", TS, (0.4,)),
    ],
)
def test_what_follows_a_hole_is_read(
    tmp_path: Path, name: str, codec: tuple[str, ...], places: tuple[float, ...]
) -> None:
    path = tmp_path / name
    more = ("-f", "mpegts") if name.endswith("m2t") else ()
    holed = with_holes(noisy(path, *codec, *more), *places)
    frames, report = reading(holed)
    assert len(frames) >= count_of_ffmpeg(holed)
    assert len(frames) < 60
    # The film's end has been reached, in time as well.
    assert frames[-1].time_s == pytest.approx(59 / 25, abs=0.1)
    summary = report.summary() or ""
    assert "time is missing before frame" in summary
    assert report.unread_s == pytest.approx((60 - len(frames)) / 25, abs=0.1)


def test_a_hole_counts_in_bytes_and_seconds(tmp_path: Path) -> None:
    frames, report = reading(with_holes(noisy(tmp_path / "film.ts", *TS), 0.33))
    missing_s = 60 / 25 - len(frames) / 25
    assert report.unread_bytes >= 64 * 1024
    assert report.unread_s == pytest.approx(missing_s, abs=0.2)
    assert f"{report.unread_bytes} bytes" in (report.summary() or "")


@pytest.mark.parametrize(
    ("name", "codec"), [("film.flv", ("-c:v", "flv1", "-q:v", "2")), ("film.wmv", ("-c:v", "wmv2", "-q:v", "2"))]
)
def test_a_part_that_its_demuxer_does_not_see_is_said_to_be_unread(
    name: str, codec: tuple[str, ...], tmp_path: Path
) -> None:
    path = noisy(tmp_path / name, *codec)
    part = path.read_bytes()
    assert len(list(decode_frames(probe(path, CONFIG), CONFIG, DecodeReport(), single_thread=False))) == 60
    path.write_bytes(part * 2)
    frames, report = reading(path)
    assert len(frames) == 60
    assert abs(report.unread_bytes - len(part)) < 32 * 1024
    assert "hold nothing that is read of this stream" in (report.summary() or "")


def test_the_rest_of_a_cluster_behind_a_hole_is_said_to_be_unread(tmp_path: Path) -> None:
    """Matroska is found again at the next cluster, and here there is none."""
    one_cluster = ("-g", "250", "-cluster_size_limit", "100M", "-cluster_time_limit", "100000")
    frames, report = reading(path := with_holes(noisy(tmp_path / "film.mkv", *TS, *one_cluster), 0.2))
    assert len(frames) < 30
    assert report.unread_bytes > path.stat().st_size / 2


def test_a_demuxer_that_only_fails_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = noisy(tmp_path / "film.ts", *TS, count=10)
    path.write_bytes(
        path.read_bytes()[: 188 * 40] + bytes(np.random.default_rng(1).integers(0, 70, 4_000_000, "uint8"))
    )
    frames, _ = reading(path)
    assert frames


X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "qp=12:keyint=10:log-level=none:bframes=2")
OPEN_GOP = (*X265[:-1], X265[-1] + ":open-gop=1:scenecut=0")


def damaged_in(report: DecodeReport) -> set[int]:
    return {n for first, last in report.damaged_spans for n in range(first, last + 1)}


@pytest.mark.parametrize("lost", [1, 3, 20])
@pytest.mark.parametrize(
    "codec", [TS, MPEG2, (*MPEG2, "-bf", "2"), X265, OPEN_GOP], ids=["h264", "mpeg2", "mpeg2 b", "hevc", "hevc open"]
)
def test_damage_runs_on_to_the_next_key_frame(tmp_path: Path, codec: tuple[str, ...], lost: int) -> None:
    """HEVC's decoder shows what it has of a picture, and says nothing of the rest."""
    clean = noisy(tmp_path / "clean.ts", *codec)
    data = clean.read_bytes()
    path, at = tmp_path / "film.ts", len(data) // 2 // 188 * 188
    path.write_bytes(data[:at] + data[at + 188 * lost :])
    whole = decode_frames(probe(clean, CONFIG), CONFIG, DecodeReport(), single_thread=True)
    hashes = {frame.hash for frame in whole}
    frames, report = reading(path)
    damaged = damaged_in(report)
    wrong = {frame.index for frame in frames if frame.hash not in hashes}
    assert wrong
    assert wrong <= damaged
    assert len(damaged) <= 23, "two groups of pictures at most, and what leads the next"


@pytest.mark.parametrize("codec", [TS, MPEG2, X265], ids=["h264", "mpeg2", "hevc"])
def test_counters_that_jump_where_files_were_joined_are_no_damage(tmp_path: Path, codec: tuple[str, ...]) -> None:
    path = noisy(tmp_path / "film.ts", *codec, count=25)
    # So many more packets of the stream that the counters do not fit by chance.
    path.write_bytes(path.read_bytes() + noisy(tmp_path / "two.ts", *codec, count=31).read_bytes())
    report = DecodeReport()
    assert len(list(decode_frames(probe(path, CONFIG), CONFIG, report, single_thread=False))) == 56
    assert not report.damaged


def test_counters_that_never_count_are_no_damage(tmp_path: Path) -> None:
    path = noisy(tmp_path / "film.ts", *TS)
    data = bytearray(path.read_bytes())
    for at in range(3, len(data), 188):
        data[at] = data[at] & 0xF0 | (data[at] * 7 + at // 188 * 5) & 0x0F
    path.write_bytes(data)
    report = DecodeReport()
    assert len(list(decode_frames(probe(path, CONFIG), CONFIG, report, single_thread=False))) == 60
    assert not report.damaged
