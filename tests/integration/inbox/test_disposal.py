"""``watch.after`` on real files and a real store: what it does, what it leaves alone, and a kill at every step."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import pytest

from daemon.config.output import OutputConfig
from daemon.config.service import DatabaseConfig
from daemon.config.watch import WatchConfig
from daemon.errors import ConfigError, Kind, StoreError
from daemon.inbox import disposal, identity, source_file, writers
from daemon.inbox.disposal import SourceDisposal
from daemon.model import FileIdentity, Method, Selection, Status, Still, VideoInfo, VideoRecord
from daemon.runtime.shared_folder import SharedFolder
from daemon.store.sources import Sources
from daemon.store.store import Store
from tests.clock import Clock

CONTENT = b"a film " * 1000


class Place:
    """A watch folder with one video that is done, its stills, and an archive."""

    def __init__(self, root: Path, store: Store) -> None:
        self.inbox, self.archive, self.output = (root / name for name in ("inbox", "archive", "stills"))
        for folder in (self.inbox, self.archive, self.output):
            folder.mkdir()
        self.store = store
        self.said: list[tuple[str, dict[str, Any]]] = []

    async def done(self, name: str = "film.mp4", action: str | None = "move", stills: int = 2) -> int:
        """A video that is done, with what is due for its source; returns its id."""
        source = self.inbox / name
        source.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(source):
            source.write_bytes(CONTENT + name.encode())
        video_id = await self.store.queue.enqueue(identity.fingerprint(source))
        made = []
        for rank in range(1, stills + 1):
            path = self.output / f"{source.stem}_r{rank:02}.png"
            path.write_bytes(b"still")
            made.append(Still(rank, rank, 0.1, 3.0, path, 8, 8, 5, "0" * 64, Method.BATCH))
        await self.store.selections.finish(video_id, Selection((), stills, None, {}), made, action)
        return video_id

    def disposal(self, action: str = "move", monotonic: Callable[[], float] = time.monotonic) -> SourceDisposal:
        config = WatchConfig.model_validate({"path": self.inbox, "after": action, "after_path": self.archive})
        return SourceDisposal(config, self.store, monotonic)

    async def state(self, video_id: int) -> str:
        row = await self.store.queries.source(video_id)
        assert row is not None
        return str(row["state"])


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    store = await Store.open(DatabaseConfig(path=tmp_path / "stillwatch.db"))
    place = Place(tmp_path, store)

    class Log:
        def bind(self, **_: Any) -> Log:
            return self

        def info(self, event: str, **facts: Any) -> None:
            place.said.append((event, facts))

        warning = error = info

    monkeypatch.setattr(disposal, "log", Log())
    yield place
    await store.close()


class Killed(BaseException):
    """Stands for the end of the process."""


# Move


async def test_a_source_is_moved_with_its_subfolder_and_the_video_stays_done(place: Place) -> None:
    video_id = await place.done("camera/film.mp4")
    content = (place.inbox / "camera/film.mp4").read_bytes()
    assert not await place.disposal()._round()
    target = place.archive / "camera" / "film.mp4"
    assert target.read_bytes() == content
    assert not (place.inbox / "camera/film.mp4").exists()
    record = await place.store.videos.get(video_id)
    assert (record.file, record.status) == (identity.fingerprint(target), Status.DONE)
    assert (await place.state(video_id), place.said) == ("moved", [("source.moved", {"to": str(target)})])


async def test_a_name_that_is_taken_gets_a_number_and_nothing_is_replaced(place: Place) -> None:
    for name in ("film.mp4", "film-2.mp4"):
        (place.archive / name).write_bytes(b"another")
    video_id = await place.done()
    await place.disposal()._round()
    assert (await place.store.videos.get(video_id)).file.path == place.archive / "film-3.mp4"
    assert (place.archive / "film.mp4").read_bytes() == (place.archive / "film-2.mp4").read_bytes() == b"another"


@pytest.mark.parametrize("content", [b"another", b""])
async def test_a_name_that_is_taken_in_the_last_moment_is_not_replaced(
    place: Place, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    video_id = await place.done()
    one = place.disposal()
    record_target = one._store.sources.record_target

    async def aim_and_lose(video_id: int, target: Path) -> None:
        await record_target(video_id, target)
        if target.name == "film.mp4":
            target.write_bytes(content)

    monkeypatch.setattr(one._store.sources, "record_target", aim_and_lose)
    await one._round()
    assert (await place.store.videos.get(video_id)).file.path.name == "film-2.mp4"
    assert (place.archive / "film.mp4").read_bytes() == content


def other_device(monkeypatch: pytest.MonkeyPatch) -> None:
    rename = SharedFolder.rename

    def refuse(self: SharedFolder, name: str, folder: SharedFolder, new: str) -> None:
        if self.path.name == "inbox":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(self, name, folder, new)

    monkeypatch.setattr(SharedFolder, "rename", refuse)


async def test_to_another_file_system_it_is_copied_whole_before_the_source_goes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_device(monkeypatch)
    video_id = await place.done()
    source = place.inbox / "film.mp4"
    source.chmod(0o640)
    os.utime(source, ns=(1, 1_700_000_000_123_456_789))
    await place.store.videos.relocate(video_id, identity.fingerprint(source))
    before = source.read_bytes()
    await place.disposal()._round()
    target = place.archive / "film.mp4"
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (before, 0o640)
    assert target.stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert sorted(path.name for path in place.archive.iterdir()) == ["film.mp4"]
    assert not source.exists()
    assert (await place.store.videos.get(video_id)).file == identity.fingerprint(target)


async def test_between_real_file_systems(place: Place) -> None:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == place.inbox.stat().st_dev:
        pytest.skip("there is no second file system here")
    place.archive = memory / f"stillwatch-test-{os.getpid()}"
    try:
        video_id = await place.done()
        await place.disposal()._round()
        assert (await place.store.videos.get(video_id)).file.path == place.archive / "film.mp4"
        assert await place.state(video_id) == "moved"
    finally:
        for path in place.archive.iterdir():
            path.unlink()
        place.archive.rmdir()


async def test_a_full_disk_is_tried_again_and_leaves_nothing_behind(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await place.done()
    one = place.disposal()
    with monkeypatch.context() as patch:
        other_device(patch)
        patch.setattr(source_file.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
        for _ in range(2):
            assert await one._round()
        assert list(place.archive.iterdir()) == []
    assert [event for event, _ in place.said] == ["source.failed"]
    assert (place.inbox / "film.mp4").exists()
    assert not await one._round()
    assert await place.state(video_id) == "moved"


@pytest.mark.parametrize("looped", [False, True], ids=["first try", "other names were tried before"])
@pytest.mark.parametrize("below", ["holiday", "holiday/beach"])
async def test_a_file_where_a_folder_is_needed_is_said_once_and_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch, below: str, looped: bool
) -> None:
    video_id = await place.done(f"{below}/film.mp4")
    stands = place.archive / "holiday"
    stands.write_bytes(b"a file")
    if looped:
        await place.store.sources.record_target(video_id, place.archive / below / "film-2797.mp4")
    aimed: list[Path] = []
    record_target = place.store.sources.record_target

    async def count(video_id: int, target: Path) -> None:
        aimed.append(target)
        # The attendant must not go on for ever here.
        assert len(aimed) < 3
        await record_target(video_id, target)

    monkeypatch.setattr(place.store.sources, "record_target", count)
    one = place.disposal()
    for _ in range(2):
        assert await one._round()
    reason = f"{stands} is no folder, but stands where one is needed: move it away"
    assert (aimed, place.said) == ([], [("source.failed", {"reason": reason})])
    assert await place.state(video_id) == "due"
    stands.rename(stands.with_suffix(".txt"))
    assert not await one._round()
    assert (await place.store.videos.get(video_id)).file.path == place.archive / below / "film.mp4"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
async def test_a_folder_or_a_pipe_of_the_wanted_name_is_not_what_had_been_moved(
    place: Place, make: Callable[[Path], None]
) -> None:
    video_id = await place.done()
    make(place.archive / "film.mp4")
    await place.store.sources.record_target(video_id, place.archive / "film.mp4")
    assert not await place.disposal()._round()
    assert (await place.store.videos.get(video_id)).file.path == place.archive / "film-2.mp4"


async def test_another_file_in_the_place_of_a_source_that_has_arrived_is_not_removed(place: Place) -> None:
    video_id = await place.done()
    source, target, other = place.inbox / "film.mp4", place.archive / "film.mp4", place.inbox / "other.mp4"
    shutil.copy2(source, target)
    await place.store.sources.record_target(video_id, target)
    look = source.stat()
    other.write_bytes(b"o" * look.st_size)
    os.utime(other, ns=(look.st_atime_ns, look.st_mtime_ns))
    other.rename(source)
    assert not await place.disposal()._round()
    assert source.read_bytes() == b"o" * look.st_size
    assert await place.state(video_id) == "kept"


# Durable before anything is touched


async def test_sources_are_moved_while_others_read_the_same_connection(place: Place) -> None:
    ids = [await place.done(name) for name in ("one.mp4", "two.mp4", "three.mp4")]
    async with place.store.db.execute("SELECT * FROM videos") as reader:
        assert await reader.fetchone() is not None
        assert not await place.disposal()._round()
    assert [await place.state(video_id) for video_id in ids] == ["moved"] * 3


async def test_an_aim_is_in_the_log_that_is_synced_before_the_source_is_touched(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.done()
    synced: list[tuple[bytes, bool]] = []
    log = tmp_path / "stillwatch.db-wal"
    fsync = os.fsync

    def seen(handle: int) -> None:
        if os.path.samestat(os.fstat(handle), log.stat()):
            copy = tmp_path / f"power-failure-{len(synced)}.db"
            shutil.copy(tmp_path / "stillwatch.db", copy)
            Path(f"{copy}-wal").write_bytes(os.pread(handle, log.stat().st_size, 0))
            with closing(sqlite3.connect(copy)) as db:
                (target,) = db.execute("SELECT target FROM sources").fetchone()
            synced.append((target, (place.inbox / "film.mp4").exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", seen)
    # The log lies beside the database, not beside a link to it.
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.db").symlink_to(tmp_path / "stillwatch.db")
    other = await Store.open(DatabaseConfig(path=tmp_path / "elsewhere" / "link.db"))
    try:
        place.store, mine = other, place.store
        assert not await place.disposal()._round()
        place.store = mine
    finally:
        await other.close()
    assert synced == [(str(place.archive / "film.mp4"), True)]


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.EIO, Kind.DATABASE), (errno.ENOSPC, Kind.DISK_FULL), (errno.EDQUOT, Kind.DISK_FULL)]
)
async def test_a_log_that_cannot_be_synced_leaves_the_source_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch, code: int, kind: Kind
) -> None:
    video_id = await place.done()

    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(StoreError, match=r"stillwatch\.db-wal cannot be synced") as caught:
            await place.store.make_durable()
        assert caught.value.kind is kind
        assert await place.disposal()._round()
    assert (place.inbox / "film.mp4").exists()
    assert await place.state(video_id) == "due"


async def test_what_the_database_says_about_reading_is_a_store_error(place: Place) -> None:
    await place.done()
    await place.store.db.execute("ALTER TABLE stills RENAME TO gone")
    with pytest.raises(StoreError, match="no such table"):
        await place.store.sources.due()


# Delete


async def test_a_source_is_deleted_and_the_video_stays_done(place: Place) -> None:
    video_id = await place.done(action="delete")
    await place.disposal("delete")._round()
    assert not (place.inbox / "film.mp4").exists()
    assert (await place.store.videos.get(video_id)).status is Status.DONE
    assert (await place.state(video_id), place.said) == ("deleted", [("source.deleted", {})])


async def test_the_content_is_looked_at_again_before_a_deletion(place: Place) -> None:
    source = place.inbox / "film.mp4"
    video_id = await place.done(action="delete")
    look = source.stat()
    source.write_bytes(CONTENT + b"FILM.mp4")
    os.utime(source, ns=(look.st_atime_ns, look.st_mtime_ns))
    await place.disposal("delete")._round()
    assert source.exists()
    assert await place.state(video_id) == "kept"


# What is left alone


@pytest.mark.parametrize("action", ["move", "delete"])
@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (lambda p: (p.inbox / "film.mp4").write_bytes(b"longer" * 9000), "it was changed after it was scored"),
        (lambda p: os.utime(p.inbox / "film.mp4", (1, 1)), "it was changed after it was scored"),
        (lambda p: (p.output / "film_r02.png").unlink(), "its stills are not there as they were published"),
        (lambda p: (p.output / "film_r01.png").write_bytes(b""), "its stills are not there as they were published"),
    ],
    ids=["written", "touched", "no still", "empty still"],
)
async def test_what_is_not_as_expected_keeps_the_source(place: Place, action: str, trouble: Any, reason: str) -> None:
    video_id = await place.done(action=action)
    trouble(place)
    await place.disposal(action)._round()
    assert (place.inbox / "film.mp4").exists()
    assert (await place.state(video_id), place.said) == ("kept", [("source.kept", {"reason": reason})])
    assert list(place.archive.iterdir()) == []


async def test_a_video_without_a_still_keeps_its_source(place: Place) -> None:
    await place.done(action="delete", stills=0)
    await place.disposal("delete")._round()
    assert (place.inbox / "film.mp4").exists()


@pytest.mark.parametrize("action", ["move", "delete"])
async def test_a_symbolic_link_stays(place: Place, action: str) -> None:
    (place.inbox / "real.mp4").write_bytes(CONTENT)
    (place.inbox / "film.mp4").symlink_to(place.inbox / "real.mp4")
    await place.done(action=action)
    await place.disposal(action)._round()
    assert (place.inbox / "film.mp4").is_symlink()
    assert (place.inbox / "real.mp4").exists()
    assert place.said == [("source.kept", {"reason": "it is a symbolic link"})]


async def test_what_lies_behind_a_link_to_another_folder_stays(place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (place.inbox / "link").symlink_to(tmp_path / "elsewhere")
    await place.done("link/film.mp4", action="delete")
    await place.disposal("delete")._round()
    assert (tmp_path / "elsewhere" / "film.mp4").exists()


async def test_a_source_that_was_taken_by_another_path_of_the_watch_folder_is_not_moved(
    place: Place, tmp_path: Path
) -> None:
    real = place.inbox
    (tmp_path / "link").symlink_to(real)
    place.inbox = tmp_path / "link"
    by_link = await place.done()
    place.inbox = real
    below = await place.done("other.mp4")
    assert not await place.disposal()._round()
    assert (real / "film.mp4").exists()
    assert [await place.state(video_id) for video_id in (by_link, below)] == ["kept", "moved"]
    reason = f"its path does not begin with watch.path = {real} any more"
    assert place.said[0] == ("source.kept", {"reason": reason})


@pytest.mark.parametrize("action", ["move", "delete"])
async def test_a_source_outside_of_the_watch_folder_of_now_stays(place: Place, tmp_path: Path, action: str) -> None:
    video_id = await place.done(action=action)
    source = place.inbox / "film.mp4"
    place.inbox = tmp_path / "another"
    place.inbox.mkdir()
    assert not await place.disposal(action)._round()
    assert source.exists()
    assert await place.state(video_id) == "kept"


@pytest.mark.parametrize("now", ["keep", "move"])
async def test_a_wish_of_an_earlier_configuration_is_not_carried_out(place: Place, now: str) -> None:
    video_id = await place.done(action="delete")
    await place.disposal(now)._round()
    assert (place.inbox / "film.mp4").exists()
    assert await place.state(video_id) == "kept"


async def test_what_was_done_before_the_setting_is_left_alone(place: Place) -> None:
    await place.done(action=None)
    await place.disposal("delete")._round()
    assert (place.inbox / "film.mp4").exists()


async def test_a_folder_that_is_away_is_waited_for(place: Place) -> None:
    video_id = await place.done(action="delete")
    place.inbox.rename(place.inbox.with_name("unmounted"))
    one = place.disposal("delete")
    assert await one._round()
    assert await place.state(video_id) == "due"
    place.inbox.with_name("unmounted").rename(place.inbox)
    assert not await one._round()
    assert await place.state(video_id) == "deleted"


def unmount(folder: Path) -> Path:
    """Take a folder away as a disk goes: the empty place that was there before it is left; returns where it is now."""
    away = folder.rename(folder.with_name(f"{folder.name}-unmounted"))
    folder.mkdir()
    os.utime(folder, (1_000_000_000, 1_000_000_000))
    return away


def mount(away: Path, folder: Path) -> None:
    folder.rmdir()
    away.rename(folder)


@pytest.mark.parametrize("action", ["move", "delete"])
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("film.mp4", "the file"),
        ("camera/film.mp4", "the file"),
        ("camera/film.mp4", "its folder"),
        ("camera/film.mp4", "its folder, and a file is in its place"),
    ],
)
async def test_a_source_that_its_owner_removed_is_missed_for_a_while_and_settled(
    place: Place, action: str, name: str, what: str
) -> None:
    video_id = await place.done(name, action=action)
    source = place.inbox / name
    source.unlink()
    if what != "the file":
        source.parent.rmdir()
        if what != "its folder":
            source.parent.write_bytes(b"a file")
    clock = Clock()
    one = place.disposal(action, clock)
    assert await one._round()
    clock.now += 65.0
    assert await one._round()
    assert await place.state(video_id) == "due"
    clock.now += 0.1
    assert not await one._round()
    assert await place.state(video_id) == "kept"
    assert place.said == [
        ("source.failed", {"reason": "it is not there"}),
        ("source.kept", {"reason": "it is not there any more"}),
    ]


async def test_a_source_that_its_owner_removed_after_a_try_that_failed_is_settled(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await place.done()
    clock = Clock()
    one = place.disposal(monotonic=clock)
    with monkeypatch.context() as patch:
        other_device(patch)
        patch.setattr(source_file.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
        assert await one._round()
    (place.inbox / "film.mp4").unlink()
    assert await one._round()
    clock.now += 1000.0
    assert not await one._round()
    assert await place.state(video_id) == "kept"


async def test_a_source_that_was_moved_within_the_watch_folder_is_waited_for(place: Place) -> None:
    video_id = await place.done()
    (place.inbox / "camera").mkdir()
    moved = (place.inbox / "film.mp4").rename(place.inbox / "camera" / "film.mp4")
    clock = Clock()
    one = place.disposal(monotonic=clock)
    assert await one._round()
    # As the next listing of the folder does.
    await place.store.videos.relocate(video_id, identity.fingerprint(moved))
    clock.now += 1000.0
    assert not await one._round()
    assert (await place.store.videos.get(video_id)).file.path == place.archive / "camera" / "film.mp4"


@pytest.mark.parametrize("action", ["move", "delete"])
@pytest.mark.parametrize("begun", [False, True])
async def test_a_disk_that_is_away_is_waited_for(place: Place, action: str, begun: bool) -> None:
    video_id = await place.done("camera/film.mp4", action=action)
    if begun:
        target = {"move": place.archive / "camera" / "film.mp4", "delete": place.inbox / "camera" / "film.mp4"}
        (place.archive / "camera").mkdir()
        await place.store.sources.record_target(video_id, target[action])
    clock = Clock()
    one = place.disposal(action, clock)
    away = unmount(place.inbox)
    for _ in range(3):
        assert await one._round()
        clock.now += 1000.0
    assert await place.state(video_id) == "due"
    reason = f"it is not there: the disk of {place.inbox / 'camera'} may be away"
    assert place.said == [("source.failed", {"reason": reason})]
    mount(away, place.inbox)
    assert not await one._round()
    assert await place.state(video_id) == {"move": "moved", "delete": "deleted"}[action]


async def test_a_move_that_was_killed_waits_for_the_disk_that_it_went_to(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await place.done()
    with monkeypatch.context() as patch:
        die_at(patch, 5)
        with pytest.raises(Killed):
            await place.disposal()._round()
    away = unmount(place.archive)
    clock = Clock()
    one = place.disposal(monotonic=clock)
    for _ in range(3):
        assert await one._round()
        clock.now += 1000.0
    assert place.said == [("source.failed", {"reason": f"it is not there: the disk of {place.archive} may be away"})]
    mount(away, place.archive)
    assert not await one._round()
    assert (await place.store.videos.get(video_id)).file.path == place.archive / "film.mp4"


# A kill at every step


@pytest.mark.parametrize("across", [False, True], ids=["same disk", "another disk"])
@pytest.mark.parametrize("step", range(6))
async def test_a_move_that_was_killed_is_ended_by_the_next_start(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: int, across: bool
) -> None:
    video_id = await place.done()
    content = (place.inbox / "film.mp4").read_bytes()
    if across:
        other_device(monkeypatch)
    with monkeypatch.context() as patch:
        killed = die_at(patch, step)
        with pytest.raises(Killed):
            await place.disposal()._round()
        assert killed
    await place.disposal()._round()
    target = place.archive / "film.mp4"
    assert target.read_bytes() == content
    assert not (place.inbox / "film.mp4").exists()
    assert (await place.store.videos.get(video_id)).file.path == target
    assert await place.state(video_id) == "moved"
    assert [path.name for path in place.archive.iterdir()] == ["film.mp4"]


def die_at(patch: pytest.MonkeyPatch, step: int) -> list[int]:
    """End the process at one of the steps: around the aim, the claim of the name, the move, and the outcome."""
    killed: list[int] = []

    def die(*_: Any, **__: Any) -> Any:
        killed.append(step)
        raise Killed

    def before(owner: Any, name: str) -> None:
        patch.setattr(owner, name, die)

    def behind(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def then_die(*arguments: Any, **named: Any) -> Any:
            real(*arguments, **named)
            die()

        patch.setattr(owner, name, then_die)

    if step == 0:
        before(Sources, "record_target")
    elif step == 1:
        before(Store, "make_durable")
    elif step == 2:
        before(source_file, "move")
    elif step == 3:
        # A kill runs no cleaning up: the claimed name stays as an empty file.
        def claim_and_die(due: Any, target: Path, *_: Any, **__: Any) -> Any:
            target.touch()
            die()

        patch.setattr(source_file, "move", claim_and_die)
    elif step == 4:
        behind(source_file, "move")
    else:
        before(Sources, "moved")
    return killed


async def test_a_copy_that_was_killed_before_the_source_went_is_ended(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await place.done()
    (place.archive / "film.mp4").write_bytes((place.inbox / "film.mp4").read_bytes())
    await place.store.sources.record_target(video_id, place.archive / "film.mp4")
    await place.disposal()._round()
    assert not (place.inbox / "film.mp4").exists()
    assert [path.name for path in place.archive.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize("step", ["record_target", "make_durable", "deleted"])
async def test_a_deletion_that_was_killed_is_ended_by_the_next_start(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    video_id = await place.done(action="delete")

    def die(*_: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Store if step == "make_durable" else Sources, step, die)
        with pytest.raises(Killed):
            await place.disposal("delete")._round()
    await place.disposal("delete")._round()
    assert not (place.inbox / "film.mp4").exists()
    assert await place.state(video_id) == "deleted"


# One that fails


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("nobody thought of it"), "RuntimeError('nobody thought of it')"),
        (StoreError(Kind.DATABASE, "the database refuses this: no"), "StoreError('the database refuses this: no')"),
    ],
    ids=["any", "of the store"],
)
async def test_what_nobody_foresaw_about_one_source_is_said_once_and_the_others_go_on(
    place: Place, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    ids = [await place.done(name) for name in ("one.mp4", "two.mp4", "three.mp4")]
    one = place.disposal()
    record_target = place.store.sources.record_target

    async def aim_or_fail(video_id: int, target: Path) -> None:
        if video_id == ids[1]:
            raise error
        await record_target(video_id, target)

    with monkeypatch.context() as patch:
        patch.setattr(place.store.sources, "record_target", aim_or_fail)
        assert await one._round()
        assert await one._round()
    assert [await place.state(video_id) for video_id in ids] == ["moved", "due", "moved"]
    failed = [facts for event, facts in place.said if event == "source.failed"]
    assert failed == [{"reason": reason, "exc_info": error}]
    assert not await one._round()
    assert await place.state(ids[1]) == "moved"


async def test_a_held_database_is_waited_for_and_not_asked_for_every_source(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [await place.done(name) for name in ("one.mp4", "two.mp4")]
    asked: list[int] = []

    async def held(video_id: int, _: Path) -> None:
        asked.append(video_id)
        raise StoreError(Kind.BUSY, "another program holds the database")

    monkeypatch.setattr(place.store.sources, "record_target", held)
    assert await place.disposal()._round()
    assert asked == ids[:1]
    assert place.said == [("source.waiting", {"reason": "another program holds the database"})]


async def test_what_nobody_foresaw_about_the_list_does_not_end_the_attendant(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await place.done()
    error = RuntimeError("nobody thought of it")

    async def broken() -> None:
        raise error

    one = place.disposal()
    with monkeypatch.context() as patch:
        patch.setattr(place.store.sources, "due", broken)
        assert await one._round()
    assert place.said == [
        ("source.waiting", {"reason": "RuntimeError('nobody thought of it')", "exc_info": error}),
    ]
    assert not await one._round()
    assert await place.state(video_id) == "moved"


# Running


async def test_news_of_a_done_video_wakes_it_and_a_stop_ends_a_copy(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_device(monkeypatch)
    monkeypatch.setattr(source_file, "CHUNK_BYTES", 1)
    video_id = await place.done()
    copying = threading.Event()
    usage = source_file.shutil.disk_usage

    def seen(path: Path) -> Any:
        copying.set()
        return usage(path)

    monkeypatch.setattr(source_file.shutil, "disk_usage", seen)
    source = place.inbox / "film.mp4"
    source.write_bytes(bytes(2_000_000))
    await place.store.videos.relocate(video_id, identity.fingerprint(source))
    task = asyncio.create_task(place.disposal().run())
    await asyncio.to_thread(copying.wait, 10)
    task.cancel()
    async with asyncio.timeout(disposal.STOP_SECONDS):
        await asyncio.gather(task, return_exceptions=True)
    assert source.exists()
    assert list(place.archive.iterdir()) == []
    assert await place.state(video_id) == "due"


# The configuration


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (None, "needs watch.after_path"),
        ("inbox", "watch.path"),
        ("inbox/done", "watch.path"),
        ("", "watch.path"),
        ("stills/sources", "output.path"),
        ("link/done", "watch.path"),
    ],
)
def test_a_folder_from_which_they_would_come_back_is_refused(tmp_path: Path, target: str | None, words: str) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "inbox")
    path = None if target is None else tmp_path / target
    watch = WatchConfig(path=tmp_path / "inbox", after="move", after_path=path)
    with pytest.raises(ConfigError, match=words):
        disposal.check(watch, OutputConfig(path=tmp_path / "stills"))


def test_a_folder_beside_it_is_made(tmp_path: Path) -> None:
    watch = WatchConfig(path=tmp_path / "inbox", after="move", after_path=tmp_path / "inbox-done")
    disposal.check(watch, OutputConfig(path=tmp_path / "stills"))
    assert (tmp_path / "inbox-done").is_dir()


# What is not finished, or not whole


def change(place: Place, statement: str, video_id: int) -> None:
    with closing(sqlite3.connect(place.inbox.parent / "stillwatch.db")) as db, db:
        db.execute(statement, (video_id,))


async def test_what_somebody_has_open_for_writing_stays(place: Place) -> None:
    for action in ("move", "delete"):
        video_id = await place.done(f"{action}.ts", action)
        with (place.inbox / f"{action}.ts").open("ab"):
            await place.disposal(action)._round()
        assert await place.state(video_id) == "kept"
        assert (place.inbox / f"{action}.ts").exists()
    assert [event for event, _ in place.said] == ["source.kept"] * 2
    assert all("has it open for writing" in facts["reason"] for _, facts in place.said)


async def test_a_mapping_is_a_writer_too(place: Place) -> None:
    video_id = await place.done("film.ts", "delete")
    with (place.inbox / "film.ts").open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    with mapped:
        await place.disposal("delete")._round()
    assert await place.state(video_id) == "kept"


async def test_who_begins_to_write_in_the_last_moment_loses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await place.done("film.ts", "delete")
    one = place.disposal("delete")
    make_durable = one._store.make_durable
    opened: list[IO[bytes]] = []

    async def begin() -> None:
        await make_durable()
        opened.append((place.inbox / "film.ts").open("ab"))

    monkeypatch.setattr(one._store, "make_durable", begin)
    await one._round()
    assert await place.state(video_id) == "kept"
    opened[0].close()


async def test_a_damaged_film_is_moved_but_never_deleted(place: Place) -> None:
    for action, state in (("move", "moved"), ("delete", "kept")):
        video_id = await place.done(f"{action}.ts", action)
        change(place, "UPDATE videos SET damaged = 1, damage = 'a hole' WHERE id = ?", video_id)
        await place.disposal(action)._round()
        assert await place.state(video_id) == state
    assert place.said[-1] == ("source.kept", {"reason": "it is damaged (a hole)"})


async def test_a_film_whose_container_misses_its_end_is_never_deleted(place: Place) -> None:
    (place.inbox / "film.mp4").write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\1\0\0mdat" + b"picture")
    video_id = await place.done("film.mp4", "delete")
    await place.disposal("delete")._round()
    assert await place.state(video_id) == "kept"
    assert place.said[-1][1]["reason"] == "65,521 bytes of its last part are missing"


async def test_where_writers_cannot_be_seen_it_has_to_stand_still_for_longer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await place.done("film.ts", "delete")
    monkeypatch.setattr(writers, "writer", lambda *_, **__: writers.UNKNOWN)
    await place.disposal("delete")._round()
    assert await place.state(video_id) == "due"
    assert "cannot be seen" in place.said[-1][1]["reason"]
    change(place, "UPDATE videos SET queued_at = '2026-01-01T00:00:00+00:00' WHERE id = ?", video_id)
    await place.disposal("delete")._round()
    assert await place.state(video_id) == "deleted"


def film(frames: int | None, estimate: int, duration_s: float | None, *, damaged: bool = False) -> VideoRecord:
    info = VideoInfo(
        Path("f"), "mp4", 0, "h264", 8, 8, "yuv420p", 8, Fraction(1, 90000), None, estimate, duration_s, 0.0
    )
    file = FileIdentity(Path("f"), "0", 1, 1)
    done = Status.DONE
    return VideoRecord(1, file, done, "niqe", True, "s", info, frames, frames, damaged, False, None, None, 0)


@pytest.mark.parametrize(
    ("record", "last_s", "lost"),
    [
        (film(250, 250, 10.0), 9.96, ""),
        (film(250, 250, 10.0, damaged=True), 9.96, "it is damaged"),
        (film(93, 250, 10.0), 3.7, "it is shortened: 93 of about 250 frames are there"),
        # A rate that changes makes a wrong estimate; sound that is longer than the pictures a wrong duration.
        (film(93, 900, 10.0), 9.9, ""),
        (film(250, 250, 60.0), 9.9, ""),
        (film(250, 0, None), 9.9, ""),
        (film(None, 250, 10.0), 0.0, ""),
    ],
)
def test_a_shortened_film_ends_early_by_frames_and_by_time(record: VideoRecord, last_s: float, lost: str) -> None:
    assert disposal.what_is_lost(record, last_s) == lost


# What others plant


def across_or_not(across: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if across:
        other_device(monkeypatch)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Somebody else's file, outside of every folder of ours."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "canary").write_bytes(b"theirs")
    return folder / "canary"


async def test_a_guessed_name_of_the_copy_is_not_written_through(
    place: Place, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_device(monkeypatch)
    video_id = await place.done()
    (place.archive / f".stillwatch-{video_id}.part").symlink_to(canary)
    assert not await place.disposal()._round()
    assert canary.read_bytes() == b"theirs"
    assert await place.state(video_id) == "moved"


async def test_what_a_killed_copy_left_goes_and_links_of_that_form_stay(
    place: Place, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_device(monkeypatch)
    video_id = await place.done()
    left = place.archive / f".stillwatch-{video_id}-0123456789abcdef.part"
    planted = place.archive / f".stillwatch-{video_id}-0123456789abcdff.part"
    left.write_bytes(b"half")
    planted.symlink_to(canary)
    assert not await place.disposal()._round()
    assert (left.exists(), planted.is_symlink(), canary.read_bytes()) == (False, True, b"theirs")


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("leads_to", ["canary", "nothing"])
async def test_a_link_of_the_wanted_name_is_left_alone(
    place: Place, canary: Path, across: bool, leads_to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    across_or_not(across, monkeypatch)
    video_id = await place.done()
    (place.archive / "film.mp4").symlink_to(canary.with_name(leads_to))
    assert not await place.disposal()._round()
    assert (await place.store.videos.get(video_id)).file.path == place.archive / "film-2.mp4"
    assert sorted(path.name for path in canary.parent.iterdir()) == ["canary"]
    assert canary.read_bytes() == b"theirs"


@pytest.mark.parametrize("across", [False, True])
async def test_a_link_in_the_place_of_a_folder_leads_no_source_out(
    place: Place, canary: Path, across: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    across_or_not(across, monkeypatch)
    video_id = await place.done("holiday/film.mp4")
    (place.archive / "holiday").symlink_to(canary.parent)
    assert await place.disposal()._round()
    assert sorted(path.name for path in canary.parent.iterdir()) == ["canary"]
    assert (await place.state(video_id), (place.inbox / "holiday/film.mp4").exists()) == ("due", True)


@pytest.mark.parametrize("action", ["move", "delete"])
@pytest.mark.parametrize("swap", ["link", "file"])
async def test_what_takes_the_sources_name_in_the_last_moment_is_kept(
    place: Place, tmp_path: Path, action: str, swap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same size and time, so that only the file itself tells."""
    video_id = await place.done(action=action)
    source, other = place.inbox / "film.mp4", tmp_path / "other.mp4"
    look = source.stat()
    other.write_bytes(bytes(look.st_size))
    os.utime(other, ns=(look.st_atime_ns, look.st_mtime_ns))
    make_durable = place.store.make_durable

    async def then_swap() -> None:
        await make_durable()
        source.unlink()
        source.symlink_to(other) if swap == "link" else other.rename(source)

    monkeypatch.setattr(place.store, "make_durable", then_swap)
    assert not await place.disposal(action)._round()
    assert source.exists()
    assert source.is_symlink() == (swap == "link")
    assert await place.state(video_id) == "kept"
    assert [path for path in place.archive.iterdir() if path.stat().st_size] == []


