"""Whatever the sizes, the capacity and the pace of reading: nothing lost, nothing reordered, the bound held."""

from __future__ import annotations

import asyncio
import itertools
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.runtime.channel import Channel, ChannelStopped

PATIENCE_SECONDS = 10.0

sizes = st.lists(st.integers(0, 40), max_size=60)
capacities = st.integers(1, 50)
paces = st.lists(st.integers(1, 9), min_size=1, max_size=5)


class Producer:
    """Puts numbered items and notes how many bytes wait after each."""

    def __init__(self, channel: Channel[int], sizes: list[int], error: Exception | None = None) -> None:
        self.held: list[int] = []
        self.accepted = 0
        self._thread = threading.Thread(target=self._run, args=(channel, sizes, error), daemon=True)
        self._thread.start()

    def _run(self, channel: Channel[int], sizes: list[int], error: Exception | None) -> None:
        try:
            for number, nbytes in enumerate(sizes):
                channel.put(number, nbytes)
                self.accepted += 1
                self.held.append(channel.queued_bytes)
        except ChannelStopped:
            error = None
        channel.finish(error)

    def join(self) -> None:
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()


@settings(max_examples=60)
@given(sizes=sizes, capacity=capacities, pace=paces)
def test_everything_arrives_once_in_order_and_the_bound_holds(sizes: list[int], capacity: int, pace: list[int]) -> None:
    async def run() -> tuple[list[int], Producer]:
        channel: Channel[int] = Channel(capacity)
        producer = Producer(channel, sizes)
        received: list[int] = []
        for max_items in itertools.cycle(pace):
            batch = await asyncio.wait_for(channel.take(max_items), PATIENCE_SECONDS)
            if not batch:
                break
            assert len(batch) <= max_items
            received += batch
        producer.join()
        assert channel.queued_bytes == 0
        return received, producer

    received, producer = asyncio.run(run())
    assert received == list(range(len(sizes)))
    # Only an item that is larger than the whole capacity may exceed it, and then it is alone.
    oversized = {size for size in sizes if size > capacity}
    assert all(held <= capacity or held in oversized for held in producer.held)


@settings(max_examples=30)
@given(sizes=sizes, capacity=capacities, pace=paces)
def test_an_error_comes_after_everything_before_it(sizes: list[int], capacity: int, pace: list[int]) -> None:
    async def run() -> tuple[list[int], bool]:
        channel: Channel[int] = Channel(capacity)
        producer = Producer(channel, sizes, ValueError("broken"))
        received: list[int] = []
        raised = False
        try:
            for max_items in itertools.cycle(pace):
                batch = await asyncio.wait_for(channel.take(max_items), PATIENCE_SECONDS)
                assert batch
                received += batch
        except ValueError:
            raised = True
        producer.join()
        return received, raised

    received, raised = asyncio.run(run())
    assert raised
    assert received == list(range(len(sizes)))


@settings(max_examples=30)
@given(sizes=sizes, capacity=capacities, batches=st.integers(0, 5))
def test_stop_ends_the_producer_wherever_it_is(sizes: list[int], capacity: int, batches: int) -> None:
    async def run() -> tuple[list[int], Producer]:
        channel: Channel[int] = Channel(capacity)
        producer = Producer(channel, sizes)
        received: list[int] = []
        for _ in range(batches):
            received += await asyncio.wait_for(channel.take(3), PATIENCE_SECONDS)
        channel.stop()
        await asyncio.to_thread(producer.join)
        assert channel.queued_bytes == 0
        return received, producer

    received, producer = asyncio.run(run())
    assert received == list(range(len(received)))
    assert len(received) <= producer.accepted
