"""What arrives in the folder, and what becomes of it: on real files, with a real database."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import EventDict

from daemon.config.watch import WatchConfig
from daemon.errors import Kind, VideoError
from daemon.inbox import identity, ingestor, inotify
from daemon.inbox.ingestor import Ingestor
from daemon.model import FileIdentity, Status, VideoRecord
from daemon.runtime.heartbeat import Heartbeats
from daemon.store.store import Store

PATIENCE_SECONDS = 20.0


@asynccontextmanager
async def arrivals(inbox: Path, store: Store, **options: Any) -> AsyncIterator[Ingestor]:
    config = WatchConfig(path=inbox, settle_seconds=0.05, rescan_seconds=0.1, mode="native")
    watching = Ingestor(config, store, lambda: None, 0.1, **options)
    await watching.start()
    task = asyncio.create_task(watching.run())
    try:
        yield watching
        assert not task.done() or task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await watching.stop()


async def row(store: Store, path: Path, wanted: Callable[[VideoRecord], bool] = lambda _: True) -> VideoRecord:
    """The newest row of a path once it is as wanted."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            rows = await store.videos.at_path(path)
            if rows and wanted(rows[0]):
                return rows[0]
            await asyncio.sleep(0.01)


async def told(logged: list[EventDict], event: str, times: int = 1) -> list[EventDict]:
    """What the log says of an event once it has come so many times: a row is seen before its line is written."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found := [entry for entry in logged if entry["event"] == event]) < times:
            await asyncio.sleep(0.01)
    return found


def queued(record: VideoRecord) -> bool:
    return record.status is Status.QUEUED


def put(path: Path, content: bytes = b"film") -> Path:
    """Whole at once, so that nothing is taken half."""
    hidden = path.with_name(f".{path.name}")
    hidden.write_bytes(content)
    return hidden.rename(path)


async def end(store: Store, record: VideoRecord, kind: Kind, status: Status = Status.FAILED) -> None:
    await store.queue.claim(Status.QUEUED, Status.SCORING, [record.id])
    await store.queue.fail(record.id, status, VideoError(kind, "a reason"))


async def test_a_file_from_another_age_is_taken_like_any(inbox: Path, store: Store) -> None:
    """ext4 keeps times to the year 2446, a database of 64 bits nanoseconds to 2262."""
    for name, year in (("late.mp4", 2400), ("early.mp4", 1600)):
        path = put(inbox / name, name.encode())
        try:
            os.utime(path, ns=(0, (year - 1970) * 31_556_952 * 10**9))
        except OverflowError:
            os.utime(path, (0, (year - 1970) * 31_556_952))
    async with arrivals(inbox, store):
        for name in ("late.mp4", "early.mp4"):
            record = await row(store, inbox / name, queued)
            look = identity.mtime_ns((inbox / name).stat())
            assert record.file.mtime_ns == look
            assert -(2**63) <= look < 2**63
    assert await store.videos.unknown([(record.file.path, record.file.size_bytes, record.file.mtime_ns)]) == []


async def test_an_error_that_nobody_foresaw_refuses_its_file_alone(
    inbox: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = identity.fingerprint

    def fingerprint(path: Path) -> Any:
        if path.name == "odd.mp4":
            raise RuntimeError("what is this")
        return take(path)

    monkeypatch.setattr(identity, "fingerprint", fingerprint)
    async with arrivals(inbox, store):
        put(inbox / "odd.mp4")
        odd = await row(store, inbox / "odd.mp4")
        assert (odd.status, odd.error_kind) == (Status.FAILED, Kind.INTERNAL)
        put(inbox / "good.mp4", b"another")
        await row(store, inbox / "good.mp4", queued)


async def test_a_file_that_cannot_be_read_is_said_once_and_taken_when_it_can(
    inbox: Path, store: Store, monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    take, tries, given = identity.fingerprint, [], asyncio.Event()

    def fingerprint(path: Path) -> Any:
        tries.append(path)
        if not given.is_set():
            raise VideoError(Kind.UNREADABLE, f"{path} may not be read by this user")
        return take(path)

    monkeypatch.setattr(identity, "fingerprint", fingerprint)
    path = put(inbox / "secret.mp4")
    async with arrivals(inbox, store):
        refused = await row(store, path)
        assert (refused.status, refused.error_kind) == (Status.FAILED, Kind.UNREADABLE)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(tries) < 3:
                await asyncio.sleep(0.01)
        given.set()
        record = await row(store, path, queued)
        await told(logged, "video.queued")
    assert record.id == refused.id, "its row is the one that said so"
    assert record.file.fingerprint
    assert [event["event"] for event in logged if event["event"].startswith("video.")] == [
        "video.failed",
        "video.queued",
    ]


async def test_a_file_that_could_not_be_read_is_forgotten_once_its_name_is_gone(
    inbox: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = put(inbox / "a.mp4"), put(inbox / "other.mp4")
    read = identity.fingerprint

    def unreadable(path: Path) -> Any:
        if path.name != "b.mp4":
            raise VideoError(Kind.UNREADABLE, f"{path} may not be read by this user")
        return read(path)

    monkeypatch.setattr(identity, "fingerprint", unreadable)
    async with arrivals(inbox, store):
        await row(store, path)
        await row(store, other)
        path.rename(inbox / "b.mp4")
        await row(store, inbox / "b.mp4", queued)
        async with asyncio.timeout(20):
            while await store.videos.at_path(path):
                await asyncio.sleep(0.02)
        assert [record.file.path for record in await store.videos.at_path(other)] == [other]


async def test_a_retry_of_a_file_that_was_never_read_takes_it_anew(inbox: Path, store: Store) -> None:
    path = put(inbox / "empty.mp4", b"")
    async with arrivals(inbox, store):
        refused = await row(store, path)
        assert (refused.status, refused.error_kind) == (Status.REJECTED, Kind.EMPTY)
        assert await store.queue.requeue([refused.id]) == 1
        assert await store.queue.claim(Status.QUEUED, Status.SCORING) is None, "there is nothing that could be proven"
        again = await row(store, path, lambda found: found.status is Status.REJECTED)
    assert again.error_kind == Kind.EMPTY


@pytest.mark.parametrize("name", ["film.mp4", "other.mp4"])
async def test_a_film_that_failed_is_tried_again_when_it_is_dropped_again(
    inbox: Path, store: Store, name: str, logged: list[EventDict]
) -> None:
    path = put(inbox / "film.mp4")
    async with arrivals(inbox, store):
        first = await row(store, path, queued)
        await end(store, first, Kind.DECODE)
        path.unlink()
        again = await row(store, put(inbox / name), queued)
        said = await told(logged, "video.queued", times=2)
    assert again.id == first.id
    assert [event.get("again") for event in said] == [None, True]


async def test_a_film_that_is_done_is_known_when_it_is_dropped_again(
    inbox: Path, store: Store, logged: list[EventDict]
) -> None:
    path = put(inbox / "film.mp4")
    async with arrivals(inbox, store):
        first = await row(store, path, queued)
        await store.queue.set_status(first.id, Status.DONE)
        path.unlink()
        moved = await row(store, put(inbox / "other.mp4"))
        said = await told(logged, "video.known")
    assert (moved.id, moved.status) == (first.id, Status.DONE)
    assert [(event["video"], event["status"]) for event in said] == [(str(inbox / "other.mp4"), "done")]


async def test_a_duplicate_that_is_touched_takes_the_place_of_an_original_that_is_gone(
    inbox: Path, store: Store
) -> None:
    original = put(inbox / "a.mp4")
    async with arrivals(inbox, store):
        first = await row(store, original, queued)
        copy = put(inbox / "b.mp4")
        noted = await row(store, copy)
        assert noted.error_kind == Kind.DUPLICATE
        original.unlink()
        await end(store, first, Kind.MISSING, Status.MISSING)
        os.utime(copy)
        taken = await row(store, copy, queued)
    assert taken.file.fingerprint == first.file.fingerprint


async def test_arrival_has_a_heartbeat_while_it_works_and_rests_in_between(
    inbox: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    hearts = Heartbeats(10.0, lambda: now)
    async with arrivals(inbox, store, hearts=hearts) as watching:
        await row(store, put(inbox / "a.mp4"), queued)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while hearts.stalled() or hearts._beats:
                await asyncio.sleep(0.01)
        entered, release = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def hang() -> list[Any]:
            loop.call_soon_threadsafe(entered.set)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
            return []

        monkeypatch.setattr(watching, "_looks", hang)
        await asyncio.wait_for(entered.wait(), PATIENCE_SECONDS)
        now = 11.0
        assert hearts.stalled() == (ingestor.STAGE,)
        release.set()


async def test_a_kernel_that_runs_out_of_watches_meanwhile_is_noticed(
    inbox: Path, store: Store, monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    """New subfolders would not be watched, and nobody would say so."""
    async with arrivals(inbox, store) as watching:
        assert watching.mode == "native"

        def no_watch_left(*_: object) -> None:
            raise OSError(errno.ENOSPC, "inotify watch limit reached")

        monkeypatch.setattr(inotify, "require_spare_watch", no_watch_left)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while watching.mode == "native":
                await asyncio.sleep(0.01)
        await row(store, put(inbox / "a.mp4"), queued)
    assert [event["event"] for event in logged if event["event"] == "watch.limit"] == ["watch.limit"]


async def test_a_placeholder_that_was_empty_twice_is_one_film_when_it_is_filled(inbox: Path, store: Store) -> None:
    path = put(inbox / "film.mp4", b"")
    async with arrivals(inbox, store):
        first = await row(store, path)
        os.utime(path, (1, 1))
        await row(store, path, lambda found: found.id != first.id)
        path.write_bytes(b"film")
        record = await row(store, path, queued)
    rows = await store.videos.same_content(record.file.fingerprint)
    assert [found.id for found in rows] == [record.id]


async def test_an_unreadable_file_is_said_once_whatever_was_said_of_it_since(
    inbox: Path, store: Store, monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    tries: list[Path] = []

    def unreadable(path: Path) -> Any:
        tries.append(path)
        raise VideoError(Kind.UNREADABLE, f"{path} may not be read by this user")

    monkeypatch.setattr(identity, "fingerprint", unreadable)
    path = put(inbox / "secret.mp4")
    async with arrivals(inbox, store):
        await row(store, path)
        # What `once` says of it.
        await store.queue.refuse(FileIdentity(path, "", 0, 0), Status.FAILED, VideoError(Kind.UNREADABLE, "the same"))
        before = len(tries)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(tries) < before + 3:
                await asyncio.sleep(0.01)
    assert [event["event"] for event in logged if event["event"] == "video.failed"] == ["video.failed"]


async def test_a_folder_that_is_away_is_looked_for_at_every_rescan_and_no_more(
    inbox: Path, store: Store, monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    monkeypatch.setattr(ingestor, "ALIVE_SECONDS", 0.02)
    config = WatchConfig(path=inbox, settle_seconds=0.05, rescan_seconds=3600.0, mode="native")
    watching = Ingestor(config, store, lambda: None, 0.1)
    await watching.start()
    task = asyncio.create_task(watching.run())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            inbox.rmdir()
            await told(logged, "watch.unavailable")
            steps = 0
            step = watching._step

            async def counted() -> bool:
                nonlocal steps
                steps += 1
                return await step()

            monkeypatch.setattr(watching, "_step", counted)
            while steps < 5:
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await watching.stop()
    assert len([event for event in logged if event["event"] == "watch.unavailable"]) == 1


BIG = bytes(4 * identity.BLOCK_BYTES)


def other_middle(content: bytes, number: int) -> bytes:
    at = identity.BLOCK_BYTES + 100
    return content[:at] + bytes([number]) + content[at + 1 :]


async def statuses(store: Store, path: Path) -> dict[int, Status]:
    return {record.id: record.status for record in await store.videos.at_path(path)}


def has_size(size_bytes: int, record: VideoRecord) -> bool:
    return record.file.size_bytes == size_bytes


async def test_a_recording_that_pauses_ends_as_one_current_video(inbox: Path, store: Store) -> None:
    path = inbox / "cam1.ts"
    async with arrivals(inbox, store):
        for _ in range(3):
            with path.open("ab") as file:
                file.write(BIG)
            size = path.stat().st_size
            taken = await row(store, path, partial(has_size, size))
            await store.queue.set_status(taken.id, Status.DONE)
    assert await statuses(store, path) == {1: Status.REPLACED, 2: Status.REPLACED, 3: Status.DONE}
    assert [(await store.videos.get(one)).replaced_by for one in (1, 2)] == [2, 3]
    assert (await store.videos.find("cam1.ts")).id == 3


@pytest.mark.parametrize("way", ["in place", "by a rename", "by a rename, with the old times"])
async def test_other_content_under_a_name_is_new_and_what_was_there_is_replaced(
    inbox: Path, store: Store, way: str
) -> None:
    path = put(inbox / "film.mp4", BIG)
    async with arrivals(inbox, store):
        first = await row(store, path)
        # Its scoring has read all of it.
        await store.videos.keep_digest(first.id, str(identity.identify(path).digest))
        await store.queue.set_status(first.id, Status.DONE)
        look = path.stat()
        if way == "in place":
            path.write_bytes(other_middle(BIG, 1))
        else:
            new = inbox / ".new"
            new.write_bytes(other_middle(BIG, 1))
            if way.endswith("old times"):
                os.utime(new, ns=(look.st_atime_ns, look.st_mtime_ns))
            new.rename(path)
        second = await row(store, path, lambda record: record.id != first.id)
    assert (second.status, second.file.fingerprint) == (Status.QUEUED, first.file.fingerprint)
    assert await statuses(store, path) == {first.id: Status.REPLACED, second.id: Status.QUEUED}


async def test_the_same_content_under_a_new_inode_is_read_once_and_then_not_again(
    inbox: Path, store: Store, monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    """File systems that give new numbers at each mount would have all of their files read at each of them."""
    path = put(inbox / "film.mp4", BIG)
    reads = []
    take = identity.fingerprint
    monkeypatch.setattr(identity, "fingerprint", lambda path, **named: reads.append(path) or take(path, **named))
    async with arrivals(inbox, store):
        first = await row(store, path)
        await store.videos.keep_digest(first.id, str(identity.identify(path).digest))
        await store.queue.set_status(first.id, Status.DONE)
        for _ in range(2):
            look = path.stat()
            new = inbox / ".new"
            new.write_bytes(BIG)
            os.utime(new, ns=(look.st_atime_ns, look.st_mtime_ns))
            new.rename(path)
            reads.clear()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (await store.videos.get(first.id)).file.inode is not None:
                    await asyncio.sleep(0.01)
        # A listing after the second rename found nothing to read.
        put(inbox / "next.mp4", b"next")
        await row(store, inbox / "next.mp4")
    assert await statuses(store, path) == {first.id: Status.DONE}
    assert path not in reads


async def test_two_films_that_differ_between_the_blocks_are_two_and_a_copy_is_one(inbox: Path, store: Store) -> None:
    async with arrivals(inbox, store):
        one = await row(store, put(inbox / "one.mp4", BIG))
        two = await row(store, put(inbox / "two.mp4", other_middle(BIG, 7)))
        copy = await row(store, put(inbox / "copy.mp4", BIG))
    assert (one.status, two.status) == (Status.QUEUED, Status.QUEUED)
    assert (copy.status, copy.error_kind) == (Status.REJECTED, Kind.DUPLICATE)
    assert f"(video {one.id})" in str(copy.error)


async def test_a_file_that_was_only_touched_is_the_same_video(inbox: Path, store: Store) -> None:
    path = put(inbox / "film.mp4", BIG)
    async with arrivals(inbox, store):
        first = await row(store, path)
        await store.videos.keep_digest(first.id, str(identity.identify(path).digest))
        await store.queue.set_status(first.id, Status.DONE)
        os.utime(path)
        now = identity.mtime_ns(path.stat())
        again = await row(store, path, lambda record: record.file.mtime_ns == now)
    assert (again.id, again.status) == (first.id, Status.DONE)
