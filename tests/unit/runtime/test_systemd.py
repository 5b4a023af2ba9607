"""What the service manager is told, and the watchdog that it asks to be fed."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.runtime import systemd

UNIT = {"NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": "120000000"}


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_lines_go_out_as_one_message(manager: socket.socket) -> None:
    assert systemd.told()
    systemd.tell("READY=1", "STATUS=watching /in/ä\udcff")
    assert manager.recv(4096) == "READY=1\nSTATUS=watching /in/ä\\udcff".encode()


def test_an_abstract_socket_is_reached_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"stillwatch-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(5.0)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        systemd.tell("WATCHDOG=1")
        assert listening.recv(4096) == b"WATCHDOG=1"


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.told()
    systemd.tell("READY=1")


def test_a_manager_that_went_away_is_a_warning(
    manager: socket.socket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "notify").unlink()
    with caplog.at_level(logging.WARNING):
        systemd.tell("WATCHDOG=1")
    assert "did not hear WATCHDOG=1" in caplog.text


def test_a_manager_that_does_not_read_never_holds_the_loop_up(
    manager: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10_000):
        systemd.tell("WATCHDOG=1")
        if caplog.records:
            break
    assert "did not hear WATCHDOG=1" in caplog.text


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        (UNIT, 120.0),
        ({**UNIT, "WATCHDOG_PID": "77"}, 120.0),
        ({**UNIT, "WATCHDOG_PID": "78"}, None),
        ({**UNIT, "WATCHDOG_USEC": "0"}, None),
        ({**UNIT, "WATCHDOG_USEC": "soon"}, None),
        ({"NOTIFY_SOCKET": "/run/systemd/notify"}, None),
        ({"WATCHDOG_USEC": "120000000"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_the_units_and_meant_for_this_process(environ: dict[str, str], seconds: float | None) -> None:
    assert systemd.watchdog_seconds(environ, pid=77) == seconds
