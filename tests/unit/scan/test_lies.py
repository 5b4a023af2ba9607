"""What the process that decodes says is a stranger's word: each lie ends the film with an error, and nothing else."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import numpy as np
import pytest
from av.packet import Packet
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config.score import DecodeConfig
from daemon.config.watch import WatchConfig
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.packet_index import CHUNK_PACKETS, VERSION, PacketIndex, PacketIndexBuilder, packets_in
from daemon.decode.spans import Begun, Span, WholeFilmError
from daemon.errors import Kind, VideoError
from daemon.job import VideoJob
from daemon.model import Frame, VideoInfo, WantedFrame
from daemon.runtime.cell import CellEnded
from daemon.runtime.ring import Taker
from daemon.scan.again import Again, Packets, Way
from daemon.scan.apart import MOST_TRACE, Decoding, UnexpectedError
from daemon.scan.decoding import MOST_TEXT, Request, Work, findings_from, findings_json
from daemon.scan.local import LocalFilm, LocalScanner
from daemon.scan.protocol import Findings, Rows
from daemon.scan.spans import Cutting, cut_json

RATE = Fraction(25)
INFO = VideoInfo(Path("/in/a.mkv"), "matroska", 0, "h264", 64, 48, "yuv420p", 8, 1 / RATE, RATE, 9, 1.0, 0.0)
CONFIG = DecodeConfig(max_pixels=10_000)
HASH = "0" * 40
GOOD = [0, 0, 0.0, HASH, False, None]
NO_PACKETS = PacketIndexBuilder().packed()
SCAN = Request(INFO, CONFIG, single_thread=True)
SPAN = Request(INFO, CONFIG, single_thread=False, span=Span(5, 7, 5, 7, 5, -1, 100))
CUTTING = Cutting(INFO, CONFIG, 60.0)
TWO = Again(INFO, CONFIG, Way.SEEK, [WantedFrame(frame, frame, 0.0, HASH) for frame in (3, 7)])


class Liar:
    """A process that says what it was told to; of its kind there is one."""

    def __init__(self, *said: Any) -> None:
        self.said = list(said)
        self.ring = Taker()
        os.pwrite(self.ring.handle, NO_PACKETS, 0)
        self.worn = self.ended = False
        self.told: list[int] = []

    def take(self, greeting: dict[str, Any]) -> Liar:
        return self

    def tell(self, request: dict[str, Any]) -> None:
        pass

    def tell_free(self, slot: int) -> None:
        self.told.append(slot)

    def hear(self, seconds: float | None, most_bytes: int) -> dict[str, Any]:
        if not self.said:
            raise CellEnded(9)
        message: dict[str, Any] = self.said.pop(0)
        return message

    @contextmanager
    def lent(self, _: Any) -> Iterator[None]:
        self.ended = True
        yield
        self.ended = False

    def kill(self) -> None:
        self.ended = True


def heard(work: Work[Any], *said: Any) -> tuple[list[Frame], Decoding[Any], Liar]:
    liar = Liar(*said)
    run = Decoding(work, liar)  # type: ignore[arg-type]
    return list(run.frames()), run, liar


def refused(work: Work[Any], *said: Any) -> VideoError:
    """The error of a film whose process says this; it is ended."""
    liar = Liar(*said)
    with pytest.raises(VideoError) as caught:
        list(Decoding(work, liar).frames())  # type: ignore[arg-type]
    assert liar.ended
    return caught.value


def frame(**changes: Any) -> dict[str, Any]:
    names = ("index", "pts", "time_s", "hash", "corrupt", "lasts_s")
    return {"frame": [changes.get(name, value) for name, value in zip(names, GOOD, strict=True)]}


DONE = {"found": {"rungs": {"key": 2}}, "worn": False}


def test_what_is_true_is_taken() -> None:
    frames, run, liar = heard(TWO, frame(index=3), {"at": [9, 9]}, frame(index=7), DONE)
    assert [one.index for one in frames] == [3, 7]
    assert run.findings is not None
    assert run.findings["key"] == 2
    assert run.at == [9, 9]
    assert not liar.ended


@pytest.mark.parametrize(
    "changes",
    [
        {"pts": 1 << 63},
        {"pts": -(1 << 63) - 1},
        {"pts": 0.5},
        {"pts": "1"},
        {"time_s": math.nan},
        {"time_s": -math.inf},
        {"time_s": 10**400},
        {"lasts_s": math.inf},
        {"lasts_s": "x"},
        {"hash": "0" * 41},
        {"hash": "0" * 39 + "\n"},
        {"hash": "G" * 40},
        {"corrupt": 1},
        {"index": -1},
        {"index": 1},
        {"index": 1 << 70},
        {"index": None},
    ],
    ids=str,
)
def test_facts_that_no_frame_has(changes: dict[str, Any]) -> None:
    assert refused(SCAN, frame(**changes)).kind is Kind.DECODE


@pytest.mark.parametrize("said", [[], {}, "x", [1, 2], [0, 0, 0.0, HASH, False, None, 1], None], ids=str)
def test_what_is_no_frame_at_all(said: Any) -> None:
    refused(SCAN, {"frame": said})


def test_frames_come_once_and_only_those_that_were_asked_for() -> None:
    assert [one.index for one in heard(SPAN, frame(index=5), frame(index=6), *end())[0]] == [5, 6]
    for said in ([frame(index=4)], [frame(index=6)], [frame(index=5), frame(index=5)]):
        assert "was not asked for" in refused(SPAN, *said).sentence
    assert "was not asked for" in refused(SPAN, *(frame(index=at) for at in (5, 6, 7))).sentence
    for said in ([frame(index=4)], [frame(index=3), frame(index=3)]):
        assert "was not asked for" in refused(TWO, *said).sentence
    assert "was not asked for" in refused(SCAN, frame(index=0), frame(index=2)).sentence
    assert "was not asked for" in refused(Packets(INFO, CONFIG), frame(index=0)).sentence


@pytest.mark.parametrize("room", [0, -1, 1 << 62, 1.5, True, "1", None, [1]])
def test_room_for_what_is_no_frame(room: Any) -> None:
    assert "no such size" in refused(SCAN, {"room": room}).sentence


def test_memory_that_is_asked_for_and_not_used() -> None:
    assert "again and again" in refused(SCAN, {"room": 100}, {"room": 200}).sentence


@pytest.mark.parametrize(
    "part",
    [
        ["picture", "|u1", [48, 64], 0],
        ["picture", "|u1", [48, 64, 4], 0],
        ["picture", "|u1", [0, 64, 3], 0],
        ["picture", "|u1", [101, 100, 3], 0],
        ["features", "|u1", [3], 0],
        ["gray", "|u1", [48, 64], 0],
        ["small", "|u1", [4, 4, 3], 0],
        ["else", "|u1", [4], 0],
        ["picture", "<f8", [4, 4, 3], 0],
        ["picture", "|u1", [1 << 20, 1 << 20, 3], 0],
        ["picture", "|u1", [4, 4, 3], -2],
        ["picture", "|u1", [4, 4, 3], 1 << 64],
        ["picture", "|u1", [4, 4, 3], False],
    ],
    ids=str,
)
def test_arrays_that_no_frame_has(part: Any) -> None:
    refused(SCAN, {"room": 1 << 16}, {**frame(), "slot": 0, "parts": [part]})


def test_arrays_that_lie_over_each_other() -> None:
    rows, gray = ["rows", "|u1", [4, 3, 64], 64], ["gray", "|u1", [48, 64], 0]
    assert "by itself" in refused(SCAN, {"room": 1 << 16}, {**frame(), "slot": 0, "parts": [gray, rows]}).sentence
    assert "by itself" in refused(SCAN, {"room": 1 << 16}, {**frame(), "slot": 0, "parts": [gray, gray]}).sentence


def found(**changes: Any) -> dict[str, Any]:
    values, _ = findings_json(INFO, DecodeReport())
    return {**values, "meets": None, **changes}


def end() -> list[dict[str, Any]]:
    """The last lines of a film or a span without packets."""
    part = ["index", "|u1", [len(NO_PACKETS)], 0]
    return [{"room": 4096}, {"found": found(), "slot": 0, "parts": [part], "worn": False}]


def test_findings_that_are_true() -> None:
    assert findings_from(found(damage="x" * 9000), NO_PACKETS, INFO, CONFIG).damage == "x" * MOST_TEXT


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": -1},
        {"frames": 1 << 63},
        {"frames": 1.0},
        {"packets": 1},
        {"unread_s": math.nan},
        {"unread_s": "x"},
        {"damage": 5},
        {"damaged_spans": [[0, -1]]},
        {"damaged_spans": [[0]]},
        {"damaged_spans": 4},
        {"unlike_chain": [1]},
        {"without_device": 1},
        {"stretches": "{}"},
        {"stretches": "[1]"},
        {"nonsense": 1},
    ],
    ids=str,
)
def test_findings_of_no_pass(changes: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        findings_from(found(**changes), NO_PACKETS, INFO, CONFIG)


PACKETS = 20


def index_of_packets() -> bytes:
    builder = PacketIndexBuilder()
    for at in range(PACKETS):
        packet = Packet(b"x")
        packet.pts = packet.dts = at
        builder.add(packet)
    return builder.packed()


def span(first: int, end: int, **changes: Any) -> dict[str, Any]:
    next_pts = None if end == PACKETS else end
    true = {"first": first, "end": end, "pts": first, "next_pts": next_pts, "seek": first, "position": -1}
    return {**true, "size_bytes": 5, **changes}


def test_spans_that_are_true() -> None:
    cut = Cutting(INFO, CONFIG, 1.0).found({"spans": [span(0, 8), span(8, 20)], "packets": 20}, index_of_packets())
    assert [(one.first, one.end, one.next_pts) for one in cut.spans] == [(0, 8, 8), (8, 20, None)]
    assert Cutting(INFO, CONFIG, 1.0).found(cut_json(cut), cut.index) == cut


@pytest.mark.parametrize(
    "spans",
    [
        [span(0, 8)],
        [span(0, 8), span(9, 20)],
        [span(0, 8), span(8, 8), span(8, 20)],
        [span(0, 8), span(8, 21)],
        [span(0, 8, next_pts=None), span(8, 20)],
        [span(0, 8, next_pts=9), span(8, 20)],
        [span(0, 8), span(8, 20, next_pts=20)],
        [span(0, 8), span(8, 20, seek="x" * 10**6)],
        [span(0, 8), span(8, 20, position=None)],
        [span(0, 8), span(8, 20, size_bytes=1 << 63)],
        [span(0, 8), span(8, 20, pts=8.0)],
        [span(0, 8), span(8, 20, nonsense=1)],
        [4],
        4,
    ],
    ids=range(14),
)
def test_spans_of_no_film(spans: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        Cutting(INFO, CONFIG, 1.0).found({"spans": spans, "packets": 20}, index_of_packets())


def test_a_film_without_packets_has_no_spans() -> None:
    with pytest.raises(ValueError, match="do not meet"):
        Cutting(INFO, CONFIG, 1.0).found({"spans": [], "packets": 0}, NO_PACKETS)


def test_sentences_without_end_are_cut() -> None:
    assert len(refused_sentence({"kind": "decode", "sentence": "x" * 10**6})) == MOST_TEXT
    with pytest.raises(DamageError) as damage:
        heard(SCAN, {"damage": "x" * 10**6})
    assert len(str(damage.value)) == MOST_TEXT
    with pytest.raises(UnexpectedError) as unexpected:
        heard(SCAN, {"unexpected": "x" * 10**6, "trace": "x" * 10**6})
    assert len(str(unexpected.value)) == MOST_TEXT
    assert [len(note) for note in unexpected.value.__notes__] == [MOST_TRACE]


def refused_sentence(message: dict[str, Any]) -> str:
    with pytest.raises(VideoError) as caught:
        heard(SCAN, message)
    return caught.value.sentence


def test_an_index_that_unpacks_into_more_than_it_says_is_none() -> None:
    bomb = zlib.compress(bytes(50_000_000), 9)
    head = (10).to_bytes(4, "little") + len(bomb).to_bytes(4, "little")
    with pytest.raises(ValueError, match="damaged"):
        PacketIndex.unpacked(bytes([VERSION]) + head + bomb)
    many = (CHUNK_PACKETS + 1).to_bytes(4, "little") + len(bomb).to_bytes(4, "little")
    with pytest.raises(ValueError, match="damaged"):
        PacketIndex.unpacked(bytes([VERSION]) + many + bomb)


def test_an_index_of_more_packets_than_a_film_may_have_is_none() -> None:
    record = bytes([VERSION]) + ((1 << 16).to_bytes(4, "little") + (0).to_bytes(4, "little")) * 100
    assert packets_in(record) == 100 << 16
    with pytest.raises(ValueError, match="more packets"):
        Packets(INFO, CONFIG).found({}, record)


SPANS = [
    {"first": 0, "end": 5, "pts": 0, "next_pts": 5, "seek": -2, "position": 48, "size_bytes": 9},
    {"first": 5, "end": 9, "pts": 5, "next_pts": None, "seek": 3, "position": -1, "size_bytes": 8},
]
NINE_PACKETS = bytes([VERSION]) + (9).to_bytes(4, "little") + bytes(4)


def test_a_cut_that_is_true() -> None:
    cut = CUTTING.found({"spans": SPANS, "packets": 9}, NINE_PACKETS)
    assert [(span.first, span.end, span.next_pts, span.position) for span in cut.spans] == [
        (0, 5, 5, 48),
        (5, 9, None, -1),
    ]
    assert (cut.packets, cut.index) == (9, NINE_PACKETS)


@pytest.mark.parametrize(
    "changes",
    [
        {"first": 4},
        {"first": 6},
        {"first": 5.0},
        {"end": 5},
        {"end": 10},
        {"end": 1 << 63},
        {"pts": None},
        {"pts": "5"},
        {"pts": 1 << 63},
        {"next_pts": 0.5},
        {"seek": -(1 << 63) - 1},
        {"seek": True},
        {"position": -2},
        {"position": None},
        {"size_bytes": -1},
        {"size_bytes": []},
    ],
    ids=str,
)
def test_spans_that_no_film_has(changes: dict[str, Any]) -> None:
    said = {"found": {"spans": [SPANS[0], {**SPANS[1], **changes}], "packets": 9}}
    with pytest.raises((KeyError, TypeError, ValueError)):
        CUTTING.found(said["found"], NINE_PACKETS)
    assert refused(CUTTING, said).kind is Kind.DECODE


async def scanned(monkeypatch: pytest.MonkeyPatch, span: Span | None, *said: Any) -> list[Any]:
    """What comes of a film, or of its span, whose process says this and is lent for it."""
    monkeypatch.setattr("daemon.scan.apart.CELLS", Liar(*said))
    scorer = SimpleNamespace(gray_from=None, device="cpu", batch_size=lambda *_: 8)
    batcher = SimpleNamespace(scorer=scorer, score=AsyncMock(return_value=[]))
    scanner = LocalScanner(CONFIG, WatchConfig(), batcher)  # type: ignore[arg-type]
    job = VideoJob(SimpleNamespace(id=1, file=SimpleNamespace(path=INFO.path)), Mock(), lambda: None, 30.0)  # type: ignore[arg-type]
    film = LocalFilm(scanner, job, CONFIG, batcher, strip=False)  # type: ignore[arg-type]
    items = film.scan(INFO, (), single_thread=True) if span is None else film.scan_span(INFO, span, ())
    return [item async for item in items]


BEGUN = {"begun": {"joint": {"frame": 5, "pts": 5, "time_s": 0.2, "duration_s": None, "hash": HASH}, "shape": "", "header": ""}}  # fmt: skip


async def test_a_span_says_how_it_begins_before_its_first_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = (monkeypatch, SPAN.span)
    items = await scanned(*asked, BEGUN, frame(index=5), frame(index=6), *end())
    assert [type(item) for item in items] == [Begun, Rows, Findings]
    for said in ([frame(index=5), frame(index=6), *end()], [*end()]):
        with pytest.raises(WholeFilmError, match="how a span begins"):
            await scanned(*asked, *said)


async def test_a_whole_film_does_not_say_how_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    items = await scanned(monkeypatch, None, BEGUN, frame(index=0), *end())
    assert [type(item) for item in items] == [Rows, Findings]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
names = (
    "frame",
    "room",
    "slot",
    "parts",
    "flat",
    "found",
    "damage",
    "whole",
    "kind",
    "sentence",
    "unexpected",
    "trace",
    "at",
)
lines = st.dictionaries(st.sampled_from(names), anything | st.just(GOOD) | st.integers(1, 9000), max_size=4)


@settings(max_examples=300)
@given(st.lists(lines, max_size=4), st.sampled_from([SCAN, SPAN, TWO, Packets(INFO, CONFIG), CUTTING]))
def test_whatever_it_says_is_a_frame_or_an_error_of_its_film(said: list[dict[str, Any]], work: Work[Any]) -> None:
    with suppress(VideoError, DamageError, WholeFilmError, UnexpectedError):
        for one in heard(work, *said)[0]:
            assert one.picture is None or isinstance(one.picture, np.ndarray)
