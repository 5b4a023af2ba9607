"""Behind a hole in a film there are frames again from the next key frame on, whatever the decoder still waits for."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from av.packet import Packet

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.holes_in_time import HolesInTime
from daemon.decode.probe import probe
from tests import corpus

CONFIG = DecodeConfig()
FRAMES, KEY = 330, 250
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-b:v", "600k", "-pix_fmt", "yuv420p")
KEYS = ("-x265-params", f"log-level=none:pools=none:frame-threads=1:keyint={KEY}:scenecut=0")


def read(path: Path) -> tuple[list[int | None], DecodeReport]:
    """The times of the frames, in the file's units."""
    report = DecodeReport()
    return [frame.pts for frame in decode_frames(probe(path, CONFIG), CONFIG, report, single_thread=True)], report


@pytest.mark.parametrize("gone", [0.04, 0.1])
@pytest.mark.parametrize("first", [0.15, 0.25, 0.35])
def test_all_frames_from_the_key_frame_behind_a_cut_are_read_in_their_order(
    first: float, gone: float, tmp_path: Path
) -> None:
    path = corpus.encode(tmp_path / "film.mkv", *X265, *KEYS, numbers=range(FRAMES), width=320, height=180)
    whole, _ = read(path)
    assert len(whole) == FRAMES
    data = path.read_bytes()
    path.write_bytes(data[: int(first * len(data))] + data[int((first + gone) * len(data)) :])
    found, report = read(path)
    assert report.damaged
    assert found[-(FRAMES - KEY) :] == whole[KEY:]
    assert found == sorted(found, key=whole.index)


def packet(seconds: float | None, key: bool) -> Packet[Any]:
    made: Packet[Any] = Packet(1)
    made.time_base = Fraction(1, 100)
    made.pts = None if seconds is None else int(seconds * 100)
    made.is_keyframe = key
    return made


@pytest.mark.parametrize(
    ("before", "after", "key", "damaged", "hole"),
    [
        (3.0, 9.0, True, True, True),
        (3.0, 9.0, True, False, False),
        (3.0, 9.0, False, True, False),
        (3.0, 3.04, True, True, False),
        (9.0, 3.0, True, True, False),
        (None, 9.0, True, True, False),
    ],
    ids=["a hole", "a slide show", "no key frame", "the next frame", "a clock that starts anew", "without times"],
)
def test_a_decoder_begins_anew_where_time_is_missing_in_a_damaged_file(
    before: float | None, after: float, key: bool, damaged: bool, hole: bool
) -> None:
    holes = HolesInTime(lambda: damaged)
    assert not holes.before(packet(before, key=False))
    assert holes.before(packet(after, key)) is hole
    assert not holes.before(None)
