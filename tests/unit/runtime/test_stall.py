"""What hangs is given up; what is slow, or was asleep with the whole process, is not."""

from __future__ import annotations

import asyncio
import threading

import pytest

from daemon.errors import Kind, VideoError
from daemon.runtime import stall
from daemon.runtime.stall import run_in_abandonable_thread, with_stall_timeout


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall, "SLICE_SECONDS", 0.02)


async def test_what_comes_in_time_is_given() -> None:
    async def quick() -> int:
        return 7

    assert await with_stall_timeout(quick(), 5.0, "it") == 7


async def test_an_error_of_the_work_is_its_own() -> None:
    async def broken() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await with_stall_timeout(broken(), 5.0, "it")


async def test_silence_is_given_up_and_the_work_is_cancelled() -> None:
    gone = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    with pytest.raises(VideoError, match="the disk gave nothing for") as caught:
        await with_stall_timeout(never(), 0.1, "the disk")
    assert caught.value.kind is Kind.STUCK
    await asyncio.wait_for(gone.wait(), 5.0)


async def test_work_that_gets_on_may_take_as_long_as_it_likes() -> None:
    ticks = iter(range(30))
    done = asyncio.Event()

    def progress() -> int:
        tick = next(ticks, None)
        if tick is None:
            done.set()
        return tick or 0

    assert await with_stall_timeout(done.wait(), 0.1, "it", progress) is True


async def test_a_process_that_slept_has_not_been_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that lasts a day, as seen by whoever was suspended, is one slice."""
    monkeypatch.setattr(stall, "SLICE_SECONDS", 1.0)
    waits: list[float] = []
    done = asyncio.Event()
    wait = asyncio.wait

    async def asleep(tasks: object, timeout: float) -> object:
        waits.append(timeout)
        if len(waits) == 2:
            done.set()
        return await wait(tasks, timeout=0.01)  # type: ignore[call-overload]

    monkeypatch.setattr(asyncio, "wait", asleep)
    assert await with_stall_timeout(done.wait(), 3.0, "it") is True
    assert waits == [1.0, 1.0]


async def test_threads_of_their_own_do_not_keep_each_other_waiting() -> None:
    """More of them than any pool has threads."""
    release = threading.Event()
    hanging = [asyncio.create_task(run_in_abandonable_thread(lambda: release.wait(30), "hang")) for _ in range(50)]
    assert await asyncio.wait_for(run_in_abandonable_thread(lambda: 3, "free"), 10.0) == 3
    release.set()
    assert all(await asyncio.gather(*hanging))


async def test_what_a_thread_raises_is_raised_here() -> None:
    def broken() -> int:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        await run_in_abandonable_thread(broken, "broken")


async def test_loading_is_no_hang_within_its_own_bound_and_is_one_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall, "SLICE_SECONDS", 0.01)
    loaded, told = asyncio.Event(), []

    def tell() -> None:
        told.append(1)
        if len(told) == 3:
            loaded.set()

    async with asyncio.timeout(10):
        assert await stall.while_loading(loaded.wait(), tell, 60.0)
    assert len(told) == 3
    told.clear()
    late = asyncio.create_task(stall.while_loading(asyncio.sleep(0.3, "late"), lambda: told.append(1), 0.05))
    assert await late == "late"
    assert len(told) == 5, "after its bound nothing is told any more"


async def test_what_goes_wrong_in_loading_is_raised() -> None:
    async def fails() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        await stall.while_loading(fails(), lambda: None)
