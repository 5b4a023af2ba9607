"""Whoever waits for the first start of a version hears that code is being compiled."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from daemon.runtime import compiling, jit
from daemon.runtime.cell import Cells
from daemon.runtime.compiling import watched

CELL = """
import sys
sys.stdin.readline()
print('{"compiling": true}', flush=True)
print('{"ready": true}', flush=True)
for line in sys.stdin:
    print('{"answer": 1}', flush=True)
"""


def _tripled(value: int) -> int:
    return 3 * value


def test_compiling_is_told_once_and_code_that_is_kept_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit._settings, "CACHE_DIR", str(tmp_path))
    said: list[str] = []
    with watched(lambda: said.append("first")) as first:
        assert jit.Compiled(_tripled)(4) == 12
        assert jit.Compiled(_tripled)(4.0) == 12.0
    assert said == ["first"]
    assert first.since is not None
    with watched(lambda: said.append("second")) as second:
        assert jit.Compiled(_tripled)(4) == 12
    assert said == ["first"]
    assert (second.since, second.seconds) == (None, 0.0)


def test_nobody_is_told_after_the_block() -> None:
    said: list[str] = []
    with watched(lambda: said.append("told")):
        pass
    compiling.begins()
    assert said == []


def test_a_process_that_is_started_says_it_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_cell.py").write_text(CELL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said: list[str] = []
    cells = Cells("slow_cell")
    with watched(lambda: said.append("told")):
        assert cells.ask({}, {}, 60.0) == {"answer": 1}
    cells.close()
    assert said == ["told"]


def test_compiled_code_needs_no_scipy() -> None:
    """Which is installed for other metrics, and takes longer to load than the rest of the compiler."""
    import subprocess

    code = (
        "import sys; from daemon.media.gray import gray_of_picture; import numpy as np;"
        " from daemon.runtime.jit import Compiled; from tests.unit.runtime.test_compiling import _tripled;"
        " assert Compiled(_tripled)(4) == 12; assert 'scipy' not in sys.modules;"
        " import scipy.linalg.cython_blas"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
