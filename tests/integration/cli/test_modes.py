"""Who may read what was made by hand: the user and the group, or as configured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import films

ROOT = Path(__file__).parents[3]


def modes(tmp_path: Path, umask: int, configured: str = "", **environment: str) -> dict[str, int]:
    """Of the kinds of files that ``once`` makes under this umask of the shell."""
    film = films.make(tmp_path / "film.mp4", frames=8)
    settings = {
        "watch": {"path": str(tmp_path / "inbox")},
        "output": {"path": str(tmp_path / "stills")},
        "database": {"path": str(tmp_path / "db" / "s.db")},
        "service": {"umask": configured},
        "select": {"count": 1},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "daemon", "once", "-c", str(tmp_path / "config.yaml"), str(film)]
    inherited = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
    given = {**inherited, "PYTHONPATH": str(ROOT), **environment}
    subprocess.run(command, check=True, capture_output=True, timeout=120, umask=umask, env=given)
    (folder,) = [path for path in (tmp_path / "stills").iterdir() if path.is_dir()]
    found = {
        "database": tmp_path / "db" / "s.db",
        "lock": tmp_path / "db" / "s.db.lock",
        "database's folder": tmp_path / "db",
        "stills": tmp_path / "stills",
        "film's folder": folder,
        "still": next(folder.glob("*.png")),
        "manifest": folder / "manifest.json",
    }
    return {name: path.stat().st_mode & 0o777 for name, path in found.items()}


FILES = {"still", "manifest", "database", "lock"}


@pytest.mark.parametrize(
    ("umask", "configured", "file", "folder"),
    [
        (0o022, "", 0o640, 0o750),
        pytest.param(0o002, "", 0o660, 0o770, marks=pytest.mark.slow),
        pytest.param(0o077, "", 0o600, 0o700, marks=pytest.mark.slow),
        pytest.param(0o077, "027", 0o640, 0o750, marks=pytest.mark.slow),
    ],
)
def test_others_get_nothing_of_what_is_made_by_hand(
    tmp_path: Path, umask: int, configured: str, file: int, folder: int
) -> None:
    said = modes(tmp_path, umask, configured)
    assert said == {name: file if name in FILES else folder for name in said}


@pytest.mark.slow
def test_a_service_manager_decides_by_itself(tmp_path: Path) -> None:
    said = modes(tmp_path, 0o002, NOTIFY_SOCKET=str(tmp_path / "none"))
    assert (said["still"], said["film's folder"], said["database"]) == (0o664, 0o775, 0o660)
