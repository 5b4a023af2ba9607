"""One open scorer on its own thread, shared by several videos: whoever waits is scored together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Self

from daemon.errors import Kind, ScorerError, VideoError
from daemon.logs.setup import get
from daemon.media.scorable import Scorable, size_of
from daemon.model import GrayPicture, Outcome
from daemon.runtime.stall import with_stall_timeout
from daemon.scoring.protocol import PendingResult, Scorer

log = get(__name__)

CLOSE_SECONDS = 3.0
DEVICE_LOSSES = 3
"""After this many losses without a video in between the process ends: a new one may find the device."""

_Group = list[tuple[Sequence[Scorable], asyncio.Future[list[Outcome]]]]
"""What was handed in, and who waits for it."""


class Batcher:
    """Lets several videos use the one scorer on its one thread.

    Pictures that are handed in while a batch is being scored are joined to the next one, up to the
    scorer's own batch size, when they have the same shape and depth; a video's last few pictures never
    wait for others to come.
    """

    def __init__(self, scorer: Scorer, thread: Executor, open_scorer: Callable[[], Scorer] | None = None) -> None:
        self._scorer = scorer
        self._open_scorer = open_scorer
        self._gone: str | None = None
        self._losses = 0
        self._replacing = asyncio.Lock()
        self._thread = thread
        self._waiting: deque[tuple[Sequence[Scorable], asyncio.Future[list[Outcome]]]] = deque()
        self._running: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, open_scorer: Callable[[], Scorer], thread_name: str) -> Self:
        """Open a scorer on a new thread of its own; ``close`` ends both. Raises what ``open_scorer`` raises."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=thread_name)
        try:
            scorer = await asyncio.get_running_loop().run_in_executor(thread, open_scorer)
        except BaseException:
            thread.shutdown(wait=False, cancel_futures=True)
            raise
        return cls(scorer, thread, open_scorer)

    async def close(self) -> None:
        """Close the scorer and let its thread end; one that hangs is left behind, and that is logged."""
        closing = asyncio.get_running_loop().run_in_executor(self._thread, self._scorer.close)
        try:
            done, _ = await asyncio.wait([closing], timeout=CLOSE_SECONDS)
            if not done:
                log.error("scorer.stuck", device=self._scorer.device, seconds=CLOSE_SECONDS)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def scorer(self) -> Scorer:
        """The scorer that is open now."""
        return self._scorer

    async def score(self, pictures: Sequence[Scorable], stall_seconds: float | None = None) -> list[Outcome]:
        """One outcome per picture, in order.

        Raises what the scorer raises, and ScorerError(STUCK) when it gives nothing for ``stall_seconds``: its thread
        cannot be ended, so only a new process gets a scorer that works.
        """
        if stall_seconds is None:
            return await self._score(pictures)
        try:
            return await with_stall_timeout(self._score(pictures), stall_seconds, "the scorer")
        except VideoError as error:
            if error.kind is not Kind.STUCK:
                raise
            raise ScorerError(Kind.STUCK, error.sentence) from error

    async def _score(self, pictures: Sequence[Scorable]) -> list[Outcome]:
        if not pictures:
            return []
        if self._gone is not None:
            raise ScorerError(Kind.DEVICE, self._gone)
        future: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._waiting.append((pictures, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._work_off())
        return await future

    def went_well(self) -> None:
        """A video was scored to its end: losses before it count no more."""
        self._losses = 0

    async def replace_lost(self, lost: Scorer, error: ScorerError) -> None:
        """Open the scorer anew, unless another video has done so since. Raises ``error`` at the last of the losses."""
        async with self._replacing:
            if self._scorer is not lost:
                return
            self._losses += 1
            log.error("scorer.lost", device=lost.device, losses=self._losses, error=error.sentence)
            if self._losses >= DEVICE_LOSSES:
                raise error
            await self.replace(lost)

    async def replace(self, lost: Scorer) -> None:
        """Open a new scorer in the place of one that lost its device. Raises ScorerError when there is none."""
        if self._open_scorer is None:
            raise ScorerError(Kind.DEVICE, "the device was lost: start again")
        loop = asyncio.get_running_loop()
        self._gone = "the scorer has lost its device and is being opened again"
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(ScorerError(Kind.DEVICE, self._gone))
        try:
            await loop.run_in_executor(self._thread, lost.close)
        except Exception:
            log.warning("scorer.close_failed", scorer=lost.identity, exc_info=True)
        self._scorer = await loop.run_in_executor(self._thread, self._open_scorer)
        self._gone = None

    async def _work_off(self) -> None:
        """Submit the next batch before the last one's outcomes are asked for, while any is waiting."""
        last: tuple[_Group, PendingResult] | None = None
        while self._waiting or last is not None:
            following = await self._submit() if self._waiting else None
            if last is not None:
                await self._collect(*last)
            last = following

    async def _submit(self) -> tuple[_Group, PendingResult] | None:
        group: _Group = [self._waiting.popleft()]
        try:
            self._join(group)
            joined = [picture for pictures, _ in group for picture in pictures]
            loop = asyncio.get_running_loop()
            return group, await loop.run_in_executor(self._thread, self._scorer.submit, joined)
        except Exception as error:
            await self._one_by_one(group, error)
        return None

    async def _collect(self, group: _Group, pending: PendingResult) -> None:
        try:
            outcomes = await asyncio.get_running_loop().run_in_executor(self._thread, pending)
        except Exception as error:
            await self._one_by_one(group, error)
        else:
            _hand_out(group, outcomes)

    def _join(self, group: _Group) -> None:
        """Add what waits and is alike, as far as the scorer takes it at once."""
        first = group[0][0]
        height, width = size_of(first[0])
        kind = _kind(first[0])
        room = self._scorer.batch_size(height, width, _itemsize(first[0])) - len(first)
        while self._waiting:
            pictures, _ = self._waiting[0]
            if len(pictures) > room or any(_kind(picture) != kind for picture in pictures):
                break
            room -= len(pictures)
            group.append(self._waiting.popleft())

    async def _one_by_one(self, group: _Group, error: Exception) -> None:
        """One video's trouble is not its batch mates': each is tried alone, and keeps its own error."""
        loop = asyncio.get_running_loop()
        for pictures, future in group:
            if future.done():
                continue
            if len(group) == 1 or getattr(error, "kind", None) is Kind.DEVICE:
                future.set_exception(error)
                continue
            try:
                outcomes = await loop.run_in_executor(self._thread, self._scorer.score, pictures)
            except Exception as own:
                if not future.done():
                    future.set_exception(own)
            else:
                _hand_out([(pictures, future)], outcomes)


def _kind(picture: Scorable) -> tuple[object, ...]:
    """Pictures of one kind may share a batch."""
    return (size_of(picture), None if isinstance(picture, GrayPicture) else picture.dtype)


def _itemsize(picture: Scorable) -> int:
    return 1 if isinstance(picture, GrayPicture) else picture.itemsize


def _hand_out(group: _Group, outcomes: list[Outcome]) -> None:
    at = 0
    for pictures, future in group:
        if not future.done():
            future.set_result(outcomes[at : at + len(pictures)])
        at += len(pictures)
