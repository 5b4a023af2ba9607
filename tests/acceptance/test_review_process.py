"""The process that serves the review page: killed, and asked by many while films are scored."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psutil
import pytest

from daemon.export.ffmpeg_process import find_binary
from daemon.web.budget import BURST_SECONDS, SHARE
from tests import films
from tests.acceptance.harness import Daemon, cli, query, write_config

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("loopback")]


class Client:
    """Asks as the page's scripts do, on one connection."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host = parts.netloc
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        self._connection.request("GET", f"/?{parts.query}")
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = answer.headers["Set-Cookie"].partition(";")[0]
        self._csrf = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str) -> bytes:
        self._connection.request("GET", path, headers={"Cookie": self._cookie})
        return self._connection.getresponse().read()

    def open(self, film: int) -> None:
        found = re.search(r'name="csrf" content="([^"]+)"', self.get(f"/films/{film}").decode())
        assert found is not None
        self._csrf = found[1]

    def post(self, path: str, body: object) -> int:
        headers = {"Cookie": self._cookie, "X-CSRF-Token": self._csrf, "Origin": f"http://{self._host}"}
        self._connection.request("POST", path, json.dumps(body), headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status


@contextmanager
def reviewing(config: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A ``stillwatch review`` beside whatever else runs, and its address."""
    command = [sys.executable, "-m", "daemon", "review", "--no-open", "--port", "0", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_a_killed_page_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    film = films.make(tmp_path / "film.mp4", frames=60)
    assert cli("once", str(film), "--config", str(config)).returncode == 0
    acknowledged = 0
    for killed_after in (0.02, 0.15, 0.4):
        with reviewing(config) as (process, address), Client(address) as client:
            client.open(1)
            killer = threading.Timer(killed_after, process.kill)
            killer.start()
            # The page is gone in the middle of an answer, or before the next one.
            with suppress(OSError, http.client.HTTPException):
                for frame in range(60):
                    acknowledged += client.post("/films/1/decisions", {"kind": "ban", "frame": frame}) == 200
            killer.join()
    kept = query(tmp_path, "SELECT COUNT(*) FROM decisions")[0][0]
    # What was on its way may be there as well: one at each kill.
    assert acknowledged <= kept <= acknowledged + 3
    assert acknowledged > 0
    assert query(tmp_path, "PRAGMA integrity_check") == [("ok",)]


def test_scoring_goes_on_beside_200_idle_connections(tmp_path: Path) -> None:
    config = write_config(tmp_path, service={"review": "127.0.0.1:0", "poll_seconds": 0.2})
    with Daemon(config) as daemon:
        address = daemon.event("review.started")["address"]
        parts = urlsplit(address)
        idle = [socket.create_connection((parts.hostname, parts.port)) for _ in range(200)]
        shutil.copy(films.make(tmp_path / "film.mp4", frames=60), tmp_path / "inbox")
        daemon.event("video.done")
        with Client(address) as client:
            assert b"film.mp4" in client.get("/")
        for one in idle:
            one.close()
        assert daemon.stop() == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_busy_clients_cost_little_beside_the_scoring(tmp_path: Path) -> None:
    """Counted: the processor time of the process that serves the pages, while another one scores."""
    config = write_config(tmp_path, log={"format": "json", "progress_seconds": 0.5})
    done = films.make(tmp_path / "done.mp4", frames=250, width=640, height=360)
    assert cli("once", str(done), "--config", str(config)).returncode == 0
    with Daemon(config) as daemon:
        daemon.ready()
        shutil.copy(_long(tmp_path, done), tmp_path / "inbox")
        daemon.event("video.progress")
        alone = _frames_per_second(daemon, 12)
        with reviewing(config) as (process, address):
            stop = threading.Event()
            clients = [threading.Thread(target=_busy, args=(Client(address), number, stop)) for number in range(10)]
            served = psutil.Process(process.pid)
            used, start = sum(served.cpu_times()[:2]), time.monotonic()
            for one in clients:
                one.start()
            beside = _frames_per_second(daemon, 40)
            used, seconds = sum(served.cpu_times()[:2]) - used, time.monotonic() - start
            stop.set()
        for one in clients:
            one.join()
        daemon.process.kill()
    allowed = SHARE * (psutil.cpu_count() or 1) * seconds + BURST_SECONDS
    print(
        f"{used:.2f} of {allowed:.2f} s allowed in {seconds:.0f} s; {alone:.0f} frames per second, {beside:.0f} with it"
    )
    # Listening, looking and refusing are not counted by the budget.
    assert 0.1 < used <= 1.3 * allowed


def _long(folder: Path, film: Path) -> Path:
    """The packets of a film again and again, for longer than a quick machine is watched."""
    long = folder / "long.mp4"
    loop = ["-stream_loop", "120", "-i", str(film), "-c", "copy", str(long)]
    subprocess.run([find_binary(""), "-v", "error", *loop], check=True)
    return long


def _frames_per_second(daemon: Daemon, seconds: float) -> float:
    first, start = daemon.event("video.progress")["frame"], time.monotonic()
    while time.monotonic() - start < seconds:
        last = daemon.event("video.progress")["frame"]
    return float((last - first) / (time.monotonic() - start))


def _busy(client: Client, number: int, stop: threading.Event) -> None:
    paths = ["/", "/films/1", "/films/1/curve?columns=6000", "/films/1/sheet.png", "/films/1/report.html"]
    # The page may end before its clients do.
    with client, suppress(OSError, http.client.HTTPException):
        client.open(1)
        for turn in range(100_000):
            if stop.is_set():
                return
            frame = (turn * 37 + number * 11) % 250
            client.get([*paths, f"/films/1/frames/{frame}.jpg", f"/films/1/frames/{frame}.json"][turn % 7])
            if turn % 5 == number % 5:
                client.post("/films/1/preview", {"count": turn % 20 + 1})
