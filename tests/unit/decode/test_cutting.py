"""Where a film may be cut, by its packets alone."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.decode.cutting import SpanFrames, spans_of
from daemon.decode.key_unit import resets
from daemon.decode.packet_index import PacketIndex
from daemon.decode.spans import Span, WholeFilmError
from tests.unit.decode.test_seek_plan import every, index


def cut(packets: PacketIndex, length: float, anew: set[int] | None = None, gap: int | None = None) -> list[int]:
    """The first frame of each span."""
    resetting = packets.key if anew is None else np.isin(np.arange(len(packets)), list(anew))
    spans = spans_of(packets, resetting, length, gap)
    assert [span.end for span in spans[:-1]] == [span.first for span in spans[1:]]
    assert [span.next_pts for span in spans] == [*(span.pts for span in spans[1:]), None]
    assert spans[-1].end == len(packets)
    return [span.first for span in spans]


def test_a_film_is_cut_at_the_first_key_behind_each_length() -> None:
    assert cut(index(list(range(100)), every(10, 100)), 25) == [0, 30, 60]


def test_what_would_be_a_short_last_span_belongs_to_the_one_before() -> None:
    assert cut(index(list(range(65)), every(10, 65)), 20) == [0, 20, 40]
    assert cut(index(list(range(72)), every(10, 72)), 20) == [0, 20, 40, 60]


def test_it_is_cut_where_the_decoder_is_reset_alone() -> None:
    assert cut(index(list(range(100)), every(10, 100)), 20, anew={0, 50}) == [0, 50]


def test_it_is_not_cut_where_pictures_lead_a_key() -> None:
    """In file order I0 P3 B1 B2 I6 B4 B5 P7 I8 P9: B4 and B5 are shown before I6."""
    assert cut(index([0, 3, 1, 2, 6, 4, 5, 7, 8, 9], {0, 4, 8}), 2) == [0, 8]


@pytest.mark.parametrize(
    ("packets", "reason"),
    [
        (index([], set()), "no packets"),
        (index([0, 1, None, 3], {0, 2}), "without a time"),
        (index([0, 1, 2, 3], {0, 2}, discard={1}), "an edit list hides"),
        (index([0, 1, 0, 1], {0, 2}, dts=[0, 1, 0, 1]), "its clock starts anew"),
        (index([0, 1, 1, 2], {0, 2}), "the same time"),
        (index([0, 1, 2000, 2001], {0, 2}), "its clock jumps"),
        (index([0, 1, 2, 3], {1, 2}), "does not begin with a key frame"),
        (index(list(range(10)), {0}), "no key frames but the first"),
        (index([0, 3, 1, 2, 6, 4, 5, 7], {0, 4}), "its groups of pictures are open"),
        (index(list(range(10)), {0, 9}), "where it would be cut"),
    ],
)
def test_the_reason_why_it_is_not_cut(packets: PacketIndex, reason: str) -> None:
    with pytest.raises(WholeFilmError, match=reason):
        cut(packets, 2, gap=1000)


SPAN = Span(first=10, end=12, pts=100, next_pts=120, seek=100, position=0, size_bytes=5)


def follow(times: list[int | None]) -> None:
    frames = SpanFrames(SPAN)
    for ordinal, pts in enumerate(times, SPAN.first):
        frames.require_next(ordinal, pts)


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ([101], "frame 10 comes with the time 101"),
        ([100, None], "frame 11 comes with the time None"),
        ([100, 100], "frame 11 comes with the time 100"),
        ([100, 120], "fewer frames than packets come before frame 12"),
        ([100, 110, 119], "frame 12 comes with the time 119"),
    ],
)
def test_frames_that_the_packets_have_not_promised(times: list[int | None], reason: str) -> None:
    with pytest.raises(WholeFilmError, match=reason):
        follow(times)


def test_frames_as_promised() -> None:
    follow([100, 110, 120])


def test_a_file_that_ends_before_its_packets_do() -> None:
    with pytest.raises(WholeFilmError, match="11 frames come of 12 packets"):
        SpanFrames(SPAN).require_all(11)


SPS, PPS, SEI, IDR, SLICE = b"\x67a", b"\x68b", b"\x06c", b"\x65d", b"\x41e"
AVCC = b"\x01\x64\x00\x1f\xff\xe1"
HVCC = b"\x01" + bytes(20) + b"\xff"


def annex_b(*units: bytes) -> bytes:
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in units)


def boxed(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4) + unit for unit in units)


@pytest.mark.parametrize(
    ("codec", "extradata", "packet", "anew"),
    [
        ("h264", b"", annex_b(SPS, PPS, SEI, IDR), True),
        ("h264", b"", annex_b(SPS, PPS, SEI, SLICE), False),
        ("h264", AVCC, boxed(SEI, IDR), True),
        ("h264", AVCC, boxed(SEI, SLICE), False),
        ("h264", AVCC, b"\x00", False),
        ("hevc", b"", annex_b(b"\x40\x01", b"\x26\x01"), True),
        ("hevc", b"", annex_b(b"\x40\x01", b"\x2a\x01"), False),
        ("hevc", HVCC, boxed(b"\x4e\x01", b"\x28\x01"), True),
        ("hevc", HVCC, boxed(b"\x4e\x01", b"\x2a\x01"), False),
        ("vp9", b"", b"", True),
    ],
)
def test_a_key_packet_that_resets_its_decoder(codec: str, extradata: bytes, packet: bytes, anew: bool) -> None:
    assert resets(codec, extradata, packet) is anew
