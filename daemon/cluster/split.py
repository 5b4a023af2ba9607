"""One long film in spans on several workers; its rows come in the film's order, as those of one worker would.

::

    worker of the film   span 0 ───────▶ span 3 ───▶          rows of the span whose turn it is: given at once
    a further one        span 1 ──────────▶ span 4 ─▶         of those behind it: they wait, within bounds
    a further one        span 2 ─────▶ ✗ lost: span 2 again   each begins where the one before has met it, or the
                                                              film is scored whole
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

from daemon.cluster.room import Room
from daemon.cluster.worker import HASH_BYTES
from daemon.decode.spans import Begun, Cut, Span, WholeFilmError
from daemon.errors import Kind, VideoError
from daemon.job import VideoJob
from daemon.model import VideoInfo
from daemon.runtime.tasks import cancel
from daemon.scan.protocol import Findings, Rows

TURN_ITEMS = 4
"""Pieces of the span whose turn it is that wait for the daemon to write them."""


class SpanFilm(Protocol):
    """The film on one of its workers."""

    def scan_span(self, info: VideoInfo, span: Span, known: bytes) -> AsyncGenerator[Begun | Rows | Findings, None]:
        """How the span begins, its rows, its findings. Without them it was stopped."""

    async def unchanged_there(self) -> None:
        """Raise VideoError when the worker's machine does not see the file as it was."""

    async def give_back(self) -> None:
        """Nothing more is wanted of this worker."""


@dataclass(slots=True)
class _Part:
    """A span on its way. ``got`` is the end of the frames that have come, ``waiting`` those that were not given on."""

    span: Span
    got: int
    taken: bool = False
    begun: Begun | None = None
    findings: Findings | None = None
    waiting: deque[Rows] = field(default_factory=deque)


