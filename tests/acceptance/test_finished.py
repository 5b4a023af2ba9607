"""Files that somebody still writes to, under a running daemon that deletes what is done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from tests import films
from tests.acceptance.harness import PATIENCE_SECONDS, Daemon, cli, query, write_config

pytestmark = pytest.mark.model

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
ROOT = Path(__file__).parents[2]
FRAMES = 30
OTHER_USER = 12345
COMPILING_SECONDS = 600.0
APPEND = """
file = open(path, "ab", buffering=0)
for part in parts:
    file.write(part)
    pause()
file.close()
"""
IN_PLACE = """
file = open(path, "wb")
file.truncate(len(data))
file.close()
file = open(path, "r+b")
mapped = mmap.mmap(file.fileno(), 0)
file.close()
at = 0
for part in parts:
    mapped[at : at + len(part)] = part
    mapped.flush()
    at += len(part)
    pause()
mapped.close()
"""
WRITER = """
import mmap, os, sys
path, data = sys.argv[1], open(sys.argv[2], "rb").read()
third = len(data) // 3 // 188 * 188
parts = (data[:third], data[third : 2 * third], data[2 * third :])
def pause():
    print("pause", flush=True)
    sys.stdin.readline()
"""


class Recorder:
    """Another process that writes a film in three parts, and goes on after each when it is told to."""

    def __init__(self, way: str, path: Path, film: Path) -> None:
        command = [sys.executable, "-c", WRITER + way, str(path), str(film)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.paused()

    def paused(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "pause\n"

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def recorded(way: str, path: Path, film: Path) -> Iterator[Recorder]:
    recorder = Recorder(way, path, film)
    try:
        yield recorder
    finally:
        recorder.end()


def film_as(folder: Path, name: str, *options: str) -> Path:
    """A film of FRAMES frames in another container."""
    source = films.make(folder / "source.mp4", frames=FRAMES)
    command = [FFMPEG, "-v", "error", "-i", str(source), "-c", "copy", *options, str(folder / name)]
    subprocess.run(command, check=True)
    return folder / name


def without_rights(config: Path) -> list[str]:
    """The command of a daemon without any capability: the kernel tells it of its own user's files only."""
    words = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    return [*words, sys.executable, "-m", "daemon", "run", "--config", str(config)]


def as_other_user(folder: Path, compiled: Path) -> list[str]:
    """The words that run this Python and these packages as OTHER_USER in ``folder``; skips where that cannot be."""
    words = ["setpriv", f"--reuid={OTHER_USER}", f"--regid={OTHER_USER}", "--clear-groups", "--inh-caps=-all"]
    words += ["--bounding-set=-all", "env", f"PYTHONPATH={os.pathsep.join([str(ROOT), *map(str, sys.path[1:])])}"]
    words += [f"HOME={folder}", f"NUMBA_CACHE_DIR={compiled}"]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin")):
        tried = [
            *words,
            str(python),
            "-c",
            "import daemon, av, numba, subprocess, sys; subprocess.run([sys.executable, '-V'])",
        ]
        if python and subprocess.run(tried, capture_output=True, check=False, cwd="/").returncode == 0:
            return [*words, python]
    pytest.skip("no Python with these packages may be run by another user")


def status(config: Path, wanted: str) -> None:
    """Wait until `status` has these words: the daemon writes its progress file once a second."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while wanted not in (shown := cli("status", "--config", str(config)).stdout):
        assert time.monotonic() < deadline, shown


def waiting(daemon: Daemon, name: str) -> dict[str, Any]:
    return daemon.wait_for(lambda event: event["event"] == "watch.waiting" and name in event["names"])


KINDS = {
    "transport stream": ("film.ts", APPEND, []),
    "live Matroska": ("film.mkv", APPEND, ["-live", "1"]),
    "fragments": ("film.mp4", APPEND, ["-movflags", "+frag_keyframe+empty_moov", "-g", "5"]),
    "filled in place by a mapping": ("film.avi", IN_PLACE, []),
}


@pytest.mark.parametrize("rights", ["all", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_is_taken_and_deleted_once_it_is_closed(tmp_path: Path, kind: str, rights: str) -> None:
    name, way, options = KINDS[kind]
    config = write_config(tmp_path, watch={"after": "delete"})
    film = film_as(tmp_path, name, *options)
    with recorded(way, tmp_path / "inbox" / name, film) as recorder:
        command = without_rights(config) if rights == "none" else None
        with Daemon(config, command).ready() as daemon:
            said = waiting(daemon, name)
            assert "has it open for writing" in said["reason"]
            status(config, f"{name} ({said['reason']})")
            for _ in range(2):
                recorder.go_on()
                recorder.paused()
            assert not query(tmp_path, "SELECT * FROM videos")
            recorder.go_on()
            daemon.event("video.queued")
            assert daemon.event("video.scored")["frames"] == FRAMES
            # What was recorded live has no duration, which is what a recorder that died leaves behind too.
            ended = daemon.wait_for(lambda event: event["event"] in ("source.deleted", "source.kept"))
            assert (ended["event"] == "source.kept") == (kind == "live Matroska")
            assert daemon.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_of_other_users_files_longer_stillness_decides(tmp_path: Path) -> None:
    config = write_config(tmp_path, watch={"after": "delete", "unfinished_seconds": 6})
    film = film_as(tmp_path, "film.ts")
    path = tmp_path / "inbox" / "film.ts"
    with recorded(APPEND, path, film) as recorder:
        os.chown(path, OTHER_USER, OTHER_USER)
        # The writer is another user's process as well: it is not seen in /proc.
        command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=TERM", *without_rights(config)]
        with Daemon(config, command).ready() as daemon:
            assert "cannot be seen" in waiting(daemon, "film.ts")["reason"]
            for _ in range(3):
                recorder.go_on()
            daemon.event("video.queued")
            assert daemon.event("video.scored")["frames"] == FRAMES
            daemon.event("source.deleted")


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    """Where OTHER_USER keeps compiled code: each of two daemons would need a minute for it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chown(name, OTHER_USER, OTHER_USER)
        yield Path(name)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a process as another user")
