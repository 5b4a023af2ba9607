"""`stillwatch demo` takes what it is given, and never a folder that is somebody else's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from daemon.cli import demo
from daemon.config.default_file import write_default_file
from daemon.errors import StillwatchError
from tests import films
from tests.acceptance.harness import cli


@pytest.fixture
def demo_of(tmp_path: Path) -> Path:
    """A demo of a film in its own folder, from a folder with a package that is called like ours."""
    film = films.make(tmp_path / "film.mp4", frames=30)
    (tmp_path / "daemon").mkdir()
    (tmp_path / "daemon" / "__init__.py").write_text("raise SystemExit('not this one')\n")
    done = cli("demo", str(film), "--folder", "own", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / "own"


def test_a_file_of_the_user_is_shown_and_the_folder_can_be_used_again(demo_of: Path) -> None:
    assert list((demo_of / "stills").glob("film-*/*.png"))
    demo._prepare(demo_of)
    assert list((demo_of / "inbox").iterdir()) == []
    assert not list(demo_of.glob("stillwatch.db*"))


def test_a_folder_with_a_configuration_of_the_user_is_left_alone(tmp_path: Path) -> None:
    write_default_file(tmp_path / "config.yaml")
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "holiday.mp4").write_text("precious")
    with pytest.raises(StillwatchError, match="holds other things"):
        demo._prepare(tmp_path)
    assert (tmp_path / "inbox" / "holiday.mp4").read_text() == "precious"


@pytest.mark.parametrize("file", ["away.mp4", "."])
def test_what_is_not_a_file_is_said_before_anything_starts(tmp_path: Path, file: str) -> None:
    done = cli("demo", file, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"stillwatch: {file} is not a file: name a video\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(StillwatchError, match=r"taken/demo cannot be made \(Not a directory\)"):
        demo._prepare(tmp_path / "taken" / "demo")


def test_variables_that_lead_elsewhere_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STILLWATCH_WATCH__PATH", "STILLWATCH_DATABASE", "STILLWATCH_SCORE__METRIC"):
        monkeypatch.setenv(name, "elsewhere")
    demo._forget_environment()
    code = 'import os; print(sorted(name for name in os.environ if name.startswith("STILLWATCH_")))'
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout == "['STILLWATCH_SCORE__METRIC']\n"


def test_a_daemon_that_neither_starts_nor_stops_is_killed_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = tmp_path / "stuck"
    stuck.write_text(f"#!/bin/sh\necho $$ > {tmp_path / 'pid'}\ntrap '' TERM\nexec sleep 60\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(demo.sys, "executable", str(stuck))
    monkeypatch.setattr(demo, "READY_SECONDS", 1.0)
    monkeypatch.setattr(demo, "PATIENT_SECONDS", 0.0)
    monkeypatch.setattr(demo, "END_SECONDS", 0.2)
    film = films.make(tmp_path / "film.mp4", frames=3)
    with pytest.raises(StillwatchError, match="the daemon did not start"):
        demo.run(tmp_path / "own", [film])
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
