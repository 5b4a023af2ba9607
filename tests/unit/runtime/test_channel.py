"""The channel between a producing thread and the loop: order, bound, end, errors, stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from daemon.runtime import channel as bridge
from daemon.runtime.channel import Channel, ChannelStopped

PATIENCE_SECONDS = 10.0

Start = Callable[[Callable[[], object]], threading.Thread]


@pytest.fixture
def start() -> Iterator[Start]:
    """Run a function in a thread; every thread has ended when the test ends."""
    threads: list[threading.Thread] = []

    def begin(work: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield begin
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


@pytest.fixture
def only_notified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A producer that is not told to go on waits longer than any test."""
    monkeypatch.setattr(bridge, "_WAIT_SECONDS", 600.0)


async def turns(count: int = 5) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def ended(thread: threading.Thread) -> bool:
    await asyncio.to_thread(thread.join, PATIENCE_SECONDS)
    return not thread.is_alive()


async def drain(channel: Channel[int], max_items: int) -> list[int]:
    items: list[int] = []
    while batch := await asyncio.wait_for(channel.take(max_items), PATIENCE_SECONDS):
        assert len(batch) <= max_items
        items += batch
    return items


async def test_items_come_out_in_the_order_they_went_in(start: Start, only_notified: None) -> None:
    channel: Channel[int] = Channel(100)

    def produce() -> None:
        for number in range(500):
            channel.put(number, 7)
        channel.finish()

    start(produce)
    assert await drain(channel, 4) == list(range(500))


async def test_never_more_bytes_wait_than_the_capacity(start: Start, only_notified: None) -> None:
    channel: Channel[int] = Channel(10)
    seen: list[int] = []

    def produce() -> None:
        for number in range(300):
            channel.put(number, 1 + number % 6)
            seen.append(channel.queued_bytes)
        channel.finish()

    start(produce)
    await drain(channel, 3)
    assert max(seen) <= 10
    assert channel.queued_bytes == 0


async def test_a_full_channel_holds_the_producer_until_something_is_taken(start: Start, only_notified: None) -> None:
    channel: Channel[int] = Channel(10)
    passed = threading.Event()

    def produce() -> None:
        channel.put(1, 6)
        channel.put(2, 6)
        passed.set()

    start(produce)
    # Fewer than asked for are only given out because the producer has no room to go on.
    assert await asyncio.wait_for(channel.take(5), PATIENCE_SECONDS) == [1]
    assert await asyncio.to_thread(passed.wait, PATIENCE_SECONDS)
    assert channel.queued_bytes == 6


async def test_an_item_that_fits_exactly_does_not_wait() -> None:
    channel: Channel[str] = Channel(10)
    channel.put("a", 4)
    channel.put("b", 6)
    assert channel.queued_bytes == 10
    assert await channel.take(2) == ["a", "b"]


async def test_an_item_larger_than_the_capacity_passes_through_an_empty_channel() -> None:
    channel: Channel[str] = Channel(10)
    channel.put("huge", 1000)
    assert channel.queued_bytes == 1000
    assert await channel.take(1) == ["huge"]


async def test_an_item_larger_than_the_capacity_waits_until_the_channel_is_empty(
    start: Start, only_notified: None
) -> None:
    channel: Channel[str] = Channel(10)
    held: list[int] = []

    def produce() -> None:
        channel.put("small", 1)
        channel.put("smaller", 1)
        channel.put("huge", 1000)
        held.append(channel.queued_bytes)
        channel.finish()

    start(produce)
    assert await asyncio.wait_for(channel.take(1), PATIENCE_SECONDS) == ["small"]
    assert channel.queued_bytes <= 1
    assert await asyncio.wait_for(channel.take(1), PATIENCE_SECONDS) == ["smaller"]
    assert await asyncio.wait_for(channel.take(1), PATIENCE_SECONDS) == ["huge"]
    assert await asyncio.wait_for(channel.take(1), PATIENCE_SECONDS) == []
    assert held[0] in (0, 1000)


