"""Files by any ending: what is taken by its content, and what is said of the others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import EventDict

from daemon.config.watch import VIDEO_EXTENSIONS, WatchConfig
from daemon.events import Event, FilesLeftAlone
from daemon.inbox import content
from daemon.inbox.ingestor import Ingestor
from daemon.inbox.left_alone import LeftAlone
from daemon.store.store import Store
from tests import films

PATIENCE_SECONDS = 20.0
OTHER_ENDINGS = ["MOV001.MOD", "clip.m2t", "PXL.MP", "film.divx", "GS01.360", "DJI.LRF", "film.mk3d", "noext", "Café"]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names whose content is looked at."""
    names: list[str] = []
    look = content.look

    def noted(path: Path) -> content.Content:
        names.append(path.name)
        return look(path)

    monkeypatch.setattr(content, "look", noted)
    return names


@asynccontextmanager
async def arrivals(inbox: Path, store: Store, told: list[Event] | None = None, **keys: Any) -> AsyncIterator[Ingestor]:
    config = WatchConfig.model_validate(
        {"path": inbox, "settle_seconds": 0.05, "rescan_seconds": 0.1, "mode": "native", **keys}
    )
    heard: list[Event] = told if told is not None else []
    watching = Ingestor(config, store, lambda: None, 0.1, listener=heard.append)
    await watching.start()
    task = asyncio.create_task(watching.run())
    try:
        yield watching
        assert not task.done() or task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await watching.stop()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def rows(store: Store, count: int) -> set[str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await store.queries.videos(100)
            if len(found) >= count:
                return {Path(row["path"]).name for row in found}
            await asyncio.sleep(0.01)


def said(logged: list[EventDict]) -> dict[str, tuple[str, str]]:
    """By name: the reason and the key. A name that is said twice fails."""
    by_name: dict[str, tuple[str, str]] = {}
    for event in logged:
        if event["event"] == "watch.not_taken":
            for name in event["names"]:
                assert name not in by_name, f"{name} was said twice"
                by_name[name] = (event["reason"], event["key"])
    return by_name


@pytest.mark.parametrize("mode", ["native", "polling"])
async def test_videos_by_other_endings_are_taken(inbox: Path, store: Store, tmp_path: Path, mode: str) -> None:
    for number, name in enumerate(OTHER_ENDINGS):
        films.make(tmp_path / "film.mkv", frames=1 + number)
        (tmp_path / "film.mkv").rename(inbox / name)
    async with arrivals(inbox, store, mode=mode):
        assert await rows(store, len(OTHER_ENDINGS)) == set(OTHER_ENDINGS)


async def test_what_is_no_video_is_said_once_with_its_key_and_opened_once(
    inbox: Path, store: Store, logged: list[EventDict], opened: list[str]
) -> None:
    (inbox / "notes.txt").write_text("hello")
    (inbox / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + b"x" * 5000)
    told: list[Event] = []
    async with arrivals(inbox, store, told):
        await until(lambda: len(said(logged)) == 2)
        (inbox / "late.bin").write_bytes(bytes(range(100)))
        await until(lambda: len(said(logged)) == 3)
        films.make(inbox / "last.mp4", frames=1)
        await rows(store, 1)
    assert said(logged) == {
        "notes.txt": ("not a video: text", "watch.extensions"),
        "photo.jpg": ("not a video: a picture (JPEG)", "watch.extensions"),
        "late.bin": ("not a video: data without a video's signature", "watch.extensions"),
    }
    assert sorted(opened) == ["late.bin", "notes.txt", "photo.jpg"]
    left = [event for event in told if isinstance(event, FilesLeftAlone)][-1]
    assert (left.files, {Path(one.path).name for one in left.newest}) == (3, {"notes.txt", "photo.jpg", "late.bin"})
    assert [Path(row["path"]).name for row in await store.queries.videos(10)] == ["last.mp4"]


async def test_a_name_that_gets_another_content_is_looked_at_again(
    inbox: Path, store: Store, logged: list[EventDict], tmp_path: Path
) -> None:
    (inbox / "film.divx").write_text("soon")
    async with arrivals(inbox, store):
        await until(lambda: said(logged))
        films.make(tmp_path / "film.mkv", frames=2).replace(inbox / "film.divx")
        assert await rows(store, 1) == {"film.divx"}


async def test_a_beginning_of_zeros_is_waited_for_without_events(
    inbox: Path, store: Store, logged: list[EventDict], tmp_path: Path
) -> None:
    """Some programs reserve the space first and write the beginning last."""
    film = films.make(tmp_path / "film.mkv", frames=2).read_bytes()
    with (inbox / "film.divx").open("wb") as file:
        file.write(b"\0" * len(film))
        file.flush()
        async with arrivals(inbox, store, ready="settled"):
            await until(lambda: said(logged))
            file.seek(0)
            file.write(film)
            file.flush()
            # It is not closed: only the listing can find it.
            assert await rows(store, 1) == {"film.divx"}


async def test_extensions_of_ones_own_decide_alone_unless_told_otherwise(
    inbox: Path, store: Store, logged: list[EventDict], opened: list[str]
) -> None:
    films.make(inbox / "a.mkv", frames=1)
    films.make(inbox / "b.mp4", frames=2)
    async with arrivals(inbox, store, extensions=["mp4"]):
        assert await rows(store, 1) == {"b.mp4"}
        await until(lambda: said(logged))
    assert said(logged) == {"a.mkv": ("its ending is not listed", "watch.extensions")}
    assert opened == []
    async with arrivals(inbox, store, extensions=["mp4"], other_endings="probe"):
        assert await rows(store, 2) == {"a.mkv", "b.mp4"}


async def test_a_cameras_small_copy_is_left_to_its_film(
    inbox: Path, store: Store, logged: list[EventDict], opened: list[str]
) -> None:
    films.make(inbox / "GX014839.MP4", frames=2)
    films.make(inbox / "low.mp4", frames=1).rename(inbox / "GL014839.LRV")
    (inbox / "GX014839.THM").write_bytes(b"\xff\xd8\xff")
    async with arrivals(inbox, store):
        await until(lambda: len(said(logged)) == 2)
        assert await rows(store, 1) == {"GX014839.MP4"}
    reason = ("a camera's companion of GX014839.MP4", "watch.companions")
    assert said(logged) == {"GL014839.LRV": reason, "GX014839.THM": reason}
    assert opened == []
    async with arrivals(inbox, store, companions="take"):
        assert await rows(store, 2) == {"GX014839.MP4", "GL014839.LRV"}


async def test_a_link_by_another_ending_that_leads_out_is_said(
    inbox: Path, store: Store, logged: list[EventDict], tmp_path: Path
) -> None:
    (inbox / "link.dat").symlink_to(films.make(tmp_path / "out.mp4", frames=1))
    async with arrivals(inbox, store):
        await until(lambda: said(logged))
    assert said(logged)["link.dat"] == ("it leads out of the watch folder", "watch.follow_outside")


def test_no_more_than_4_kib_of_a_name_is_read_and_many_names_are_one_line(
    inbox: Path, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    read = os.read

    def counted(descriptor: int, length: int) -> bytes:
        lengths.append(length)
        return read(descriptor, length)

    monkeypatch.setattr(os, "read", counted)
    left = LeftAlone(WatchConfig(path=inbox))
    for number in range(50):
        path = inbox / f"{number}.txt"
        path.write_bytes(b"x" * 10_000)
        assert not left.judge(path, 10_000, 1)
        assert left.knows(str(path))
    left.say()
    left.say()
    assert lengths == [4096] * 50
    (event,) = logged
    assert (event["files"], len(event["names"])) == (50, 20)


def test_what_a_listing_does_not_meet_any_more_is_forgotten(inbox: Path) -> None:
    left = LeftAlone(WatchConfig(path=inbox))
    for name in ("gone.txt", "here.txt"):
        (inbox / name).write_text("x")
        left.judge(inbox / name, 1, 1)
    left.forget_unseen()
    left.knows(str(inbox / "here.txt"))
    left.forget_unseen()
    assert [Path(one.path).name for one in left.told().newest] == ["here.txt"]


def test_a_delivered_list_in_the_file_is_as_the_default(inbox: Path) -> None:
    (inbox / "film.divx").write_bytes(b"RIFF\x10\0\0\0AVI LIST")
    assert LeftAlone(WatchConfig(path=inbox, extensions=list(VIDEO_EXTENSIONS))).judge(inbox / "film.divx", 1, 1)
