"""What happens to a daemon at work: the disk fills, programs vanish, folders go and come back, files grow."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from daemon.export.ffmpeg_process import find_binary
from daemon.runtime.deadline import GRACE_SECONDS
from tests import films
from tests.acceptance.harness import PATIENCE_SECONDS, Daemon, frame_rows, query, stills, write_config

QUICK = {"pause_seconds": 0.2, "retry_seconds": 0.3, "stop_seconds": 1.0}
MIB = 1024 * 1024
DEADLINE_SECONDS = QUICK["stop_seconds"] + GRACE_SECONDS


def film(folder: Path, name: str = "film.mkv", **options: Any) -> Path:
    made = films.make(
        folder / f".{name}", **({"frames": 24, "width": 320, "height": 240, "container": "matroska"} | options)
    )
    return made.rename(folder / name)


def long_film(folder: Path) -> Path:
    """Enough to be interrupted, dropped whole."""
    return films.noise(folder.parent / "film.mkv").rename(folder / "film.mkv")


def until(folder: Path, sql: str, wanted: list[tuple[Any, ...]]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := query(folder, sql)) != wanted:
        assert time.monotonic() < deadline, f"{sql}: {found}, not {wanted}"
        time.sleep(0.02)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of that size, with a file that fills it."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder / "filler"
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(filler: Path) -> None:
    """Take all the room that there is."""
    handle = os.open(filler, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while True:
                    os.write(handle, b"\0" * size)
    finally:
        os.close(handle)


def stand_in(folder: Path, script: str) -> Path:
    """An FFmpeg that does as the script says when it is to make images; ``$REAL`` is the real one."""
    path = folder / "ffmpeg"
    path.write_text(
        f'#!/bin/sh\nREAL="{find_binary("")}"\ncase "$*" in *framehash*|*image2*|*rawvideo*) ;; *) exec "$REAL" "$@";; esac\n{script}\n'
    )
    path.chmod(0o755)
    return path


# Disks


def test_a_full_output_disk_is_waited_for(tmp_path: Path) -> None:
    config = write_config(tmp_path, service=QUICK)
    with small_disk(tmp_path / "stills", 8 * MIB) as filler:
        fill(filler)
        with Daemon(config).ready() as daemon:
            film(tmp_path / "inbox")
            paused = daemon.event("service.paused")
            assert (paused["stage"], paused["error_kind"]) == ("exporting", "disk_full")
            assert "make room" in paused["error"]
            until(tmp_path, "SELECT status, frames_scored FROM videos", [("scored", 24)])
            filler.unlink()
            daemon.event("video.done")
            daemon.event("service.resumed")
            assert daemon.stop() == 0
        assert len([name for name in stills(tmp_path) if name.endswith(".png")]) == 3


def test_a_disk_that_fills_up_while_stills_are_written_is_waited_for(tmp_path: Path) -> None:
    """The room is there when the export begins, and gone when FFmpeg writes."""
    going = tmp_path / "going"
    slow = stand_in(tmp_path, f'touch "{going}"; while [ -e "{going}" ]; do sleep 0.05; done; exec "$REAL" "$@"')
    config = write_config(tmp_path, service=QUICK, export={"ffmpeg": str(slow)})
    with small_disk(tmp_path / "stills", 8 * MIB) as filler, Daemon(config).ready() as daemon:
        film(tmp_path / "inbox")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not going.exists():
            assert time.monotonic() < deadline, daemon.tail()
            time.sleep(0.02)
        fill(filler)
        slow.write_text(slow.read_text().replace("touch", ": "))
        going.unlink()
        assert daemon.event("service.paused")["error_kind"] == "disk_full"
        filler.unlink()
        daemon.event("video.done")
        assert daemon.stop() == 0
        assert query(tmp_path, "SELECT status, attempts, retries FROM videos") == [("done", 0, 0)]


def test_a_full_database_disk_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    config = write_config(tmp_path, service=QUICK, database={"path": "db/stillwatch.db"})
    with small_disk(tmp_path / "db", 4 * MIB) as filler, Daemon(config).ready() as daemon:
        film(tmp_path / "inbox", "first.mkv")
        daemon.event("video.done")
        fill(filler)
        film(tmp_path / "inbox", "second.mkv", frames=400, width=192, height=108)
        assert daemon.event("service.paused")["error_kind"] == "disk_full"
        filler.unlink()
        daemon.event("video.done", "second.mkv")
        assert daemon.stop() == 0
        with sqlite3.connect(tmp_path / "db" / "stillwatch.db") as db:
            rows = db.execute(
                "SELECT status, frames_decoded, frames_scored, attempts FROM videos ORDER BY id"
            ).fetchall()
            frames = db.execute("SELECT frame FROM frames WHERE video_id = 2 ORDER BY frame").fetchall()
        db.close()
    assert rows == [("done", 24, 24, 0), ("done", 400, 400, 0)]
    assert [frame for (frame,) in frames] == list(range(400))


def test_a_database_that_another_program_holds_is_waited_for(tmp_path: Path) -> None:
    config = write_config(tmp_path, service=QUICK, database={"busy_seconds": 0.3})
    with Daemon(config).ready() as daemon:
        other = sqlite3.connect(tmp_path / "stillwatch.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            film(tmp_path / "inbox")
            paused = daemon.event("service.paused")
            other.execute("ROLLBACK")
        finally:
            other.close()
        assert paused["error_kind"] == "busy"
        daemon.event("video.done")
        assert daemon.stop() == 0


# FFmpeg


def test_an_ffmpeg_that_is_missing_for_a_while_is_tried_again(tmp_path: Path) -> None:
    binary = stand_in(tmp_path, 'exec "$REAL" "$@"')
    config = write_config(tmp_path, service=QUICK, export={"ffmpeg": str(binary)})
    with Daemon(config).ready() as daemon:
        away = binary.rename(tmp_path / "away")
        film(tmp_path / "inbox")
        postponed = daemon.event("video.postponed")
        assert postponed["error_kind"] == "ffmpeg_missing"
        away.rename(binary)
        daemon.event("video.done")
        assert daemon.stop() == 0
    assert query(tmp_path, "SELECT status, error, frames_scored FROM videos") == [("done", None, 24)]


def test_an_ffmpeg_that_is_killed_is_followed_by_another(tmp_path: Path) -> None:
    once = tmp_path / "once"
    binary = stand_in(tmp_path, f'[ -e "{once}" ] || {{ touch "{once}"; kill -9 $$; }}\nexec "$REAL" "$@"')
    config = write_config(tmp_path, service=QUICK, export={"ffmpeg": str(binary)})
    with Daemon(config).ready() as daemon:
        film(tmp_path / "inbox")
        assert "code -9" in daemon.event("export.fallback")["reason"]
        daemon.event("video.done")
        assert daemon.stop() == 0
    assert once.exists()
    assert query(tmp_path, "SELECT DISTINCT method FROM stills") == [("single",)]


# Folders and files


def test_a_watch_folder_that_goes_and_comes_back_is_no_rework_and_no_loss(tmp_path: Path) -> None:
    config = write_config(tmp_path, service=QUICK)
    inbox, away = tmp_path / "inbox", tmp_path / "away"
    with Daemon(config).ready() as daemon:
        film(inbox, "first.mkv")
        daemon.event("video.done", "first.mkv")
        inbox.rename(away)
        daemon.event("watch.unavailable")
        film(away, "second.mkv", frames=30)
        away.rename(inbox)
        daemon.event("video.done", "second.mkv")
        film(inbox, "third.mkv", frames=36)
        daemon.event("video.done", "third.mkv")
        assert daemon.stop() == 0
    assert query(tmp_path, "SELECT status, COUNT(*) FROM videos GROUP BY 1") == [("done", 3)]
    started = [event["video"] for event in daemon.events if event["event"] == "video.started"]
    assert len(started) == len(set(started)) == 3


def test_permissions_that_are_taken_away_and_given_back(tmp_path: Path) -> None:
    config = write_config(tmp_path, service=QUICK)
    command = [sys.executable, "-m", "daemon", "run", "--config", str(config)]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root cannot be kept from writing without setpriv")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    with Daemon(config, command).ready() as daemon:
        (tmp_path / "stills").chmod(0o500)
        film(tmp_path / "inbox")
        paused = daemon.event("service.paused")
        assert (paused["error_kind"], "permission to write" in paused["error"]) == ("away", True)
        (tmp_path / "stills").chmod(0o700)
        daemon.event("video.done")
        secret = film(tmp_path, "secret.mkv", frames=30)
        secret.chmod(0)
        secret = secret.rename(tmp_path / "inbox" / "secret.mkv")
        failed = daemon.wait_for(lambda e: e["event"] in ("video.failed", "video.rejected", "video.postponed"))
        assert (failed["error_kind"], "may not be read" in failed["error"]) == ("unreadable", True)
        secret.chmod(0o600)
        daemon.event("video.done", "secret.mkv")
        assert daemon.stop() == 0
    assert query(tmp_path, "SELECT status, COUNT(*) FROM videos GROUP BY 1") == [("done", 2)]


def test_a_share_that_is_away_for_longer_than_any_retry_costs_nothing(tmp_path: Path) -> None:
    config = write_config(tmp_path, service={**QUICK, "max_retries": 1})
    command = [sys.executable, "-m", "daemon", "run", "--config", str(config)]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may read everything without setpriv")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    inbox = tmp_path / "inbox"
    with Daemon(config, command).ready() as daemon:
        long_film(inbox)
        daemon.event("video.progress")
        film(inbox, "next.mkv")
        daemon.event("video.queued", "next.mkv")
        inbox.chmod(0)
        assert daemon.event("service.paused")["error_kind"] == "away"
        for _ in range(4):
            daemon.event("watch.unavailable")
        inbox.chmod(0o700)
        # Whichever is tried again first.
        done = {Path(daemon.event("video.done")["video"]).name for _ in range(2)}
        assert done == {"film.mkv", "next.mkv"}
        assert daemon.stop() == 0
    assert query(tmp_path, "SELECT status, retries, COUNT(*) FROM videos GROUP BY 1, 2") == [("done", 0, 2)]


def test_a_copy_takes_the_place_of_an_original_that_goes_away(tmp_path: Path) -> None:
    config = write_config(tmp_path, service=QUICK)
    inbox = tmp_path / "inbox"
    with Daemon(config).ready() as daemon:
        long_film(inbox)
        daemon.event("video.progress")
        film(inbox, "a.mkv")
        daemon.event("video.queued", "a.mkv")
        shutil.copy(inbox / "a.mkv", tmp_path / "b.mkv")
        (tmp_path / "b.mkv").rename(inbox / "b.mkv")
        daemon.event("video.rejected", "b.mkv")
        (inbox / "a.mkv").unlink()
        assert daemon.event("video.queued", "b.mkv")["again"] is True
        daemon.event("video.done", "b.mkv")
        assert daemon.stop() == 0


def test_a_database_that_is_deleted_under_the_daemon_ends_it_with_a_reason(tmp_path: Path) -> None:
    config = write_config(tmp_path, service=QUICK)
    with Daemon(config).ready() as daemon:
        (tmp_path / "stillwatch.db").unlink()
        failed = daemon.event("service.failed")
        assert (failed["error_kind"], "deleted or replaced" in failed["error"]) == ("database", True)
        assert daemon.process.wait(30) == 1


def test_a_database_that_is_held_at_the_start_is_waited_for(tmp_path: Path) -> None:
    config = write_config(tmp_path, service=QUICK, database={"busy_seconds": 0.1})
    with Daemon(config).ready() as daemon:
        assert daemon.stop() == 0
    holder = sqlite3.connect(tmp_path / "stillwatch.db", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with Daemon(config) as daemon:
            assert daemon.event("service.paused")["error_kind"] == "busy"
            holder.execute("ROLLBACK")
            holder.close()
            daemon.event("service.resumed")
            daemon.ready()
            assert daemon.stop() == 0
    finally:
        holder.close()


def test_a_file_that_grows_while_it_is_scored_is_taken_again_once_it_is_still(tmp_path: Path) -> None:
    config = write_config(tmp_path, service=QUICK, log={"progress_seconds": 0.1})
    path = tmp_path / "inbox" / "film.mkv"
    with Daemon(config).ready() as daemon:
        long_film(path.parent)
        daemon.event("video.progress")
        with path.open("ab") as file:
            file.write(b"\0" * 1000)
        assert daemon.event("video.failed")["error_kind"] == "changed"
        daemon.event("video.done")
        assert daemon.stop() == 0
    current = "SELECT status, frames_scored FROM videos WHERE status NOT IN ('missing', 'replaced')"
    assert query(tmp_path, current) == [("done", 300)]
    until(tmp_path, "SELECT size_bytes FROM videos WHERE status = 'done'", [(path.stat().st_size,)])


def test_a_daemon_whose_log_nobody_reads_any_more_goes_on(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "daemon", "run", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=writing) as process:
        os.close(writing)
        with os.fdopen(reading) as log:
            assert any("service.ready" in line for line in log)
        film(tmp_path / "inbox")
        until(tmp_path, "SELECT status FROM videos", [("done",)])
        process.terminate()
        assert process.wait(30.0) == 0


# A stop in every state


STATES: dict[str, dict[str, dict[str, Any]]] = {
    "idle": {},
    "settling": {"watch": {"settle_seconds": 600.0}},
    "scoring": {},
    "exporting": {},
    "paused": {"export": {"disk_margin_bytes": 10**18}},
    "postponed": {},
    "locked out": {},
}


def bring_about(state: str, daemon: Daemon, folder: Path) -> sqlite3.Connection | None:
    """Put the daemon into the state; the connection that locks it out, if any."""
    if state == "idle":
        return None
    long_film(folder / "inbox")
    if state == "postponed":
        daemon.event("video.scored")
        (folder / "ffmpeg").unlink()
        (folder / "gate").touch()
        daemon.event("video.postponed")
    elif state == "exporting":
        daemon.event("video.selected")
    elif state == "paused":
        daemon.event("service.paused")
    elif state != "settling":
        daemon.event("video.progress")
    if state != "locked out":
        return None
    other = sqlite3.connect(folder / "stillwatch.db", isolation_level=None, timeout=30.0)
    other.execute("BEGIN IMMEDIATE")
    return other


@pytest.mark.parametrize("state", STATES)
def test_a_stop_ends_in_time_with_code_0(tmp_path: Path, state: str) -> None:
    sections = {"service": {**QUICK, "pause_seconds": 600.0, "retry_seconds": 600.0}, "log": {"progress_seconds": 0.1}}
    if state in ("exporting", "postponed"):
        waits = f'while [ ! -e "{tmp_path}/gate" ]; do sleep 0.05; done; kill -9 $$'
        sections["export"] = {"ffmpeg": str(stand_in(tmp_path, waits))}
    config = write_config(tmp_path, **sections, **STATES[state])
    with Daemon(config).ready() as daemon:
        other = bring_about(state, daemon, tmp_path)
        began = time.monotonic()
        code = daemon.stop()
        took = time.monotonic() - began
        if other is not None:
            other.close()
    assert (code, took < DEADLINE_SECONDS) == (0, True), f"code {code} after {took:.1f} s: {daemon.tail()}"
    if state == "locked out":
        # The row could not be written: the next start finds it as after a kill.
        return
    assert [event["event"] for event in daemon.events][-1] == "service.stopped"
    assert query(tmp_path, "SELECT DISTINCT attempts FROM videos") in ([], [(0,)])
    assert not (tmp_path / "stills" / ".stillwatch-work").exists()


def test_a_second_signal_forces(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        service={"stop_seconds": 60.0},
        export={"ffmpeg": str(stand_in(tmp_path, f'touch "{tmp_path}/going"; exec sleep 600'))},
    )
    with Daemon(config).ready() as daemon:
        film(tmp_path / "inbox")
        while not (tmp_path / "going").exists():
            time.sleep(0.02)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.event("service.stopping")
        assert daemon.stop(seconds=5.0) == 128 + signal.SIGTERM


# Settings


def test_hup_takes_over_what_can_change_and_says_what_cannot(tmp_path: Path) -> None:
    config = write_config(tmp_path, select={"count": 1})
    with Daemon(config).ready() as daemon:
        film(tmp_path / "inbox", "first.mkv")
        assert daemon.event("video.done")["stills"] == 1
        write_config(tmp_path, select={"count": 4, "min_gap_seconds": 0.05}, decode={"concurrency": 2})
        daemon.process.send_signal(signal.SIGHUP)
        reloaded = daemon.event("service.reloaded")
        assert reloaded["changed"] == ["select.count", "select.min_gap_seconds"]
        assert reloaded["needs_restart"] == ["decode.concurrency"]
        film(tmp_path / "inbox", "second.mkv", frames=30)
        assert daemon.event("video.done")["stills"] == 4
        config.write_text("select: {count: many}\n")
        daemon.process.send_signal(signal.SIGHUP)
        assert "select.count" in daemon.event("service.reload_failed")["error"]
        film(tmp_path / "inbox", "third.mkv", frames=36)
        assert daemon.event("video.done")["stills"] == 4
        assert daemon.stop() == 0
    assert len(frame_rows(tmp_path)) == 90
