"""Real films cut into spans: each decoded by itself gives the frames of one pass, or says why it would not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.config.score import DecodeConfig
from daemon.decode.cutting import cut_film
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.decode.spans import Cut, Span, WholeFilmError
from daemon.model import Frame, VideoInfo
from tests import films

CONFIG = DecodeConfig()
FRAMES = 150
KEYS = {"g": "25", "sc_threshold": "0"}
OPEN = {"x264-params": "keyint=25:open-gop=1:scenecut=0:log-level=none"}


def cut(path: Path, seconds: float = 1.5) -> tuple[VideoInfo, Cut]:
    info = probe(path, CONFIG)
    return info, cut_film(info, CONFIG, DecodeReport(), seconds)


def rows(frames: Any) -> list[tuple[Any, ...]]:
    def row(frame: Frame) -> tuple[Any, ...]:
        assert frame.picture is not None
        return frame.index, frame.pts, frame.time_s, frame.duration_s, frame.hash, frame.picture.tobytes()

    return [row(frame) for frame in frames]


def one_pass(info: VideoInfo, report: DecodeReport) -> list[tuple[Any, ...]]:
    return rows(decode_frames(info, CONFIG, report, single_thread=False))


def in_spans(info: VideoInfo, spans: tuple[Span, ...]) -> list[tuple[Any, ...]]:
    """The frames of all spans, each of which begins where the one before has met it."""
    found, meets = [], None
    for span in spans:
        report = DecodeReport()
        found += rows(decode_frames(info, CONFIG, report, single_thread=False, span=span))
        assert report.begun is not None
        assert meets == (report.begun.joint if span is not spans[0] else None)
        meets = report.meets
    assert meets is None, "nothing comes behind the last"
    return found


def made(name: str, **options: Any) -> Callable[[Path], Path]:
    return lambda folder: films.make(folder / name, frames=FRAMES, **options)


CUT = {
    "h264-mkv": made("a.mkv", options=KEYS),
    "h264-mp4": made("a.mp4", options=KEYS),
    "h264-ts": made("a.ts", options=KEYS),
    "h264-flv": made("a.flv", options=KEYS),
    "hevc-mp4": made("a.mp4", codec="libx265", options={"x265-params": "keyint=25:open-gop=0:log-level=none"}),
    "mpeg2-ps": made("a.mpg", codec="mpeg2video", options={**KEYS, "bf": "2", "flags": "+cgop", "sc_threshold": "1000000000"}),
    "mpeg4-avi": made("a.avi", codec="mpeg4", options=KEYS),
    "vp9-webm": made("a.webm", codec="libvpx-vp9", options={"g": "25", "deadline": "realtime", "cpu-used": "8"}),
    "ffv1-mkv": made("a.mkv", codec="ffv1", options={"g": "25"}),
    "mjpeg-mov": made("a.mov", codec="mjpeg", pix_fmt="yuvj420p"),
    "variable-rate": made("a.mkv", options=KEYS, pts=[at * 40 + at % 7 for at in range(FRAMES)], time_base=films.Fraction(1, 1000)),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_frames_and_index_are_those_of_one_pass(name: str, tmp_path: Path) -> None:
    info, found = cut(CUT[name](tmp_path))
    report = DecodeReport()
    assert in_spans(info, found.spans) == one_pass(info, report)
    assert len(found.spans) >= 3
    assert (found.packets, found.index) == (report.packets, report.index.packed())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[VideoInfo, tuple[Span, ...], list[tuple[Any, ...]]]:
    """A film that may be cut every five frames, with reordered pictures; its frames by one pass."""
    folder = tmp_path_factory.mktemp("film")
    path = films.make(folder / "a.mp4", frames=60, options={"g": "5", "bf": "2", "sc_threshold": "0"})
    info, found = cut(path, 0.2)
    assert len(found.spans) == 12
    return info, found.spans, one_pass(info, DecodeReport())


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_wherever_it_is_cut_the_frames_are_the_same(
    data: st.DataObject, whole: tuple[VideoInfo, tuple[Span, ...], list[tuple[Any, ...]]]
) -> None:
    info, spans, wanted = whole
    starts = [spans[0], *sorted(data.draw(st.sets(st.sampled_from(spans[1:]))), key=lambda span: span.first)]
    ends = [(span.first, span.pts) for span in starts[1:]] + [(60, None)]
    chosen = tuple(
        Span(one.first, end, one.pts, pts, one.seek, one.position, one.size_bytes)
        for one, (end, pts) in zip(starts, ends, strict=True)
    )
    assert in_spans(info, chosen) == wanted


def joined(folder: Path) -> Path:
    """Two transport streams one behind the other: the clock of the second starts anew."""
    one = films.make(folder / "one.ts", frames=75, options=KEYS).read_bytes()
    path = folder / "two.ts"
    path.write_bytes(one + films.make(folder / "other.ts", frames=75, width=192, options=KEYS).read_bytes())
    return path


def damaged(folder: Path) -> Path:
    """A transport stream of which some packets are missing."""
    path = films.make(folder / "a.ts", frames=FRAMES, options=KEYS)
    content = path.read_bytes()
    at = len(content) // 2 // 188 * 188
    path.write_bytes(content[:at] + content[at + 20 * 188 :])
    return path


def spoilt(folder: Path) -> Path:
    """A key frame in the middle is noise; the container is sound."""
    path = films.make(folder / "a.mkv", frames=FRAMES, options=KEYS)
    span = cut(path)[1].spans[1]
    content, quarter = bytearray(path.read_bytes()), span.size_bytes // 4
    noise = np.random.default_rng(2).integers(1, 256, 2 * quarter, np.uint8)
    content[span.position + quarter : span.position + 3 * quarter] = noise.tobytes()
    path.write_bytes(content)
    return path


def reshaped(folder: Path, middle: int = 75) -> Path:
    """A transport stream whose pixels turn wide in the middle, while its clock goes on."""
    parts = []
    for first, end, aspect in ((0, middle, "1"), (middle, FRAMES, "4/3")):
        numbers = range(first, end)
        part = films.make(
            folder / f"{first}.ts", frames=len(numbers), options={**KEYS, "bf": "0"}, numbers=numbers, pts=numbers
        )
        wide = ("-c", "copy", "-bsf:v", f"h264_metadata=sample_aspect_ratio={aspect}", "-copyts", "-muxdelay", "0")
        parts.append(films.remux(part, folder / f"{first}-wide.ts", *wide).read_bytes())
    path = folder / "a.ts"
    path.write_bytes(b"".join(parts))
    return path


def trimmed(folder: Path) -> Path:
    """An edit list hides the frames before the cut."""
    return films.remux(films.make(folder / "a.mp4", frames=FRAMES, options=KEYS), folder / "b.mp4", "-c", "copy", before=("-ss", "1.3"))  # fmt: skip


def unclocked(folder: Path) -> Path:
    """A stream without a container says nothing of times of presentation."""
    film = films.make(folder / "a.mkv", frames=FRAMES, options={**KEYS, "bf": "2"})
    return films.remux(film, folder / "a.h264", "-c", "copy")


def jumped(folder: Path) -> Path:
    """Its clock jumps ahead by a minute, as where a recording was joined."""
    times = [at + 1500 * (at >= 75) for at in range(FRAMES)]
    return films.make(folder / "a.ts", frames=FRAMES, options=KEYS, pts=times)


WHOLE = {
    "open": (made("a.mkv", options=OPEN), "its groups of pictures are open"),
    "refreshed": (made("a.mkv", options={"x264-params": "keyint=25:intra-refresh=1:log-level=none"}), "refreshed bit by bit"),
    "hevc-open": (made("a.mkv", codec="libx265", options={"x265-params": "keyint=25:log-level=none"}), "its groups of pictures are open"),
    "no-keys": (made("a.mp4", options={"g": "1000", "sc_threshold": "0"}), "no key frames but the first"),
    "edit-list": (trimmed, "an edit list hides frames"),
    "joined": (joined, "its clock starts anew"),
    "jumped": (jumped, "its clock jumps"),
    "no-times": (unclocked, "without a time of presentation"),
    "damaged": (damaged, "damage: "),
    "unknown": (made("a.avi", codec="wmv2", options={"g": "25"}), "of wmv2 it is not known"),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_film_that_is_not_cut_and_why(name: str, tmp_path: Path) -> None:
    make, reason = WHOLE[name]
    with pytest.raises(WholeFilmError, match=reason):
        cut(make(tmp_path))


def test_a_span_shows_that_its_packets_say_other_times_than_its_frames_have(tmp_path: Path) -> None:
    """AVI has no times of presentation; for some packets FFmpeg's parser finds one."""
    info, found = cut(films.make(tmp_path / "a.avi", frames=FRAMES, options={**KEYS, "bf": "2"}))
    with pytest.raises(WholeFilmError, match="fewer frames than packets"):
        in_spans(info, found.spans)


