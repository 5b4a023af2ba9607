"""`stillwatch init` writes the configuration with comments, and never over one that is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from daemon.config.default_file import render_default_file


def stillwatch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daemon", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_it_writes_a_file_that_is_read_without_complaint(tmp_path: Path) -> None:
    done = stillwatch(tmp_path, "init")
    assert (done.returncode, done.stderr) == (0, "")
    assert str(tmp_path / "config.yaml") in done.stdout
    assert (tmp_path / "config.yaml").read_text() == render_default_file()
    status = stillwatch(tmp_path, "status", "--check")
    assert status.stdout == f"no daemon works with {tmp_path / 'stillwatch.db'}\n"


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("log: {level: debug}\n")
    done = stillwatch(tmp_path, "init")
    assert done.returncode == 2
    assert "is there already and stays as it is" in done.stderr
    assert (tmp_path / "config.yaml").read_text() == "log: {level: debug}\n"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = stillwatch(tmp_path, "init", "away/config.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("stillwatch: away/config.yaml cannot be written (No such file or directory)")
