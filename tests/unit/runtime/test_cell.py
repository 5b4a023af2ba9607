"""A process that cannot be started leaves nothing open."""

from __future__ import annotations

import gc
import subprocess
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
