"""Items from a thread: in order, with their errors, and never waited for when the thread hangs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from daemon.errors import Kind, VideoError
from daemon.runtime import stall
from daemon.runtime.stream import ThreadStream


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall, "SLICE_SECONDS", 0.02)


async def test_items_come_in_order_and_the_thread_ends() -> None:
    before = threading.active_count()
    async with ThreadStream(iter(range(100)), name="count", stall_seconds=5.0, what="it") as items:
        assert [item async for item in items] == list(range(100))
    while threading.active_count() > before:
        await asyncio.sleep(0)


async def test_leaving_early_ends_the_reading() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            number = 0
            while True:
                number += 1
                yield number
        finally:
            closed.set()

    async with ThreadStream(endless(), name="endless", stall_seconds=5.0, what="it") as items:
        async for item in items:
            if item == 3:
                break
    assert await asyncio.to_thread(closed.wait, 10.0)


async def test_an_error_follows_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("after one")

    async with ThreadStream(broken(), name="broken", stall_seconds=5.0, what="it") as items:
        assert await anext(items) == 1
        with pytest.raises(ValueError, match="after one"):
            await anext(items)


async def test_a_reader_that_decodes_without_giving_anything_gets_on() -> None:
    count = 0
    told = []

    def searching() -> Iterator[str]:
        nonlocal count
        while len(told) < 20:
            count += 1
            threading.Event().wait(0.005)
        yield "found"

    async with ThreadStream(
        searching(),
        name="search",
        stall_seconds=0.1,
        what="it",
        progress=lambda: count,
        on_progress=lambda: told.append(count),
    ) as items:
        assert [item async for item in items] == ["found"]
    assert len(told) >= 20


async def test_a_thread_that_hangs_is_given_up_and_known_to_be_alive() -> None:
    release = threading.Event()

    def hanging() -> Iterator[int]:
        release.wait(30)
        yield 1

    async with ThreadStream(hanging(), name="hang", stall_seconds=0.1, what="the decoder") as items:
        with pytest.raises(VideoError, match="the decoder gave nothing") as caught:
            await anext(items)
    assert caught.value.kind is Kind.STUCK
    assert not await items.join(0.01)
    release.set()
    assert await items.join(10.0)
