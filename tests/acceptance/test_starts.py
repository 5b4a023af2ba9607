"""A start that has to compile says so, a later one finds the code; where nothing may be written each start compiles."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import films

ROOT = Path(__file__).parents[2]
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
"""For root, who could write anywhere."""
PATIENCE_SECONDS = 600.0

pytestmark = pytest.mark.slow


def once(folder: Path, home: Path, source: Path, *before: str) -> list[str]:
    """Take a tiny film through the pipeline; the events that are logged."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    film = films.make(folder / "film.mp4", frames=12)
    config = {"output": {"path": str(folder / "stills")}, "database": {"path": str(folder / "s.db")}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"log": {"format": "json"}}))
    env = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "NUMBA_"))}
    done = subprocess.run(
        [*before, sys.executable, "-P", "-m", "daemon", "once", str(film), "--config", str(folder / "config.yaml")],
        env={**env, "HOME": str(home), "PYTHONPATH": str(source)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return [json.loads(line)["event"] for line in done.stderr.splitlines() if line.startswith("{")]


def test_the_first_start_compiles_and_the_second_does_not(tmp_path: Path) -> None:
    (home := tmp_path / "home").mkdir()
    first, second = (once(tmp_path / "run", home, ROOT) for _ in range(2))
    assert [event for event in first if event.startswith("code.")] == ["code.compiling", "code.compiled"]
    assert first.index("code.compiled") < first.index("scorer.ready")
    assert [event for event in second if event.startswith("code.")] == []
    assert "video.done" in second


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_where_nothing_may_be_written_a_start_compiles_and_works(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "daemon", source := tmp_path / "source" / "daemon", ignore=shutil.ignore_patterns("__pyc*"))
    (home := tmp_path / "home").mkdir()
    for folder in (home, source, *(path for path in source.rglob("*") if path.is_dir())):
        folder.chmod(0o555)
    events = once(tmp_path / "run", home, source.parent, *(UNPRIVILEGED if os.geteuid() == 0 else ()))
    assert [event for event in events if event.startswith("code.")] == ["code.compiling", "code.compiled"]
    assert "video.done" in events
    assert list(home.iterdir()) == []
    for folder in (home, source, *(path for path in source.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
