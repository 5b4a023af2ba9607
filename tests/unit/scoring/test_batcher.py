"""One scorer for several videos: joined where they fit, apart where one has trouble."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from daemon.errors import Kind, ScorerError, VideoError
from daemon.model import Outcome, Picture
from daemon.scoring.batcher import Batcher


def picture(value: int, side: int = 4) -> Picture:
    return np.full((side, side, 3), value, np.uint8)


class Recorder:
    """Scores a picture with its value; keeps the batches; value 13 breaks the batch it is in."""

    identity, metric, lower_better, device = "recorder", "recorder", False, "cpu"

    def __init__(self, size: int = 4) -> None:
        self.size = size
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def batch_size(self, height: int, width: int, itemsize: int) -> int:
        return self.size

    def score(self, pictures: Sequence[Picture]) -> list[Outcome]:
        values = [int(one[0, 0, 0]) for one in pictures]
        self.batches.append(values)
        assert self.gate.wait(10)
        if 13 in values:
            raise VideoError(Kind.SCORE, "thirteen")
        return [Outcome(float(value)) for value in values]

    def submit(self, pictures: Sequence[Picture]) -> Callable[[], list[Outcome]]:
        return lambda: self.score(pictures)

    def close(self) -> None:
        return


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def together(scorer: Recorder, batcher: Batcher, *batches: list[Picture]) -> list[object]:
    """Hand in the batches while the scorer is busy with a first one."""
    scorer.gate.clear()
    first = asyncio.create_task(batcher.score([picture(1)]))
    while not scorer.batches:
        await asyncio.sleep(0)
    waiting = [asyncio.create_task(batcher.score(batch)) for batch in batches]
    for _ in batches:
        await asyncio.sleep(0)
    scorer.gate.set()
    assert await first == [Outcome(1.0)]
    return list(await asyncio.gather(*waiting, return_exceptions=True))


async def test_pictures_of_different_videos_share_a_batch(thread: ThreadPoolExecutor) -> None:
    scorer = Recorder()
    found = await together(scorer, Batcher(scorer, thread), [picture(2), picture(3)], [picture(4)])
    assert scorer.batches == [[1], [2, 3, 4]]
    assert found == [[Outcome(2.0), Outcome(3.0)], [Outcome(4.0)]]


async def test_a_batch_never_grows_beyond_the_scorers_size(thread: ThreadPoolExecutor) -> None:
    scorer = Recorder(size=3)
    await together(scorer, Batcher(scorer, thread), [picture(2), picture(3)], [picture(4), picture(5)])
    assert scorer.batches == [[1], [2, 3], [4, 5]]


async def test_pictures_of_another_size_are_not_joined(thread: ThreadPoolExecutor) -> None:
    scorer = Recorder()
    await together(scorer, Batcher(scorer, thread), [picture(2)], [picture(3, side=8)])
    assert scorer.batches == [[1], [2], [3]]


async def test_a_tail_does_not_wait_for_others(thread: ThreadPoolExecutor) -> None:
    scorer = Recorder(size=16)
    assert await asyncio.wait_for(Batcher(scorer, thread).score([picture(7)]), 10) == [Outcome(7.0)]


async def test_the_trouble_of_one_video_is_not_its_batch_mates(thread: ThreadPoolExecutor) -> None:
    scorer = Recorder()
    good, bad = await together(scorer, Batcher(scorer, thread), [picture(2)], [picture(13)])
    assert good == [Outcome(2.0)]
    assert isinstance(bad, VideoError)


async def test_a_video_that_went_away_takes_nobody_along(thread: ThreadPoolExecutor) -> None:
    scorer = Recorder()
    batcher = Batcher(scorer, thread)
    scorer.gate.clear()
    gone = asyncio.create_task(batcher.score([picture(1)]))
    while not scorer.batches:
        await asyncio.sleep(0)
    stays = asyncio.create_task(batcher.score([picture(2)]))
    await asyncio.sleep(0)
    gone.cancel()
    scorer.gate.set()
    assert await stays == [Outcome(2.0)]


async def test_no_pictures_cost_no_call(thread: ThreadPoolExecutor) -> None:
    scorer = Recorder()
    assert await Batcher(scorer, thread).score([]) == []
    assert scorer.batches == []


async def test_outcomes_are_fetched_one_batch_behind(thread: ThreadPoolExecutor) -> None:
    """A GPU copies the next batch while it computes the last: so the next goes in before the last is asked for."""
    order: list[str] = []

    class InOrder(Recorder):
        def submit(self, pictures: Sequence[Picture]) -> Callable[[], list[Outcome]]:
            values = [int(one[0, 0, 0]) for one in pictures]
            order.append(f"submit {values[0]}")

            def ticket() -> list[Outcome]:
                order.append(f"fetch {values[0]}")
                return [Outcome(float(value)) for value in values]

            return ticket

    batcher = Batcher(InOrder(size=1), thread)
    await asyncio.gather(*(batcher.score([picture(value)]) for value in (1, 2, 3)))
    assert order == ["submit 1", "submit 2", "fetch 1", "submit 3", "fetch 2", "fetch 3"]


async def test_a_scorer_that_cannot_even_measure_out_a_batch_keeps_nobody_waiting(thread: ThreadPoolExecutor) -> None:
    class Lost(Recorder):
        def batch_size(self, height: int, width: int, itemsize: int) -> int:
            raise ScorerError(Kind.DEVICE, "the device has gone")

    batcher = Batcher(Lost(), thread)
    async with asyncio.timeout(10):
        ended = await asyncio.gather(*(batcher.score([picture(n)]) for n in (1, 2, 3)), return_exceptions=True)
    assert [getattr(one, "kind", None) for one in ended] == [Kind.DEVICE] * 3


async def test_another_scorer_in_mid_video_ends_the_videos_of_the_first(thread: ThreadPoolExecutor) -> None:
    lost = Recorder()
    lost.gate.clear()
    batcher = Batcher(lost, thread, lambda: Recorder())
    first = asyncio.create_task(batcher.score([picture(1)]))
    waiting = [asyncio.create_task(batcher.score([picture(n, side=n)])) for n in (5, 6, 7)]
    while not lost.batches:
        await asyncio.sleep(0)
    replacing = asyncio.create_task(batcher.replace(lost))
    await asyncio.sleep(0)
    with pytest.raises(ScorerError, match="opened again"):
        await batcher.score([picture(9)])
    lost.gate.set()
    await replacing
    await first
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert any(getattr(one, "kind", None) is Kind.DEVICE for one in ended)
    assert batcher.scorer is not lost
    assert await batcher.score([picture(9)]) == [Outcome(9.0)]
