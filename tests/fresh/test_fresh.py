"""On a minimal Debian without a screen library, FFmpeg or procps: demo, metrics and tests run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.fresh.machine import FreshMachine, hindrance

pytestmark = [
    pytest.mark.fresh,
    pytest.mark.skipif(hindrance() is not None, reason=str(hindrance())),
    pytest.mark.timeout(3600),
]

BUILD_ALL = """
import json, torch
from daemon.errors import StillwatchError
from daemon.scoring import catalog
from daemon.scoring.pyiqa_backend.build import build

built, failed = [], {}
for metric in catalog.usable():
    if catalog.missing(metric):
        continue
    try:
        build(metric, torch.device("cpu"))
        built.append(metric.name)
    except StillwatchError as error:
        failed[metric.name] = error.sentence
print(json.dumps([built, failed]))
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreshMachine]:
    made = FreshMachine(tmp_path_factory.mktemp("fresh") / "root").make()
    made.copy_checkout()
    demo = made.run("make demo")
    assert demo.returncode == 0, demo.stdout[-3000:]
    assert demo.stdout.count(": done") == 2
    yield made
    made.remove()


def test_the_machine_has_no_screen_no_ffmpeg_and_no_procps(machine: FreshMachine) -> None:
    lacking = machine.run("! command -v ffmpeg && ! command -v pgrep && ! ldconfig -p | grep -q libxcb")
    assert lacking.returncode == 0, lacking.stdout


def test_a_metric_of_pyiqa_scores_a_film(machine: FreshMachine) -> None:
    once = (
        "mkdir -p /tmp/once && cp $(find /src/.venv -name bikes.mp4) /tmp/once && cd /tmp/once"
        " && /src/.venv/bin/stillwatch once bikes.mp4 --json"
    )
    done = machine.run(once, environment={"STILLWATCH_SCORE__METRIC": "piqe"})
    assert done.returncode == 0, done.stdout[-3000:]
    assert '"metric": "piqe"' in done.stdout


def test_each_metric_that_needs_no_download_is_built(machine: FreshMachine) -> None:
    done = machine.run(f".venv/bin/python -c '{BUILD_ALL}'")
    assert done.returncode == 0, done.stdout[-3000:]
    built, failed = json.loads(done.stdout.splitlines()[-1])
    assert failed == {}
    assert {"niqe", "piqe"} <= set(built)


@pytest.mark.slow
def test_the_fast_tests_pass(machine: FreshMachine) -> None:
    workers = {"WORKERS": os.environ.get("WORKERS", "2")}
    done = machine.run("make test", environment=workers, seconds=3400)
    assert done.returncode == 0, done.stdout[-60_000:]
