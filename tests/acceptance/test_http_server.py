"""The pages of a running daemon: metrics, health, status."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import films
from tests.acceptance.harness import Daemon, cli, write_config

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("loopback")]


def fetch(address: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_pages_of_a_daemon_at_work(tmp_path: Path) -> None:
    config = write_config(tmp_path, service={"http": "127.0.0.1:0"})
    shutil.copy(films.make(tmp_path / "film.mp4", frames=30), tmp_path / "inbox")
    (tmp_path / "inbox" / "text.mp4").write_text("not a video\n" * 50)
    with Daemon(config) as daemon:
        address = daemon.event("web.started")["address"]
        assert fetch(address, "/healthz") == (503, "starting\n")
        daemon.event("service.ready")
        daemon.event("video.done")
        assert fetch(address, "/healthz") == (200, "OK\n")
        status, text = fetch(address, "/status.json")
        assert status == 200
        state = json.loads(text)
        assert state == json.loads(cli("status", "--json", "--config", str(config)).stdout)
        assert (state["videos"]["done"], state["videos"]["rejected"]) == (1, 1)
        status, text = fetch(address, "/metrics")
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert samples["stillwatch_frames_scored_total",] == 30
        assert samples["stillwatch_stills_total",] == 3
        assert samples["stillwatch_videos_total", "done"] == 1
        assert samples["stillwatch_errors_total", "not_a_video"] == 1
        assert samples["stillwatch_queue_videos",] == 0
        assert samples["stillwatch_export_seconds_count",] == 1
        assert fetch(address, "/")[0] == 404
        assert daemon.stop() == 0


def test_nothing_listens_unless_it_is_asked_for(tmp_path: Path) -> None:
    with Daemon(write_config(tmp_path)).ready() as daemon:
        sockets = [
            target
            for link in Path(f"/proc/{daemon.process.pid}/fd").iterdir()
            if (target := str(link.readlink())).startswith("socket:")
        ]
        listening = {
            f"socket:[{line.split()[9]}]"
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/{daemon.process.pid}/net/{table}").read_text().splitlines()[1:]
            if line.split()[3] == "0A"
        }
        assert not listening & set(sockets)
        assert daemon.stop() == 0


def test_a_port_that_is_taken_stops_the_start_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        setting = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = cli("run", "--config", str(write_config(tmp_path, service={"http": setting})))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"service.http = {setting}" in ended.stderr
