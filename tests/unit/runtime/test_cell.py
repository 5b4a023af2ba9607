"""A process that cannot be started leaves nothing open."""

from __future__ import annotations

import gc
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from daemon.runtime.cell import CellEnded, Cells


def open_files() -> int:
    gc.collect()
    return psutil.Process().num_fds()


def test_no_process_and_no_memory_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cells, before = Cells("daemon.scan.decode_cell", ring=True), open_files()

    def none(*_: Any, **__: Any) -> Any:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", none)
    with pytest.raises(BlockingIOError):
        cells.take({})
    assert open_files() == before


def test_one_that_ends_at_once_is_closed_with_its_memory() -> None:
    cells, before = Cells("no_module_of_this_name", ring=True), open_files()
    with pytest.raises(CellEnded):
        cells.take({})
    assert open_files() == before


def test_closing_ends_a_process_that_is_still_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that fails elsewhere does not wait until this one has loaded its libraries."""
    started = tmp_path / "started"
    os.mkfifo(started)
    (tmp_path / "endless_cell.py").write_text(f"open({str(started)!r}, 'w').close()\nimport time; time.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    cells, before = Cells("endless_cell", ring=True), open_files()
    with ThreadPoolExecutor(1) as thread:
        taken = thread.submit(cells.take, {})
        started.open().close()
        cells.close()
        with pytest.raises(CellEnded):
            taken.result(60.0)
    assert open_files() == before


def test_loading_is_not_looked_through_for_garbage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "asked_cell.py").write_text(
        "import gc, json, sys\n"
        "for line in sys.stdin:\n"
        "    print(json.dumps({'enabled': gc.isenabled(), 'name': __name__}), flush=True)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    cells = Cells("asked_cell")
    assert cells.ask({}, {}, 60.0) == {"enabled": False, "name": "__main__"}
    cells.close()