def test_a_span_shows_damage_that_its_packets_do_not(tmp_path: Path) -> None:
    info, found = cut(spoilt(tmp_path))
    with pytest.raises(DamageError):
        one_pass(info, DecodeReport())
    with pytest.raises(WholeFilmError, match="damage: "):
        in_spans(info, found.spans)


def test_a_frame_that_is_not_the_stored_one_is_no_frame_of_this_film(whole: Any) -> None:
    info, spans, wanted = whole
    known = [row[4] for row in wanted[spans[1].first : spans[1].end]]
    kept = list(decode_frames(info, CONFIG, DecodeReport(), single_thread=False, span=spans[1], known=known))
    assert [frame.picture for frame in kept] == [None] * 5
    known[2] = "0" * 40
    with pytest.raises(WholeFilmError, match="differs from the stored one"):
        list(decode_frames(info, CONFIG, DecodeReport(), single_thread=False, span=spans[1], known=known))


def test_no_seek_leads_to_a_place_that_is_none(whole: Any) -> None:
    info, spans, _ = whole
    lost = Span(5, 10, spans[1].pts + 1, spans[2].pts, spans[1].seek, spans[1].position, 7)
    with pytest.raises(WholeFilmError, match="no seek leads to its frame 5"):
        list(decode_frames(info, CONFIG, DecodeReport(), single_thread=False, span=lost))