class Split:
    """One pass over a film in spans. ``another`` opens the film on one more worker, None where there is none now."""

    def __init__(
        self,
        film: SpanFilm,
        another: Callable[[], Awaitable[SpanFilm | None]],
        room: Room,
        job: VideoJob,
        info: VideoInfo,
        cut: Cut,
        known: bytes,
        most_losses: int,
    ) -> None:
        self._film = film
        self._another = another
        self._room = room
        self._job = job
        self._info = info
        self._cut = cut
        self._parts = [_Part(span, span.first) for span in cut.spans]
        self._turn = self._parts[0]
        self._stored = known
        # What is known of each frame: from the store, and from rows that have come.
        self._hashes = bytearray(known.ljust(cut.spans[-1].end * HASH_BYTES, b"\0"))
        self._given = 0
        self._losses_left = most_losses
        self._failed: Exception | None = None
        self._stopped = False
        self._helpers: set[asyncio.Task[None]] = set()
        self._opening = 0
        self._none_now = False

    @property
    def known(self) -> bytes:
        """The hashes of the stored frames, and those of the rows that were given on."""
        end = self._given * HASH_BYTES
        return bytes(self._hashes[:end]) + self._stored[end:]

    async def items(self) -> AsyncGenerator[Rows | Findings, None]:
        """The film's rows in order, then its findings; without them it was stopped.

        Raises WholeFilmError where the spans do not give what one pass would; VideoError, ScorerError.
        """
        tasks = [asyncio.create_task(self._own()), asyncio.create_task(self._recruit())]
        try:
            before: _Part | None = None
            for part in self._parts:
                self._turn = part
                self._room.tell()
                await self._room.wait_for(lambda: self._is_over or self._turn.begun is not None)
                if before is not None and part.begun is not None:
                    self._require_joined(before, part)
                async with aclosing(self._rows(part)) as rows:
                    async for one in rows:
                        yield one
                if part.findings is None:
                    return
                before = part
            yield self._findings()
        finally:
            await cancel([*tasks, *self._helpers])
            self._room.rows_ahead -= sum(len(rows.scored) for part in self._parts for rows in part.waiting)
            self._room.tell()

    async def _rows(self, part: _Part) -> AsyncGenerator[Rows, None]:
        """The rows of the span whose turn it is."""
        while True:
            await self._room.wait_for(lambda: self._is_over or bool(part.waiting) or part.findings is not None)
            while part.waiting:
                rows = part.waiting.popleft()
                self._room.rows_ahead -= len(rows.scored)
                self._room.tell()
                self._given = rows.end
                yield rows
            if part.findings is not None:
                return
            if self._failed is not None:
                raise self._failed
            if self._stopped:
                return

    @property
    def _is_over(self) -> bool:
        return self._failed is not None or self._stopped

    def _require_joined(self, before: _Part, part: _Part) -> None:
        """Raise WholeFilmError where two spans do not meet, or the pictures of the second are made otherwise."""
        first = self._parts[0].begun
        assert before.findings is not None
        assert part.begun is not None
        assert first is not None
        meets, begins, frame = before.findings.meets, part.begun.joint, part.span.first
        if meets != begins:
            raise WholeFilmError(f"frame {frame} is {begins} where it begins a span, and {meets} behind the one before")
        if part.begun.shape != first.shape:
            raise WholeFilmError(f"from frame {frame} on its pictures have another shape or colour")
        if part.begun.header and first.header and part.begun.header != first.header:
            raise WholeFilmError(f"from frame {frame} on the stream says another shape")

    def _findings(self) -> Findings:
        """Those of the film, of its spans' together."""
        found = [part.findings for part in self._parts if part.findings is not None]
        layouts = dict.fromkeys(layout for one in found for layout in one.unlike_chain)
        return Findings(
            frames=self._cut.spans[-1].end,
            mixed=any(one.mixed for one in found),
            stretches=found[0].stretches,
            packets=self._cut.packets,
            index=self._cut.index,
            unlike_chain=tuple(layouts),
        )

    def _next(self) -> _Part | None:
        """The next span that nobody has, where there is room for its rows."""
        part = next((part for part in self._parts if not part.taken), None)
        return part if part is self._turn or self._room.holds_more_rows else None

    def _fail(self, error: Exception) -> None:
        self._failed = self._failed or error
        self._room.tell()

    async def _own(self) -> None:
        """The film's own worker has one span after the other."""
        try:
            while not self._is_over:
                if (part := self._next()) is not None:
                    await self._scan(self._film, part)
                else:
                    await self._room.wait_for(lambda: self._is_over or self._next() is not None)
        except Exception as error:
            self._fail(error)

    async def _recruit(self) -> None:
        """Have one more worker whenever there is a span for it and a place."""
        while True:
            await self._room.wait_for(lambda: self._wants_another)
            self._opening += 1
            self._room.helper(1)
            task = asyncio.create_task(self._help())
            self._helpers.add(task)
            task.add_done_callback(self._left)

    @property
    def _wants_another(self) -> bool:
        if self._is_over or self._none_now or not self._room.has_place or self._next() is None:
            return False
        return sum(not part.taken for part in self._parts) > self._opening

    def _left(self, task: asyncio.Task[None]) -> None:
        self._helpers.discard(task)
        self._room.helper(-1)

    async def _help(self) -> None:
        """One more worker, until there is no span for it, or another film wants it."""
        try:
            film = await self._opened()
            if film is None:
                return
            try:
                while not self._is_over and not self._room.is_crowded and (part := self._next()) is not None:
                    await self._scan(film, part)
                    await film.unchanged_there()
            finally:
                await film.give_back()
        except VideoError as error:
            if error.kind is not Kind.WORKER_LOST or not self._losses_left:
                self._fail(error)
                return
            # Its span is there for another one.
            self._losses_left -= 1
            self._job.log.warning("cluster.span_lost", error=error.sentence)
        except Exception as error:
            self._fail(error)

    async def _opened(self) -> SpanFilm | None:
        """The film on one more worker. Where there is none it is not asked again before a span has come to its end."""
        try:
            film = await self._another()
            self._none_now = film is None
            return film
        finally:
            self._opening -= 1
            self._room.tell()

    async def _scan(self, film: SpanFilm, part: _Part) -> None:
        """Take all that a worker gives of a span; what is lost with the worker begins where that was."""
        span = part.span
        known = bytes(self._hashes[span.first * HASH_BYTES : span.end * HASH_BYTES])
        part.taken = True
        try:
            async with aclosing(film.scan_span(self._info, span, known)) as items:
                async for item in items:
                    match item:
                        case Rows() | Findings() if part.begun is None:
                            # Whoever waits for its beginning would wait for ever.
                            raise WholeFilmError(f"it is not said how the span of frame {span.first} begins")
                        case Rows():
                            self._keep(part, item)
                        case Findings():
                            part.findings, self._none_now = item, False
                        case Begun():
                            part.begun = item
                    self._room.tell()
                    await self._room.wait_for(lambda: self._is_over or self._may_come(part))
            if part.findings is None:
                # A stop was asked for.
                self._stopped = True
        finally:
            part.taken = part.findings is not None
            self._room.tell()

    def _may_come(self, part: _Part) -> bool:
        if part is self._turn:
            return len(part.waiting) < TURN_ITEMS
        # Where nobody has the span whose turn it is, whoever comes to the end of another takes it.
        return self._room.holds_more_rows or not self._turn.taken

    def _keep(self, part: _Part, rows: Rows) -> None:
        """Have the rows wait for their turn."""
        if rows.end <= part.got:
            return
        rows = replace(rows, first=max(rows.first, part.got))
        for row in rows.scored:
            self._hashes[row.frame * HASH_BYTES : (row.frame + 1) * HASH_BYTES] = bytes.fromhex(row.hash)
        part.got = rows.end
        part.waiting.append(rows)
        self._room.rows_ahead += len(rows.scored)
