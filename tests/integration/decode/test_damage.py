"""What a damaged file leaves in the report, and how a second decode of it goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daemon.config.score import DecodeConfig
from daemon.decode.damage import GAPS_KEPT, DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.picture import PictureMaker
from daemon.decode.probe import probe
from daemon.errors import Kind, VideoError
from daemon.model import Frame
from tests import corpus, films

CONFIG = DecodeConfig()


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transport stream with a piece missing and some bytes wrong."""
    folder = tmp_path_factory.mktemp("broken")
    film = corpus.encode(folder / "film.ts", *corpus.X264, "-g", "10", "-bf", "2", numbers=range(60))
    data = bytearray(film.read_bytes())
    rng = np.random.default_rng(3)
    for at in rng.integers(len(data) // 3, len(data), 200):
        data[at] ^= 0x55
    del data[len(data) // 2 : len(data) * 3 // 5]
    film.write_bytes(data)
    return film


def run(path: Path, report: DecodeReport, **options: object) -> list[Frame]:
    return list(decode_frames(probe(path, CONFIG), CONFIG, report, **options))  # type: ignore[arg-type]


def test_the_report_says_what_is_lost_and_where(broken: Path) -> None:
    report = DecodeReport()
    frames = run(broken, report, single_thread=True)
    assert report.damaged
    assert report.gaps
    for ordinal, seconds in report.gaps:
        assert frames[ordinal].time_s - frames[ordinal - 1].time_s == pytest.approx(seconds + 0.04, abs=0.002)
    summary = report.summary() or ""
    assert f"({report.errors} signs)" in summary
    assert f"time is missing before frame {report.gaps[0][0]} ({report.gaps[0][1]:.2f} s)" in summary
    assert "\n" not in summary


def test_an_undamaged_film_of_variable_rate_reports_nothing(tmp_path: Path) -> None:
    report = DecodeReport()
    run(corpus.timed("film.mkv", [0, 40, 900, 940])(tmp_path), report, single_thread=False)
    assert report.summary() is None


def test_the_gaps_that_are_kept_are_bounded() -> None:
    report = DecodeReport()
    report.note("broken")
    report.gaps = [(number, 0.1) for number in range(GAPS_KEPT)]
    assert len(report.summary() or "") < 400


def test_a_second_decode_of_some_frames_goes_on_with_one_thread(broken: Path) -> None:
    """What threads deliver before the first sign stays; the rest comes after it, and nothing comes twice."""
    whole = run(broken, DecodeReport(), single_thread=True)
    with pytest.raises(DamageError):
        run(broken, DecodeReport(), single_thread=False)
    some = frozenset({1, 4, len(whole) // 2, len(whole) - 1})
    again = run(broken, DecodeReport(), single_thread=False, wanted=some)
    assert [(frame.index, frame.hash) for frame in again] == [(n, whole[n].hash) for n in sorted(some)]


def test_a_film_of_mixed_sizes_is_mixed_even_if_all_its_frames_are_known(tmp_path: Path) -> None:
    case = corpus.joined(
        "film.h264",
        corpus.numbered(0, 3, "a.h264", *corpus.X264),
        corpus.numbered(3, 3, "b.h264", *corpus.X264, width=128, height=96),
        corpus.numbered(6, 3, "c.h264", *corpus.X264),
    )
    film = case(tmp_path)
    hashes = [frame.hash for frame in run(film, DecodeReport(), single_thread=True)]
    report = DecodeReport()
    assert [frame.picture for frame in run(film, report, single_thread=True, known=hashes)] == [None] * 9
    assert report.mixed


def test_a_format_that_no_picture_can_be_made_of_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = films.make(tmp_path / "film.mp4", frames=2)

    def refuse(self: PictureMaker, raw: object, info: object) -> None:
        raise ValueError("no such conversion")

    monkeypatch.setattr(PictureMaker, "_convert", refuse)
    with pytest.raises(VideoError, match="yuv420p cannot be made into pictures: no such conversion") as caught:
        run(film, DecodeReport(), single_thread=True)
    assert caught.value.kind is Kind.DECODE


def test_a_crop_on_the_left_is_cut_where_the_stream_says(tmp_path: Path) -> None:
    film = corpus.remuxed(
        corpus.made("a.mkv", "-c:v", "libx264", "-pix_fmt", "yuv444p", "-qp", "0"), "film.mkv", "-c", "copy",
        "-bsf:v", "h264_metadata=crop_left=3:crop_right=5",
    )(tmp_path)  # fmt: skip
    whole = run(tmp_path / "a.mkv", DecodeReport(), single_thread=True)[0].picture
    cropped = run(film, DecodeReport(), single_thread=True)[0].picture
    assert whole is not None
    assert cropped is not None
    assert np.array_equal(cropped, whole[:, 3:-5])
