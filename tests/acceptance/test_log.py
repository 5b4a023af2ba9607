"""The log of the real daemon: every line fits the contract, and standard output belongs to the commands."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests import films
from tests.acceptance.harness import PATIENCE_SECONDS, Daemon, cli, query, write_config
from tests.events import check_line

pytestmark = pytest.mark.model

NASTY = 'two\nlines "quoted" \x1b[31m\u2028🎬 %s {x}.mp4'
NOT_UTF8 = os.fsdecode(b"caf\xe9.mp4")


def test_every_line_fits_the_contract_whatever_the_files_are(tmp_path: Path) -> None:
    config = write_config(tmp_path, log={"progress_seconds": 0.5})
    inbox = tmp_path / "inbox"
    film = films.make(tmp_path / "film.mp4", frames=12)
    shutil.copy(film, inbox / NASTY)
    data = bytearray(films.make(tmp_path / "more.mkv", frames=60, numbers=range(40, 100)).read_bytes())
    (inbox / NOT_UTF8).write_bytes(data)
    for at in range(len(data) // 2, len(data) // 2 + 400, 7):
        data[at] ^= 0xFF
    (inbox / "broken.mkv").write_bytes(data)
    (inbox / "cut.mp4").write_bytes(film.read_bytes()[:3000])
    (inbox / "text.mp4").write_text("not a video\n" * 50)
    (inbox / "empty.mp4").touch()
    (inbox / "copy.mp4").write_bytes(film.read_bytes())
    (inbox / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1/a.mp4\n")
    os.mkfifo(inbox / "pipe.mp4")
    with Daemon(config).ready() as daemon:
        ends = ("video.done", "video.failed", "video.rejected")
        for _ in range(9):
            daemon.wait_for(lambda event: event["event"] in ends)
        assert daemon.stop() == 0
        assert daemon.process.stdout is not None
        assert daemon.process.stdout.read() == ""
    assert daemon.noise == []
    for event in daemon.events:
        check_line(json.dumps(event))
    seen = [event["event"] for event in daemon.events]
    assert seen.count("video.done") == 3
    assert {"video.damaged", "video.selected", "export.verified", "service.stopped"} <= set(seen)
    assert_progress_is_rare(daemon.events, 0.5)


def assert_progress_is_rare(events: list[dict[str, Any]], seconds: float) -> None:
    last: dict[int, datetime] = {}
    for event in events:
        if event["event"] == "video.progress":
            now = datetime.fromisoformat(event["timestamp"])
            if event["video_id"] in last:
                assert (now - last[event["video_id"]]).total_seconds() >= seconds * 0.99
            last[event["video_id"]] = now


def test_a_long_film_reports_at_most_as_often_as_asked(tmp_path: Path, clips: dict[str, Path]) -> None:
    config = write_config(tmp_path, log={"progress_seconds": 0.2}, score={"max_batch": 1})
    shutil.copy(clips["bikes.mp4"], tmp_path / "inbox")
    with Daemon(config).ready() as daemon:
        daemon.event("video.done")
        assert daemon.stop() == 0
    assert sum(event["event"] == "video.progress" for event in daemon.events) >= 2
    assert_progress_is_rare(daemon.events, 0.2)


@pytest.mark.parametrize("metric", ["niqe", "piqe"])
def test_standard_output_of_once_is_the_json_alone(tmp_path: Path, metric: str) -> None:
    config = write_config(tmp_path, score={"metric": metric})
    film = films.make(tmp_path / "film.mp4", frames=12)
    ended = cli("once", str(film), "--config", str(config), "--json")
    assert ended.returncode == 0, ended.stderr
    (video,) = json.loads(ended.stdout)
    assert video["status"] == "done"
    events = [check_line(line)["event"] for line in ended.stderr.splitlines()]
    assert events[-1] == "video.done"


def test_a_start_that_fails_says_why_in_one_event(tmp_path: Path) -> None:
    config = write_config(tmp_path, score={"metric": "no-such-metric"})
    ended = cli("run", "--config", str(config))
    assert (ended.returncode, ended.stdout) == (1, "")
    event = check_line(ended.stderr.removesuffix("\n"))
    assert (event["event"], event["error_kind"]) == ("service.failed", "metric")
    assert "no-such-metric" in event["error"]


# A reader that is stuck


@contextmanager
def stuck(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], BinaryIO]]:
    """A process whose standard error is a pipe that is full from the start, and the end to read it from."""
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"\n" * size)
    with (
        os.fdopen(reading, "rb") as log,
        subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=writing) as process,
    ):
        os.close(writing)
        try:
            yield process, log
        finally:
            process.kill()


def until_done(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Until the daemon has made its tables there is nothing to ask.
    found: list[tuple[Any, ...]] = []
    while found != [("done",)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        with suppress(sqlite3.OperationalError):
            found = query(folder, "SELECT status FROM videos")


@pytest.mark.parametrize("reads_again", [True, False])
def test_a_log_that_nobody_reads_holds_up_neither_the_work_nor_the_stop(tmp_path: Path, reads_again: bool) -> None:
    config = write_config(tmp_path)
    films.make(tmp_path / "inbox" / "film.mp4", frames=12)
    with stuck(["-m", "daemon", "run", "--config", str(config)]) as (process, log):
        until_done(tmp_path)
        process.terminate()
        if not reads_again:
            assert process.wait(30.0) == 0
            return
        events = [check_line(line.decode()) for line in log if line.strip()]
        assert process.wait(30.0) == 0
    names = [event["event"] for event in events]
    assert [name for name in names if name in ("service.ready", "video.queued", "video.done")] == [
        "service.ready",
        "video.queued",
        "video.done",
    ]
    assert names[-1] == "service.stopped"


BY_FORCE = """
import asyncio, os, signal, sys
from daemon.config.service import ServiceConfig
from daemon.logs import setup
from daemon.runtime.deadline import Deadline
from daemon.service.signals import Stop

def say():
    for number in range(500):
        setup.get().info("source.deleted", video="/in/film.mp4", video_id=number)

async def main():
    with Stop(ServiceConfig()) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.asked.wait()
        say()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

setup.configure("json", "info")
if sys.argv[1] == "signal":
    asyncio.run(main())
say()
Deadline(0.0, 143).start()
signal.pause()
"""


@pytest.mark.parametrize("way", ["signal", "deadline"])
def test_an_end_by_force_still_writes_what_was_said(way: str) -> None:
    ended = subprocess.run([sys.executable, "-c", BY_FORCE, way], stderr=subprocess.PIPE, timeout=60, check=False)
    assert ended.returncode == 143
    events = [check_line(line) for line in ended.stderr.decode().splitlines()]
    assert [event["video_id"] for event in events if event["event"] == "source.deleted"] == list(range(500))
    if way == "deadline":
        assert events[-1]["event"] == "service.forced"
        assert events[-1]["threads"] == ["MainThread"]


@pytest.mark.parametrize("way", ["signal", "deadline"])
def test_an_end_by_force_does_not_wait_for_a_reader_that_is_stuck(way: str) -> None:
    with stuck(["-c", BY_FORCE, way]) as (process, _):
        assert process.wait(30.0) == 143
