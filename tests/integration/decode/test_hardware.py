"""A device may decode for the scores where its frames are software's bit for bit; in any case the rows are software's.

There is no device here: stand-ins decode by software and then do what devices do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame

from daemon.config.score import DecodeConfig
from daemon.decode import hardware
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.hardware import CHECKED_FRAMES
from daemon.decode.probe import probe
from daemon.model import Frame
from tests import corpus, films
from tests.stand_in_device import (
    Change,
    Device,
    another_size_at,
    another_time,
    changed,
    dies_at,
    eight_bits,
    equal,
    semiplanar,
    unequal_from,
)

CONFIG = DecodeConfig()
FRAMES = 120


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films.make(tmp_path_factory.mktemp("device") / "film.mp4", frames=FRAMES)


def decoded(film: Path, device: str = "none", **how: Any) -> tuple[list[tuple[Any, ...]], DecodeReport]:
    """All that a frame has, its picture as bytes."""
    report = DecodeReport()
    frames = decode_frames(probe(film, CONFIG), CONFIG, report, **{"single_thread": False, "device": device, **how})
    return [facts(frame) for frame in frames], report


def facts(frame: Frame) -> tuple[Any, ...]:
    assert frame.picture is not None
    known = (frame.index, frame.pts, frame.time_s, frame.hash, frame.corrupt, frame.duration_s)
    return (*known, frame.picture.tobytes())


def use(monkeypatch: pytest.MonkeyPatch, change: Change, *, late: int = 0) -> list[Device]:
    """A device of this kind is opened wherever one is asked for."""
    opened: list[Device] = []

    def open_device(_: str, stream: Any) -> Device:
        opened.append(Device(stream.codec_context.codec.name, change, late=late))
        return opened[-1]

    monkeypatch.setattr(hardware, "open_device", open_device)
    return opened


@pytest.mark.parametrize("late", [0, 7, 60])
@pytest.mark.parametrize("layout", [equal, semiplanar])
def test_a_device_that_gives_the_same_decodes_the_film(
    film: Path, monkeypatch: pytest.MonkeyPatch, layout: Change, late: int
) -> None:
    opened = use(monkeypatch, layout, late=late)
    found, report = decoded(film, "cuda")
    assert found == decoded(film)[0]
    assert (len(found), report.without_device, report.damaged) == (FRAMES, None, False)
    assert opened[0].given == FRAMES


def test_ten_bits_come_shifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = corpus.encode(tmp_path / "deep.mkv", *corpus.X264, "-pix_fmt", "yuv420p10le", numbers=range(75))
    opened = use(monkeypatch, semiplanar)
    found, report = decoded(film, "cuda")
    assert found == decoded(film)[0]
    assert (report.without_device, opened[0].given) == (None, len(found))
    assert len(found) > CHECKED_FRAMES


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (unequal_from(0), "frame 0: its planes are not those of software"),
        (unequal_from(3), "frame 3: its planes are not those of software"),
        (another_time, "frame 3: its pts"),
        (eight_bits, "pixel format is yuv420p, that of software yuv420p10le"),
        (dies_at(2), "it gives no more frames after some"),
        (dies_at(FRAMES // 2), "Generic error in an external library"),
        (another_size_at(FRAMES // 2), "another shape"),
    ],
    ids=["from-the-first", "from-the-fourth", "time", "eight-bits-of-ten", "dies-early", "dies", "size"],
)
def test_another_device_is_left_and_software_gives_every_frame(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, reason: str
) -> None:
    if change is eight_bits:
        film = corpus.encode(tmp_path / "deep.mkv", *corpus.X264, "-pix_fmt", "yuv420p10le", numbers=range(75))
    opened = use(monkeypatch, change)
    found, report = decoded(film, "cuda")
    assert found == decoded(film)[0]
    assert reason in (report.without_device or "")
    assert not report.damaged
    assert len(opened) == 1


def test_one_that_cannot_be_opened(film: Path) -> None:
    """The real opener: no kind of device of this name is known to FFmpeg."""
    found, report = decoded(film, "no_such_device")
    assert found == decoded(film)[0]
    assert "no_such_device" in (report.without_device or "")
    assert not report.damaged


def test_black_frames_tell_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is right for black alone is found out at the first frame that shows something."""
    black = "color=black:s=160x96:r=25:d=4[b];testsrc2=s=160x96:r=25:d=2[t];[b][t]concat=n=2"
    film = corpus.lavfi(tmp_path / "film.mkv", black, *corpus.X264)
    use(monkeypatch, lambda _, frame: frame if is_black(frame) else changed(frame))
    found, report = decoded(film, "cuda")
    assert found == decoded(film)[0]
    assert "frame 100: its planes" in (report.without_device or "")


def is_black(frame: VideoFrame) -> bool:
    return int(np.frombuffer(memoryview(frame.planes[0]), np.uint8).max()) < 20


def test_what_becomes_unequal_later_is_not_seen_while_decoding(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of the check; the proof of a still compares its hash with software's."""
    use(monkeypatch, unequal_from(CHECKED_FRAMES + 8))
    found, report = decoded(film, "cuda")
    wanted = decoded(film)[0]
    assert report.without_device is None
    assert found[:CHECKED_FRAMES] == wanted[:CHECKED_FRAMES]
    assert next(at for at in range(FRAMES) if found[at][3] != wanted[at][3]) >= CHECKED_FRAMES


def test_a_short_film_is_software_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = films.make(tmp_path / "short.mp4", frames=CHECKED_FRAMES - 1)
    use(monkeypatch, equal)
    found, report = decoded(film, "cuda")
    assert (found, report.without_device) == (decoded(film)[0], None)


def test_damage_is_told_by_software(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(film.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    (damaged := tmp_path / "damaged.mp4").write_bytes(data)
    use(monkeypatch, equal)
    with pytest.raises(DamageError):
        decoded(damaged, "cuda")


def test_no_second_thread_and_no_device(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage is decoded by one thread of software."""
    opened = use(monkeypatch, equal)
    assert decoded(film, "cuda", single_thread=True)[0] == decoded(film)[0]
    assert opened == []
