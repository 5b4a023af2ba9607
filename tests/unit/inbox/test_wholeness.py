"""What a container says about its own end: real files, whole, cut, and as they are while they are recorded."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from daemon.inbox import wholeness
from daemon.inbox.wholeness import NOTHING, WHOLE, Says
from tests import films

FRAGMENTED = ["-movflags", "+frag_keyframe+empty_moov"]
FORMATS: dict[str, list[str]] = {
    "film.mp4": [],
    "fast.mp4": ["-movflags", "+faststart"],
    "film.mov": [],
    "film.mkv": [],
    "film.webm": [],
    "film.avi": [],
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films.make(tmp_path_factory.mktemp("whole") / "source.mp4", frames=30)


def muxed(source: Path, path: Path, *options: str) -> Path:
    codec = ["-c:v", "libvpx", "-deadline", "realtime"] if path.suffix == ".webm" else ["-c", "copy"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source), *codec, *options, "-y", str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_a_finished_file_says_so(source: Path, tmp_path: Path, name: str) -> None:
    assert wholeness.look(muxed(source, tmp_path / name, *FORMATS[name])) == WHOLE


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("part", [0.4, 0.9])
def test_a_file_that_is_cut_says_so(source: Path, tmp_path: Path, name: str, part: float) -> None:
    whole = muxed(source, tmp_path / name, *FORMATS[name]).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * part)])
    found = wholeness.look(tmp_path / name)
    assert found.says is Says.UNFINISHED
    assert found.why


def test_what_is_recorded_says_nothing_of_its_end_until_it_has_one(source: Path, tmp_path: Path) -> None:
    live = muxed(source, tmp_path / "live.mkv", "-live", "1")
    assert wholeness.look(live).says is Says.UNFINISHED
    fragments = muxed(source, tmp_path / "obs.mp4", *FRAGMENTED)
    assert wholeness.look(fragments) == WHOLE
    # While it is recorded the index of the fragments is not there, and any fragment may be the last one.
    data = fragments.read_bytes()
    fragments.write_bytes(data[: data.rindex(b"mfra") - 4])
    assert wholeness.look(fragments) == NOTHING
    fragments.write_bytes(data[: data.rindex(b"mfra") - 100])
    assert wholeness.look(fragments).says is Says.UNFINISHED


def test_an_avi_whose_writer_died_has_no_size(source: Path, tmp_path: Path) -> None:
    data = bytearray(muxed(source, tmp_path / "film.avi").read_bytes())
    data[4:8] = b"\0\0\0\0"
    (tmp_path / "film.avi").write_bytes(data)
    assert wholeness.look(tmp_path / "film.avi").says is Says.UNFINISHED


@pytest.mark.parametrize("name", ["film.ts", "film.mpg", "film.flv", "film.nut"])
def test_other_formats_say_nothing(source: Path, tmp_path: Path, name: str) -> None:
    codec = ["-c:v", "mpeg1video"] if name.endswith("mpg") else ["-c:v", "copy"]
    assert wholeness.look(muxed(source, tmp_path / name, *codec)) == NOTHING


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3" + b"\xff" * 64, b"RIFF\0\0\0\0AVI "]
)
def test_whatever_stands_there_ends_the_look(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd"
    path.write_bytes(data)
    assert wholeness.look(path).says in (Says.NOTHING, Says.UNFINISHED)


def test_a_million_boxes_are_not_followed_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "boxes.mp4"
    path.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08free" * 1_000_000)
    assert wholeness.look(path) == NOTHING
