"""What the shipped unit and the code must agree on."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from daemon.config.schema import Config
from daemon.config.service import ServiceConfig
from daemon.inbox import ingestor
from daemon.scan import decoded
from daemon.scoring import batcher

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = (SYSTEMD / "stillwatch.service").read_text()


def seconds(setting: str) -> float:
    found = re.search(rf"^{setting}=(\d+)$", UNIT, re.MULTILINE)
    assert found is not None
    return float(found.group(1))


def test_a_stop_has_more_time_than_its_steps_together() -> None:
    steps = ingestor.STOP_SECONDS + ServiceConfig().stop_seconds + decoded.JOIN_SECONDS + batcher.CLOSE_SECONDS
    assert seconds("TimeoutStopSec") >= 2 * steps


def test_what_is_slow_has_more_time_than_a_loop_that_stands_still() -> None:
    assert ServiceConfig().stuck_seconds > seconds("WatchdogSec")


def test_the_units_configuration_keeps_everything_in_the_folders_that_the_unit_may_write() -> None:
    values = yaml.safe_load((SYSTEMD / "config.yaml").read_text())
    config = Config(**values)
    for path in (config.watch.path, config.output.path, config.database.path):
        assert path.is_relative_to("/var/lib/stillwatch")
