"""The log of the real daemon: every line fits the contract, and standard output belongs to the commands."""

from __future__ import annotations

import json
import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests import films
from tests.acceptance.harness import Daemon, cli, write_config
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
    for line in ended.stderr.splitlines():
        check_line(line)


def test_a_start_that_fails_says_why_in_one_event(tmp_path: Path) -> None:
    config = write_config(tmp_path, score={"metric": "no-such-metric"})
    ended = cli("run", "--config", str(config))
    assert (ended.returncode, ended.stdout) == (1, "")
    event = check_line(ended.stderr.removesuffix("\n"))
    assert (event["event"], event["error_kind"]) == ("service.failed", "metric")
    assert "no-such-metric" in event["error"]
