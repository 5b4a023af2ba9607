"""What another process can see of a running daemon, and that it believes no dead one."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.export.ffmpeg_process import find_binary
from tests.acceptance.harness import Daemon, cli, write_config

pytestmark = pytest.mark.model


def until(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What ``look`` returns, once that is something; each look is a process of its own."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
    raise AssertionError(f"waited {seconds} s in vain")


def status(config: Path) -> dict[str, Any]:
    ended = cli("status", "--json", "--config", str(config))
    assert ended.returncode == 0, ended.stderr
    state = json.loads(ended.stdout)
    assert isinstance(state, dict)
    return state


def slow(folder: Path, clip: Path) -> Path:
    """A daemon whose one video keeps it busy for the whole test: PIQE through pyiqa, frame by frame."""
    config = write_config(folder, score={"metric": "piqe", "max_batch": 1})
    loop = ["-stream_loop", "7", "-i", str(clip), "-c", "copy", str(folder / "long.mp4")]
    subprocess.run([find_binary(""), "-v", "error", *loop], check=True)
    (folder / "long.mp4").rename(folder / "inbox" / "long.mp4")
    return config


def progress_of(config: Path) -> dict[str, Any] | None:
    rows = [row for row in status(config)["working"] if (row["progress"] or {}).get("frame")]
    return rows[0] if rows else None


def test_progress_is_seen_from_outside_and_a_killed_daemon_is_not_believed(
    tmp_path: Path, clips: dict[str, Path]
) -> None:
    config = slow(tmp_path, clips["bikes.mp4"])
    board = tmp_path / "stillwatch.db.progress"
    with Daemon(config).ready() as daemon:
        row = until(lambda: progress_of(config))
        assert row["status"] == "scoring"
        assert row["progress"]["fps"] > 0
        assert row["progress"]["eta_s"] > 0
        state = status(config)
        assert (state["running"], state["pid"]) == (True, daemon.process.pid)
        lines = cli("status", "--config", str(config)).stdout.splitlines()
        assert lines[0].startswith("running since ")
        assert "fps" in lines[2]
        assert "to go" in lines[2]
        daemon.stop(signal.SIGKILL)
    assert board.exists()
    state = status(config)
    assert (state["running"], state["pid"]) == (False, None)
    assert [row["progress"] for row in state["working"]] == [None]
    with Daemon(config).ready() as daemon:
        assert daemon.stop() == 0
    assert not board.exists()


def test_watching_ends_on_ctrl_c_with_zero(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with Daemon(config).ready() as daemon:
        command = [sys.executable, "-m", "daemon", "status", "--watch", "--config", str(config)]
        watching = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True)
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["running"] is True
        assert daemon.stop() == 0
        assert json.loads(watching.stdout.readline())["running"] is False
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
        watching.stdout.close()


def test_in_a_terminal_the_state_is_drawn_in_place(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with Daemon(config).ready() as daemon:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "daemon", "status", "--watch", "--config", str(config)]
        watching = subprocess.Popen(command, stdin=theirs, stdout=theirs, env={**os.environ, "TERM": "xterm"})
        os.close(theirs)
        seen = b""
        while b"no videos yet" not in seen:
            seen += os.read(ours, 4096)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
        os.close(ours)
        assert daemon.stop() == 0
    assert b"running since" in seen
    assert b"\x1b[?25l" in seen


def test_without_a_database_watching_says_what_to_do(tmp_path: Path) -> None:
    ended = cli("status", "--watch", "--config", str(write_config(tmp_path)))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "stillwatch run" in ended.stderr
