"""However a film is cut, whoever is lost, in whatever pieces rows come: they are those of one pass, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.cluster import room as rooms
from daemon.cluster.room import Room
from daemon.cluster.split import Split
from daemon.cluster.worker import packed
from daemon.decode.spans import Begun, Cut, Joint, Span, WholeFilmError
from daemon.errors import Kind, VideoError
from daemon.job import VideoJob
from daemon.model import Scored, VideoInfo
from daemon.scan.protocol import Findings, Rows
from tests.jobs import video_record

FRAMES = 60


def hash_of(frame: int) -> str:
    return f"{frame + 1:040x}"


def row(frame: int) -> Scored:
    return Scored(frame, frame, frame / 25, float(frame), None, hash_of(frame), None, 0.04)


def joint(frame: int) -> Joint:
    return Joint(frame, frame, frame / 25, 0.04, hash_of(frame))


class Workers:
    """Those of a cluster; ``say`` may change or refuse what one gives of a span."""

    def __init__(self, sizes: list[int], losses: list[int]) -> None:
        self.sizes = sizes
        self.losses = losses
        self.given: list[int] = []
        self.open = self.most = 0

    async def another(self) -> FakeFilm:
        await asyncio.sleep(0)
        self.open += 1
        self.most = max(self.most, self.open)
        return FakeFilm(self, own=False)


class FakeFilm:
    def __init__(self, workers: Workers, *, own: bool) -> None:
        self._workers = workers
        self._own = own

    async def scan_span(self, info: Any, span: Span, known: bytes) -> AsyncGenerator[Begun | Rows | Findings, None]:
        stored = [known[at : at + 20].hex() for at in range(0, len(known), 20)]
        yield Begun(joint(span.first), "shape", "")
        at = span.first
        for step in range(FRAMES):
            if at == span.end:
                break
            if not self._own and self._workers.losses and self._workers.losses[0] == at:
                self._workers.losses.pop(0)
                raise VideoError(Kind.WORKER_LOST, "gone")
            size = self._workers.sizes[(span.first + step) % len(self._workers.sizes)]
            end = min(at + size, span.end)
            new = [frame for frame in range(at, end) if stored[frame - span.first] != hash_of(frame)]
            self._workers.given += new
            await asyncio.sleep(0)
            yield Rows(at, end, tuple(map(row, new)))
            at = end
        yield Findings(span.end, meets=None if span.next_pts is None else joint(span.end))

    async def unchanged_there(self) -> None:
        await asyncio.sleep(0)

    async def give_back(self) -> None:
        if not self._own:
            self._workers.open -= 1


def cut_at(starts: list[int]) -> Cut:
    ends = [*starts[1:], FRAMES]
    return Cut(
        tuple(
            Span(first, end, first, end if end < FRAMES else None, first, -1, 1)
            for first, end in zip(starts, ends, strict=True)
        ),
        FRAMES,
        b"index",
    )


def split_of(workers: Workers, room: Room, cut: Cut, known: list[str], losses: int = 100) -> Split:
    job = VideoJob.of(video_record(), 300.0)
    info: Any = VideoInfo
    return Split(FakeFilm(workers, own=True), workers.another, room, job, info, cut, packed(known), losses)


async def gathered(split: Split, found: list[Any]) -> None:
    async with aclosing(split.items()) as items:
        async for item in items:
            found += [item]


@settings(max_examples=60)
@given(
    starts=st.sets(st.integers(1, FRAMES - 1), max_size=12),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    stored=st.sets(st.integers(0, FRAMES - 1)),
    losses=st.lists(st.integers(0, FRAMES - 1), max_size=4),
    places=st.integers(1, 6),
    ahead=st.integers(0, 40),
)
def test_the_rows_are_those_of_one_pass(
    starts: set[int], sizes: list[int], stored: set[int], losses: list[int], places: int, ahead: int
) -> None:
    workers = Workers(sizes, losses)
    known = [hash_of(frame) if frame in stored else "" for frame in range(FRAMES)]

    async def run() -> tuple[list[Any], Room, Split]:
        room = Room(places)
        split = split_of(workers, room, cut_at([0, *sorted(starts)]), known)
        with room.film():
            async with asyncio.timeout(30), aclosing(split.items()) as items:
                found = [item async for item in items]
        return found, room, split

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rooms, "ROWS_AHEAD", ahead)
        (*parts, findings), room, split = asyncio.run(run())
    assert [one for part in parts for one in part.scored] == [row(at) for at in range(FRAMES) if at not in stored]
    assert [part.first for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert (findings.frames, findings.index, findings.meets) == (FRAMES, b"index", None)
    assert sorted(workers.given) == sorted(set(range(FRAMES)) - stored), "nothing is scored twice"
    assert split.known == packed([hash_of(frame) for frame in range(FRAMES)])
    assert workers.open == 0
    assert workers.most < places
    assert room.rows_ahead == 0
    assert places == 1 or room.has_place


@given(at=st.sampled_from([20, 40]), shape=st.booleans())
def test_where_two_spans_do_not_meet_the_film_is_scored_whole(at: int, shape: bool) -> None:
    """What was given on before that is known and right."""

    class Other(FakeFilm):
        async def scan_span(self, info: Any, span: Span, known: bytes) -> AsyncGenerator[Any, None]:
            async with aclosing(super().scan_span(info, span, known)) as items:
                async for item in items:
                    if isinstance(item, Begun) and span.first == at:
                        item = Begun(item.joint if shape else joint(at + 1), "other" if shape else "shape", "")
                    yield item

    workers = Workers([7], [])
    found: list[Any] = []

    async def run() -> bytes:
        room = Room(1)
        split = split_of(workers, room, cut_at([0, 20, 40]), [])
        split._film = Other(workers, own=True)
        with room.film(), pytest.raises(WholeFilmError, match=f"frame {at}"):
            await gathered(split, found)
        return split.known

    known = asyncio.run(run())
    assert [one.frame for part in found for one in part.scored] == list(range(at))
    assert known == packed([hash_of(frame) for frame in range(at)])


async def test_a_span_of_which_it_is_not_said_how_it_begins_is_not_waited_for() -> None:
    class Silent(FakeFilm):
        async def scan_span(self, info: Any, span: Span, known: bytes) -> AsyncGenerator[Any, None]:
            async with aclosing(super().scan_span(info, span, known)) as items:
                async for item in items:
                    if span.first == 0 or not isinstance(item, Begun):
                        yield item

    workers = Workers([7], [])
    room = Room(1)
    split = split_of(workers, room, cut_at([0, 20, 40]), [])
    split._film = Silent(workers, own=True)
    with room.film(), pytest.raises(WholeFilmError, match="the span of frame 20 begins"):
        await asyncio.wait_for(gathered(split, []), 30)


def test_no_worker_is_for_spans_while_a_film_waits_for_its_own() -> None:
    room = Room(3)
    with room.film():
        assert (room.has_place, room.is_crowded) == (True, False)
        with room.waiting():
            assert (room.has_place, room.is_crowded) == (False, True)
        assert (room.has_place, room.is_crowded) == (True, False)


def test_more_losses_than_a_film_may_have_are_its_error() -> None:
    workers = Workers([5], [20, 20, 20])

    async def run() -> None:
        room = Room(4)
        split = split_of(workers, room, cut_at([0, 20, 40]), [], losses=1)
        with room.film():
            async with asyncio.timeout(30), aclosing(split.items()) as items:
                async for _ in items:
                    await asyncio.sleep(0.01)

    with pytest.raises(VideoError, match="gone"):
        asyncio.run(run())


async def test_rows_of_spans_behind_wait_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The span whose turn it is stands still: the others stop."""
    monkeypatch.setattr(rooms, "ROWS_AHEAD", 10)
    go_on = asyncio.Event()

    class Slow(FakeFilm):
        async def scan_span(self, info: Any, span: Span, known: bytes) -> AsyncGenerator[Any, None]:
            async with aclosing(super().scan_span(info, span, known)) as items:
                async for item in items:
                    if isinstance(item, Rows) and span.first == 0:
                        await go_on.wait()
                    yield item

    workers = Workers([4], [])
    room = Room(3)
    split = split_of(workers, room, cut_at([0, 20, 40]), [])
    split._film = Slow(workers, own=True)
    found: list[Any] = []

    with room.film():
        reading = asyncio.create_task(gathered(split, found))
        await room.wait_for(lambda: not room.holds_more_rows)
        for _ in range(100):
            await asyncio.sleep(0)
        assert room.rows_ahead <= 10 + 2 * 4
        assert found == []
        go_on.set()
        await asyncio.wait_for(reading, 30)
    assert sum(len(part.scored) for part in found[:-1]) == FRAMES
