"""The progress file: what the daemon works on, written so that another process can read it."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.events import FramesScored, Left, Progress, Taken
from daemon.model import Status
from daemon.observe import progress_file, progress_reader
from daemon.observe.progress_file import ProgressFile


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> str:
        self.now += timedelta(seconds=1)
        return self.now.isoformat(timespec="milliseconds")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "stillwatch.db"


def progress(video_id: int = 3, frame: int = 50, fps: float = 10.0) -> Progress:
    return Progress(video_id, "/in/a.mp4", frame, 100, fps, 4096, 8)


async def written(one: ProgressFile, database: Path) -> dict[str, Any]:
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(5):
        while not (found := progress_reader.read(database)):
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return found


async def test_what_is_in_work_and_how_far_can_be_read_by_others(database: Path) -> None:
    one = ProgressFile(database, Clock())
    one.tell(Taken(3, "/in/a.mp4", Status.SCORING))
    one.tell(progress())
    one.tell(Taken(4, "/in/b.mp4", Status.EXPORTING))
    found = await written(one, database)
    assert (found["pid"], found["started_at"]) == (os.getpid(), "2026-01-01T00:00:01.000+00:00")
    assert found["working"] == [
        {
            "video_id": 3, "status": "scoring", "since": "2026-01-01T00:00:02.000+00:00",
            "at": "2026-01-01T00:00:03.000+00:00", "frame": 50, "frames_total": 100, "fps": 10.0, "eta_s": 5.0,
            "queue_bytes": 4096, "batch": 8,
        },
        {
            "video_id": 4, "status": "exporting", "since": "2026-01-01T00:00:04.000+00:00",
            "at": "2026-01-01T00:00:04.000+00:00",
        },
    ]  # fmt: skip


async def test_speed_and_waiting_bytes_are_those_of_all_videos_together(database: Path) -> None:
    one = ProgressFile(database)
    for video_id in (3, 4):
        one.tell(Taken(video_id, "/in/a.mp4", Status.SCORING))
        one.tell(progress(video_id))
    assert (one.fps, one.queue_bytes) == (20.0, 8192)
    one.tell(Left(3, Status.SCORING))
    assert (one.fps, one.queue_bytes) == (10.0, 4096)


async def test_a_stage_that_lets_go_late_does_not_remove_the_next_one(database: Path) -> None:
    one = ProgressFile(database)
    one.tell(Taken(3, "/in/a.mp4", Status.SCORING))
    one.tell(Taken(3, "/in/a.mp4", Status.EXPORTING))
    one.tell(Left(3, Status.SCORING))
    assert [work["status"] for work in (await written(one, database))["working"]] == ["exporting"]
    one.tell(Left(3, Status.EXPORTING))
    assert one._videos == {}


async def test_news_of_no_video_changes_nothing(database: Path) -> None:
    one = ProgressFile(database)
    one.tell(FramesScored(5))
    one.tell(progress(video_id=99))
    assert one._videos == {}


async def test_an_idle_daemon_writes_nothing(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_file, "WRITE_SECONDS", 0.0)
    one = ProgressFile(database)
    writes: list[str] = []
    monkeypatch.setattr(one, "_write", writes.append)
    task = asyncio.create_task(one.run())
    await asyncio.sleep(0.1)
    one.tell(Taken(3, "/in/a.mp4", Status.SCORING))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(writes) == 2


async def test_what_a_killed_daemon_left_is_taken_down_at_the_start(database: Path) -> None:
    progress_reader.path_beside(database).write_text('{"working": [1]}')
    ProgressFile(database)
    assert progress_reader.read(database) == {}


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_a_file_that_cannot_be_read_is_an_empty_one(database: Path, content: str) -> None:
    progress_reader.path_beside(database).write_text(content)
    assert progress_reader.read(database) == {}


async def test_a_file_that_cannot_be_written_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(progress_file.log, "warning", lambda _, **facts: said.append(facts["reason"]))
    one = ProgressFile(tmp_path / "gone" / "stillwatch.db")
    one._write("{}")
    one._write("{}")
    assert said == ["No such file or directory"]