async def test_take_waits_until_a_whole_batch_is_there() -> None:
    channel: Channel[int] = Channel(100)
    taking = asyncio.create_task(channel.take(3))
    channel.put(1, 1)
    channel.put(2, 1)
    await turns()
    assert not taking.done()
    channel.put(3, 1)
    assert await asyncio.wait_for(taking, PATIENCE_SECONDS) == [1, 2, 3]


async def test_take_gives_no_more_than_it_was_asked_for() -> None:
    channel: Channel[int] = Channel(100)
    for number in range(5):
        channel.put(number, 1)
    assert await channel.take(2) == [0, 1]
    assert channel.queued_bytes == 3


async def test_the_end_gives_out_what_is_left_and_then_nothing() -> None:
    channel: Channel[int] = Channel(100)
    channel.put(1, 1)
    channel.finish()
    assert await channel.take(8) == [1]
    assert await channel.take(8) == []
    assert await channel.take(8) == []


async def test_the_end_wakes_a_reader_that_waits(start: Start) -> None:
    channel: Channel[int] = Channel(100)
    taking = asyncio.create_task(channel.take(1))
    await turns()
    start(channel.finish)
    assert await asyncio.wait_for(taking, PATIENCE_SECONDS) == []


async def test_the_producers_error_is_raised_after_the_items_before_it() -> None:
    channel: Channel[int] = Channel(100)
    channel.put(1, 1)
    channel.put(2, 1)
    channel.finish(ValueError("frame 2 is broken"))
    assert await channel.take(1) == [1]
    assert await channel.take(5) == [2]
    with pytest.raises(ValueError, match="frame 2 is broken"):
        await channel.take(5)


async def test_stop_frees_a_producer_that_waits_for_room(start: Start, only_notified: None) -> None:
    channel: Channel[int] = Channel(10)
    stopped = threading.Event()

    def produce() -> None:
        try:
            for number in (1, 2, 3):
                channel.put(number, 6)
        except ChannelStopped:
            stopped.set()

    producer = start(produce)
    # Given out early, so the producer was waiting for room; after the second it waits again.
    assert await asyncio.wait_for(channel.take(5), PATIENCE_SECONDS) == [1]
    channel.stop()
    assert await ended(producer)
    assert stopped.is_set()
    assert channel.queued_bytes == 0


async def test_a_put_after_stop_is_refused_and_keeps_nothing() -> None:
    channel: Channel[int] = Channel(10)
    channel.stop()
    with pytest.raises(ChannelStopped):
        channel.put(1, 1)
    assert channel.queued_bytes == 0


async def test_stop_drops_what_waits_and_may_be_called_again() -> None:
    channel: Channel[int] = Channel(10)
    channel.put(1, 6)
    channel.stop()
    channel.stop()
    assert channel.queued_bytes == 0
    channel.finish()
    assert await channel.take(1) == []


async def test_a_reader_that_waits_during_stop_gets_the_end_that_the_producer_sends(
    start: Start, only_notified: None
) -> None:
    channel: Channel[int] = Channel(10)
    go_on = threading.Event()

    def produce() -> None:
        channel.put(1, 1)
        go_on.wait(PATIENCE_SECONDS)
        try:
            channel.put(2, 1)
        except ChannelStopped:
            channel.finish()

    start(produce)
    taking = asyncio.create_task(channel.take(5))
    await turns()
    channel.stop()
    go_on.set()
    assert await asyncio.wait_for(taking, PATIENCE_SECONDS) == []


def test_a_producer_whose_loop_has_closed_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "_WAIT_SECONDS", 0.001)

    async def make() -> Channel[int]:
        return Channel(10)

    channel = asyncio.run(make())

    def produce() -> None:
        channel.put(1, 6)
        channel.put(2, 6)

    with pytest.raises(ChannelStopped):
        produce()
    channel.finish()


def test_a_channel_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        Channel(10)