@pytest.mark.parametrize("owner", ["its own", "another user's"])
def test_a_daemon_that_is_not_root_deletes_no_recording_before_its_end(
    open_folder: Path, compiled: Path, owner: str
) -> None:
    """Of its own files the kernel tells who writes, of another user's it does not."""
    config = write_config(open_folder, watch={"after": "delete", "unfinished_seconds": 6})
    film = film_as(open_folder, "film.ts")
    path = open_folder / "inbox" / "film.ts"
    command = [*as_other_user(open_folder, compiled), "-m", "daemon", "run", "--config", str(config)]
    with recorded(APPEND, path, film) as recorder:
        for place in (open_folder, open_folder / "inbox", *([path] if owner == "its own" else [])):
            os.chown(place, OTHER_USER, OTHER_USER)
        with Daemon(config, command) as daemon:
            daemon.wait_for(lambda event: event["event"] == "service.ready", COMPILING_SECONDS)
            reason = waiting(daemon, "film.ts")["reason"]
            assert ("has it open for writing" if owner == "its own" else "cannot be seen") in reason
            for _ in range(2):
                recorder.go_on()
                recorder.paused()
            assert path.exists()
            recorder.go_on()
            daemon.event("video.queued")
            assert daemon.event("video.scored")["frames"] == FRAMES
            daemon.event("source.deleted")
            assert daemon.stop() == 0


def test_what_a_recorder_that_died_left_behind_is_taken_and_never_deleted(tmp_path: Path) -> None:
    config = write_config(tmp_path, watch={"after": "delete"})
    film = film_as(tmp_path, "film.mkv", "-live", "1")
    with recorded(APPEND, tmp_path / "inbox" / "film.mkv", film) as recorder, Daemon(config).ready() as daemon:
        waiting(daemon, "film.mkv")
        recorder.go_on()
        recorder.paused()
        recorder.end()
        daemon.event("video.scored")
        daemon.event("source.kept")
        assert daemon.stop() == 0
    assert (tmp_path / "inbox" / "film.mkv").exists()


def test_a_download_that_was_given_up_is_taken_after_a_while(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    film = films.make(tmp_path / "film.mp4", frames=3)
    (tmp_path / "inbox" / "film.mp4.aria2").write_bytes(b"state")
    shutil.copy(film, tmp_path / "inbox")
    with Daemon(config).ready() as daemon:
        assert waiting(daemon, "film.mp4")["reason"] == "film.mp4.aria2 is beside it, as during a download"
        daemon.event("video.done")
        assert daemon.stop() == 0


def test_a_marker_is_waited_for_and_is_no_video(tmp_path: Path) -> None:
    config = write_config(tmp_path, watch={"ready": "marker"})
    inbox = tmp_path / "inbox"
    for name in ("late.mp4", "never.mp4"):
        films.make(inbox / name, frames=3, numbers=range(len(name), len(name) + 3))
    with Daemon(config).ready() as daemon:
        waiting(daemon, "late.mp4")
        (inbox / "late.mp4.done").touch()
        assert daemon.event("video.done")["video"].endswith("late.mp4")
        status(config, "never.mp4 (its marker never.mp4.done is not there)")
        assert daemon.stop() == 0
    assert query(tmp_path, "SELECT COUNT(*) FROM videos") == [(1,)]
    assert not [event for event in daemon.events if event["event"] == "watch.not_taken"]


NAMES = ["clip.f137.mp4", "clip.f251-drc.webm", "clip.temp.mp4", "b.tmp.mp4", "b.part.mp4", "b-TdarrCacheFile-x1.mkv"]
NAMES += ["b-a1b2c-WORKING-1-2.mkv", "film.fhls-1080p.mp4", "b.TEMP.mkv"]


def test_names_of_videos_that_are_still_made_are_left_alone_and_said(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    film = films.make(tmp_path / "film.mp4", frames=3)
    # Names that only look a little like them.
    taken = ["clip.mp4", "race.f1.mp4", "temp.mp4", "room.temp.2024.mp4"]
    for number, name in enumerate((*NAMES, *taken)):
        # Other bytes, so that none is a duplicate.
        (tmp_path / "inbox" / name).write_bytes(film.read_bytes() + b"\0\0\0\x09free" + bytes([number]))
    with Daemon(config).ready() as daemon:
        assert {Path(daemon.event("video.done")["video"]).name for _ in taken} == set(taken)
        assert daemon.stop() == 0
    said = [event for event in daemon.events if event["event"] == "watch.not_taken"]
    assert {name for event in said for name in event["names"]} == set(NAMES)
    assert {event["key"] for event in said} == {"watch.in_progress"}


def test_doctor_says_whether_writers_are_seen(tmp_path: Path) -> None:
    config = write_config(tmp_path, watch={"after": "delete"})
    words = without_rights(config)[: -len(["run", "--config", str(config)])]
    ended = subprocess.run(
        [*words, "doctor", "--json", "--config", str(config)], capture_output=True, text=True, check=False
    )
    found = {one["check"]: one for one in json.loads(ended.stdout)}["writers"]
    assert not found["ok"]
    assert "CAP_LEASE" in found["fix"]