# The database's own files


def removed(path: Path) -> None:
    path.unlink()


def emptied_anew(path: Path) -> None:
    path.unlink()
    path.touch()


def begun_by_another(path: Path) -> None:
    """As any other command does."""
    path.unlink()
    database = path.with_name(path.name.rpartition("-")[0])
    # It begins a log of its own, whatever it can read then.
    with closing(sqlite3.connect(database)) as other, suppress(sqlite3.Error):
        other.execute("SELECT COUNT(*) FROM videos").fetchall()


def renamed(path: Path) -> None:
    path.rename(path.with_name("kept"))


@pytest.mark.parametrize(
    ("lose", "suffix"),
    [
        *((lose, suffix) for lose in (removed, emptied_anew, renamed) for suffix in ("", "-wal", "-shm")),
        # Others begin a log anew, and nothing else.
        (begun_by_another, "-wal"),
    ],
)
@pytest.mark.parametrize("action", ["move", "delete"])
async def test_no_source_is_touched_when_the_databases_files_are_not_those_that_are_written(
    place: Place, tmp_path: Path, suffix: str, lose: Callable[[Path], None], action: str
) -> None:
    await place.done(action=action)
    lose(tmp_path / f"stillwatch.db{suffix}")
    assert await place.disposal(action)._round()
    assert (place.inbox / "film.mp4").exists()
    assert list(place.archive.iterdir()) == []
    ((_, facts),) = place.said
    assert "was deleted or replaced" in str(facts["reason"])
