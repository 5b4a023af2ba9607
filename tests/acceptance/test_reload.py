"""HUP asks for a reload: at no moment does it end the daemon, and a file that is wrong changes nothing."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.harness import PATIENCE_SECONDS, Daemon, cli, write_config

pytestmark = pytest.mark.model


def test_a_hup_during_the_start_is_ignored(tmp_path: Path) -> None:
    with Daemon(write_config(tmp_path)) as daemon:
        deadline = time.monotonic() + PATIENCE_SECONDS
        # The first thing that a daemon makes; it is ready once the scorer is.
        while not (tmp_path / "stillwatch.db.lock").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.ready()
        assert not {"service.reloaded", "service.reload_failed"} & {event["event"] for event in daemon.events}
        assert daemon.stop() == 0


def test_a_hup_at_the_very_end_of_a_stop_is_ignored(tmp_path: Path) -> None:
    with Daemon(write_config(tmp_path)).ready() as daemon:
        daemon.process.terminate()
        daemon.event("service.stopped")
        while daemon.process.poll() is None:
            daemon.process.send_signal(signal.SIGHUP)
        assert daemon.process.returncode == 0


def test_a_hup_leaves_what_new_files_grant_as_it_was_at_the_start(tmp_path: Path) -> None:
    config = write_config(tmp_path, service={"umask": "037"})
    with Daemon(config).ready() as daemon:
        config.write_text(config.read_text().replace("037", "000").replace("count: 3", "count: 4"))
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.event("service.reloaded")["changed"] == ["select.count"]
        assert "Umask:\t0037\n" in Path(f"/proc/{daemon.process.pid}/status").read_text()
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "select:\n  count: 3\n  min_gap_seconds 2\n",
            "config.yaml, line 4: not valid YAML: while scanning a simple key",
        ),
        ("select: " + "[" * 5000, "config.yaml: not valid YAML: nested too deeply"),
    ],
)
def test_a_file_that_is_no_yaml_is_refused_in_one_line_at_the_start_and_by_hup(
    tmp_path: Path, text: str, said: str
) -> None:
    config = write_config(tmp_path)
    good = config.read_text()
    with Daemon(config).ready() as daemon:
        config.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
        assert said in daemon.event("service.reload_failed")["error"]
        config.write_text(good.replace("count: 3", "count: 4"))
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.event("service.reloaded")["changed"] == ["select.count"]
        assert daemon.stop() == 0
    config.write_text(text)
    ended = cli("run", "--config", str(config))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert said in ended.stderr
