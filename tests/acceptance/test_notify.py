"""What a service manager hears from a real daemon; systemd itself is in test_systemd."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests import films
from tests.acceptance.harness import Daemon, write_config

pytestmark = pytest.mark.model


def test_a_manager_hears_ready_the_watchdogs_food_the_work_and_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        with Daemon(config) as daemon:
            heard: list[str] = []

            def hear(line: str) -> None:
                while line not in heard:
                    heard.extend(manager.recv(4096).decode().splitlines())

            hear("STATUS=waiting for videos, 0 done")
            assert heard[0] == "READY=1"
            films.make(tmp_path / "film.mp4", frames=12).rename(tmp_path / "inbox" / "film.mp4")
            hear("STATUS=waiting for videos, 1 done")
            assert daemon.stop() == 0
            hear("STOPPING=1")
    # It took seconds, and was fed every tenth of one.
    assert heard.count("WATCHDOG=1") >= 10
