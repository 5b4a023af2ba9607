"""One scorer, several videos: whoever waits is scored together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from daemon.errors import Kind, ScorerError
from daemon.logs.setup import get
from daemon.model import Outcome, Picture
from daemon.scoring.protocol import PendingResult, Scorer

log = get(__name__)

_Group = list[tuple[Sequence[Picture], asyncio.Future[list[Outcome]]]]
"""What was handed in, and who waits for it."""


class Batcher:
    """Lets several videos use the one scorer on its one thread.

    Pictures that are handed in while a batch is being scored are joined to the next one, up to the
    scorer's own batch size, when they have the same shape and depth; a video's last few pictures never
    wait for others to come.
    """

    def __init__(self, scorer: Scorer, thread: Executor, opened: Callable[[], Scorer] | None = None) -> None:
        self.scorer = scorer
        self._opened = opened
        self._gone: str | None = None
        self._thread = thread
        self._waiting: deque[tuple[Sequence[Picture], asyncio.Future[list[Outcome]]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def score(self, pictures: Sequence[Picture]) -> list[Outcome]:
        """One outcome per picture, in order. Raises what the scorer raises."""
        if not pictures:
            return []
        if self._gone is not None:
            raise ScorerError(Kind.DEVICE, self._gone)
        future: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._waiting.append((pictures, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._work_off())
        return await future

    async def replace(self, lost: Scorer) -> None:
        """Open a new scorer in the place of one that lost its device. Raises ScorerError when there is none."""
        if self._opened is None:
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
        self.scorer = await loop.run_in_executor(self._thread, self._opened)
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
            return group, await loop.run_in_executor(self._thread, self.scorer.submit, joined)
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
        height, width = first[0].shape[:2]
        kind = (first[0].shape, first[0].dtype)
        room = self.scorer.batch_size(height, width, first[0].itemsize) - len(first)
        while self._waiting:
            pictures, _ = self._waiting[0]
            if len(pictures) > room or any((one.shape, one.dtype) != kind for one in pictures):
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
                outcomes = await loop.run_in_executor(self._thread, self.scorer.score, pictures)
            except Exception as own:
                if not future.done():
                    future.set_exception(own)
            else:
                _hand_out([(pictures, future)], outcomes)


def _hand_out(group: _Group, outcomes: list[Outcome]) -> None:
    at = 0
    for pictures, future in group:
        if not future.done():
            future.set_result(outcomes[at : at + len(pictures)])
        at += len(pictures)
