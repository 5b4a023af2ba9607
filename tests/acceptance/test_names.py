"""What people drop in and name by hand, through the commands: every name gets its film or its sentence."""

from __future__ import annotations

import json
import time
import unicodedata
from pathlib import Path

from tests import films
from tests.acceptance.harness import PATIENCE_SECONDS, Daemon, cli, query, write_config


def test_other_endings_are_taken_and_what_is_not_is_seen_everywhere(tmp_path: Path) -> None:
    config = write_config(tmp_path, select={"strategy": "best", "count": 1, "min_gap_seconds": 0})
    inbox = tmp_path / "inbox"
    (inbox / "notes.txt").write_text("hello")
    films.make(inbox / "GX010001.MP4", frames=3)
    films.make(tmp_path / "low.mp4", frames=2, width=96, height=54).rename(inbox / "GL010001.LRV")
    films.make(tmp_path / "film.mkv", frames=4).rename(inbox / "noext")
    with Daemon(config).ready() as daemon:
        done = {Path(daemon.event("video.done")["video"]).name for _ in range(2)}
        assert done == {"GX010001.MP4", "noext"}
        said = [event for event in daemon.events if event["event"] == "watch.not_taken"]
        assert {name: event["key"] for event in said for name in event["names"]} == {
            "notes.txt": "watch.extensions",
            "GL010001.LRV": "watch.companions",
        }
        # What the daemon has seen is in its progress file, which is written once a second.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "notes.txt (not a video: text; watch.extensions)" not in (
            listed := cli("list", "--config", str(config)).stdout
        ):
            assert time.monotonic() < deadline, listed
        rows = json.loads(cli("list", "--json", "--config", str(config)).stdout)
        assert {Path(row["path"]).name for row in rows if row["status"] == "not_taken"} == {"notes.txt", "GL010001.LRV"}
        status = cli("status", "--config", str(config)).stdout
        assert "GL010001.LRV (a camera's companion of GX010001.MP4; watch.companions)" in status
        assert daemon.stop() == 0
    shown = cli("show", "GX010001.MP4", "--config", str(config)).stdout
    assert "companion " in shown
    assert "GL010001.LRV" in shown


def test_names_that_mean_no_file_get_one_sentence_and_nothing_is_stored(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    sentences = {
        "https://host/film.mp4": "stillwatch: https://host/film.mp4 is an address, and only files are taken:"
        " download it, then name the file",
        "never.mp4": "stillwatch: there is no file or folder never.mp4: check the name",
    }
    for given, sentence in sentences.items():
        ended = cli("once", given, "--config", str(config))
        assert (ended.returncode, ended.stderr.strip(), ended.stdout.strip()) == (1, sentence, "")
    assert not (tmp_path / "stillwatch.db").exists()
    film = films.make(tmp_path / "film.mp4", frames=3)
    ended = cli("once", "never.mp4", str(film), "--json", "--config", str(config))
    assert ended.returncode == 1
    assert [(Path(row["video"]).name, row["status"], row["ok"]) for row in json.loads(ended.stdout)] == [
        ("film.mp4", "done", True),
        ("never.mp4", "not_taken", False),
    ]
    assert query(tmp_path, "SELECT COUNT(*) FROM videos") == [(1,)]


def test_once_takes_a_folder_and_show_asks_which_of_two_names(tmp_path: Path) -> None:
    config = write_config(tmp_path, select={"strategy": "best", "count": 1, "min_gap_seconds": 0})
    folder = tmp_path / "card"
    for number, day in enumerate(("mon", "tue")):
        (folder / day).mkdir(parents=True)
        films.make(folder / day / "film.mp4", frames=3 + number)
    decomposed = unicodedata.normalize("NFD", "Grüße.mp4")
    films.make(folder / decomposed, frames=6)
    (folder / "notes.txt").write_text("x")
    ended = cli("once", str(folder), "--json", "--config", str(config))
    assert ended.returncode == 0, ended.stderr
    assert len(json.loads(ended.stdout)) == 3
    assert "notes.txt is not taken: not a video: text (watch.extensions)" in ended.stderr
    asked = cli("show", "film.mp4", "--config", str(config))
    assert asked.returncode == 1
    assert "2 videos are named 'film.mp4': say which by its path or number" in asked.stderr
    assert "mon/film.mp4 (video" in asked.stderr
    assert cli("show", "tue/film.mp4", "--config", str(config)).returncode == 0
    assert cli("show", unicodedata.normalize("NFC", decomposed), "--config", str(config)).returncode == 0
