"""What becomes of sources under a running daemon, and that stills can be proven afterwards."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests import films
from tests.acceptance.harness import Daemon, cli, query, write_config

pytestmark = pytest.mark.model


def verdicts(tmp_path: Path, config: Path) -> list[tuple[bool, str]]:
    ended = cli("verify", str(tmp_path / "stills"), "--config", str(config), "--json")
    return [(one["proven"], one["reason"]) for one in json.loads(ended.stdout)]


def test_a_moved_source_is_found_again_by_every_command_and_never_taken_again(tmp_path: Path) -> None:
    config = write_config(tmp_path, watch={"after": "move", "after_path": "archive"})
    film = films.make(tmp_path / "film.mp4", frames=30)
    (tmp_path / "inbox" / "camera").mkdir()
    shutil.copy(film, tmp_path / "inbox" / "camera" / "film.mp4")
    moved = tmp_path / "archive" / "camera" / "film.mp4"
    with Daemon(config).ready() as daemon:
        assert daemon.event("source.moved")["to"] == str(moved)
        # Another film under the name that is free again, and the same one once more.
        films.make(tmp_path / "other.mp4", frames=20, numbers=range(50, 70))
        (tmp_path / "other.mp4").rename(tmp_path / "inbox" / "camera" / "film.mp4")
        assert daemon.event("source.moved")["to"] == str(moved.with_name("film-2.mp4"))
        shutil.copy(film, tmp_path / "inbox" / "again.mp4")
        assert daemon.event("video.rejected")["error_kind"] == "duplicate"
        assert daemon.stop() == 0
    assert moved.read_bytes() == film.read_bytes()
    assert query(tmp_path, "SELECT path, status FROM videos WHERE id = 1") == [(str(moved), "done")]
    assert verdicts(tmp_path, config) == [(True, "")] * 6
    chosen = cli("select", "1", "--count", "2", "--config", str(config))
    assert chosen.returncode == 0, chosen.stderr
    assert "source moved" in cli("show", "1", "--config", str(config)).stdout
    with Daemon(config).ready() as daemon:
        assert daemon.stop() == 0
    assert query(tmp_path, "SELECT COUNT(*) FROM videos") == [(3,)]


def test_a_deleted_source_is_said_to_be_deleted_wherever_it_is_missed(tmp_path: Path) -> None:
    config = write_config(tmp_path, watch={"after": "delete"})
    shutil.copy(films.make(tmp_path / "film.mp4", frames=30), tmp_path / "inbox")
    (tmp_path / "inbox" / "text.mp4").write_text("not a video\n" * 50)
    with Daemon(config).ready() as daemon:
        daemon.event("source.deleted")
        assert daemon.stop() == 0
    assert [path.name for path in (tmp_path / "inbox").iterdir()] == ["text.mp4"]
    assert query(tmp_path, "SELECT status FROM videos ORDER BY path") == [("done",), ("rejected",)]
    found = verdicts(tmp_path, config)
    assert len(found) == 3
    assert all(not proven and "was deleted" in reason for proven, reason in found)
    chosen = cli("select", "film.mp4", "--count", "2", "--config", str(config))
    assert chosen.returncode == 1
    assert "was deleted after its stills were published" in chosen.stderr
    assert query(tmp_path, "SELECT status FROM videos WHERE path LIKE '%film.mp4'") == [("done",)]
    shutil.copy2(tmp_path / "film.mp4", tmp_path / "inbox")
    assert verdicts(tmp_path, config) == [(True, "")] * 3
    with Daemon(config).ready() as daemon:
        assert daemon.event("video.known")["status"] == "done"
        assert "dropped again" in daemon.event("source.kept")["reason"]
        assert cli("select", "film.mp4", "--count", "2", "--config", str(config)).returncode == 0
        assert daemon.stop() == 0
    assert (tmp_path / "inbox" / "film.mp4").exists()


def test_a_kill_right_after_done_is_made_up_for_at_the_next_start(tmp_path: Path) -> None:
    config = write_config(tmp_path, watch={"after": "delete"})
    shutil.copy(films.make(tmp_path / "film.mp4", frames=30), tmp_path / "inbox")
    with Daemon(config).ready() as daemon:
        daemon.event("export.verified")
        daemon.stop(signal.SIGKILL)
    with Daemon(config).ready() as daemon:
        if (tmp_path / "inbox" / "film.mp4").exists():
            daemon.event("source.deleted")
        assert daemon.stop() == 0
    assert not (tmp_path / "inbox" / "film.mp4").exists()
    assert query(tmp_path, "SELECT v.status, s.state FROM videos v JOIN sources s ON s.video_id = v.id") == [
        ("done", "deleted")
    ]
    assert len(list((tmp_path / "stills").rglob("*.png"))) == 3


def test_a_file_that_was_named_by_hand_is_never_touched(tmp_path: Path) -> None:
    config = write_config(tmp_path, watch={"after": "delete"})
    film = films.make(tmp_path / "inbox" / "film.mp4", frames=12)
    assert cli("once", str(film), "--config", str(config)).returncode == 0
    with Daemon(config).ready() as daemon:
        assert daemon.stop() == 0
    assert film.exists()


def test_a_target_inside_the_watch_folder_stops_the_start_with_one_line(tmp_path: Path) -> None:
    config = write_config(tmp_path, watch={"after": "move", "after_path": "inbox/done"})
    ended = cli("run", "--config", str(config))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "watch.after_path" in ended.stderr


def test_every_source_of_a_busy_folder_is_moved(tmp_path: Path) -> None:
    """The aims are made durable while other tasks read the same database."""
    config = write_config(tmp_path, watch={"after": "move", "after_path": "archive"}, service={"poll_seconds": 1.0})
    names = [f"clip{number:02}.mp4" for number in range(25)]
    for number, name in enumerate(names):
        films.make(tmp_path / "inbox" / name, numbers=range(number * 3, number * 3 + 3))
    moved: list[str] = []

    def all_moved(event: dict[str, Any]) -> bool:
        assert event["event"] != "attendant.crashed", event
        if event["event"] == "source.moved":
            moved.append(event["to"])
        return len(moved) == len(names)

    with Daemon(config).ready() as daemon:
        daemon.wait_for(all_moved)
        assert daemon.stop() == 0
    assert not {"source.failed", "source.waiting", "source.kept"} & {event["event"] for event in daemon.events}
    assert sorted(path.name for path in (tmp_path / "archive").iterdir()) == names
    assert query(tmp_path, "SELECT state, COUNT(*) FROM sources GROUP BY state") == [("moved", 25)]
