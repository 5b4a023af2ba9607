"""The image `light` works read-only and without root: demo, service, health check, stop."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import footage
from tests.fresh.image import BASE, LIGHT, TOOLS, USER_ID, Buildah, Container, terminate
from tests.fresh.machine import ROOT, FreshMachine, hindrance

pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(hindrance(TOOLS) is not None, reason=str(hindrance(TOOLS))),
    pytest.mark.timeout(1800),
]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["stillwatch"]
GRACE_SECONDS = float(COMPOSE["stop_grace_period"].removesuffix("s"))


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    folder = tmp_path_factory.mktemp("image")
    machine = FreshMachine(folder / "base").make()
    buildah = Buildah(folder)
    buildah.import_base(machine)
    machine.remove()
    buildah.build("light", LIGHT)
    yield buildah
    buildah("rm", "--all")
    buildah("rmi", "--force", LIGHT, BASE)


@pytest.fixture
def container(buildah: Buildah, tmp_path: Path) -> Container:
    config = buildah.config(LIGHT)
    volumes = {place: tmp_path / place.strip("/") for place in config["Volumes"]}
    for folder in volumes.values():
        folder.mkdir()
        os.chown(folder, USER_ID, USER_ID)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o755)
    return Container(buildah.mount(LIGHT), config, volumes)


def drop(source: Path, folder: Path) -> None:
    shutil.copy(source, folder)
    os.chown(folder / source.name, USER_ID, USER_ID)


def await_event(service: subprocess.Popen[str], event: str) -> dict[str, object]:
    assert service.stderr is not None
    for line in service.stderr:
        told: dict[str, object] = json.loads(line)
        if told["event"] == event:
            return told
    raise AssertionError(f"the log ended without {event}")


def test_the_image_names_user_volumes_health_check_and_stop(buildah: Buildah) -> None:
    config = buildah.config(LIGHT)
    assert config["User"] == "stillwatch"
    assert set(config["Volumes"]) == {"/inbox", "/stills", "/database"}
    assert config["Healthcheck"]["Test"] == ["CMD", "stillwatch", "status", "--check"]
    assert config["StopSignal"] == "SIGTERM"


def test_the_composition_fits_the_image(buildah: Buildah) -> None:
    assert {volume.split(":")[1] for volume in COMPOSE["volumes"]} == set(buildah.config(LIGHT)["Volumes"])
    assert COMPOSE["read_only"] is True
    unit = (ROOT / "systemd" / "stillwatch.service").read_text()
    assert f"TimeoutStopSec={GRACE_SECONDS:.0f}\n" in unit


def test_the_demo_makes_its_stills(container: Container) -> None:
    done = container.run("demo")
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(list((container.volumes["/database"] / "demo" / "stills").glob("*/*.png"))) >= 4


def test_nothing_but_the_volumes_can_be_written(container: Container) -> None:
    done = container.run("init", "/etc/config.yaml")
    assert "Read-only file system" in done.stderr or "Permission denied" in done.stderr


def test_the_doctor_says_that_it_is_light_and_a_metric_of_pyiqa_what_it_needs(container: Container) -> None:
    doctor = {one["check"]: one for one in json.loads(container.run("doctor", "--json").stdout)}
    assert doctor["install"]["found"] == "light, without torch, torchvision, pyiqa: the only metric is niqe"
    assert doctor["metric"]["ok"]
    drop(footage()["bikes.mp4"], container.volumes["/database"])
    once = container.run("once", "bikes.mp4", STILLWATCH_SCORE__METRIC="piqe")
    assert once.returncode == 1
    assert once.stderr.count("needs torch, torchvision, pyiqa") == 1


def test_the_health_check_follows_the_service_and_term_stops_it_in_order(container: Container) -> None:
    check = container.config["Healthcheck"]["Test"][2:]
    assert container.run(*check).returncode == 1
    service = container.start("run", STILLWATCH_LOG__FORMAT="json", STILLWATCH_WATCH__SETTLE_SECONDS="0.5")
    try:
        await_event(service, "service.ready")
        assert container.run(*check).returncode == 0
        drop(footage()["bikes.mp4"], container.volumes["/inbox"])
        await_event(service, "video.done")
        terminate(service)
        await_event(service, "service.stopped")
        assert service.wait(GRACE_SECONDS) == 0
    finally:
        service.kill()
        service.communicate()
    assert container.run(*check).returncode == 1
    stills = list(container.volumes["/stills"].glob("*/*.png"))
    assert stills
    assert {path.stat().st_uid for path in stills} == {USER_ID}
