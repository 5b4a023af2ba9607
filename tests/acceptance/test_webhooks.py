"""Hooks of the running daemon: they are told, they hold nothing up, and the log keeps their secrets."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests import films
from tests.acceptance.harness import Daemon, write_config
from tests.events import check_line

pytestmark = pytest.mark.model

NOTE = "import json, sys; open(sys.argv[1], 'a').write(json.dumps(json.load(sys.stdin)) + chr(10))"


def test_a_command_is_told_of_what_was_done_and_what_was_refused(tmp_path: Path) -> None:
    told = tmp_path / "told"
    notify = {"command": [sys.executable, "-c", NOTE, str(told)], "when": ["done", "rejected"]}
    config = write_config(tmp_path, notify=notify)
    film = films.make(tmp_path / "film.mp4", frames=30)
    shutil.copy(film, tmp_path / "inbox" / "a.mp4")
    (tmp_path / "inbox" / "text.mp4").write_text("not a video\n" * 50)
    with Daemon(config).ready() as daemon:
        sent = [daemon.event("notify.sent") for _ in range(2)]
        shutil.copy(film, tmp_path / "inbox" / "b.mp4")
        sent.append(daemon.event("notify.sent"))
        assert daemon.stop() == 0
    payloads = {Path(one["video"]).name: one for one in map(json.loads, told.read_text().splitlines())}
    assert {name: (one["event"], one["error_kind"]) for name, one in payloads.items()} == {
        "a.mp4": ("video.done", None),
        "text.mp4": ("video.rejected", "not_a_video"),
        "b.mp4": ("video.rejected", "duplicate"),
    }
    stills = payloads["a.mp4"]["stills"]
    assert [still["rank"] for still in stills] == [1, 2, 3]
    assert all(Path(still["path"]).is_file() for still in stills)


def test_a_hook_that_hangs_holds_up_neither_the_videos_nor_the_stop(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        notify={"command": ["sleep", "600"], "url": "https://127.0.0.1:1/T0K3N?key=T0K3N", "timeout_seconds": 300},
    )
    for number in range(3):
        films.make(tmp_path / "inbox" / f"film{number}.mp4", frames=12, numbers=range(number * 20, number * 20 + 12))
    with Daemon(config).ready() as daemon:
        for _ in range(3):
            daemon.event("video.done")
        assert daemon.stop(seconds=15.0) == 0
    dropped = [event for event in daemon.events if event["event"] == "notify.dropped"]
    assert len(dropped) == 3
    assert daemon.noise == []
    for event in daemon.events:
        check_line(json.dumps(event))
    assert "T0K3N" not in json.dumps(daemon.events)
