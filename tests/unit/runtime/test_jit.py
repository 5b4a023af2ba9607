"""Compiled code is kept where the user or the administrator says, and does without where nothing may be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.runtime import jit
from daemon.runtime.jit import Compiled


def _doubled(value: int) -> int:
    return 2 * value


def test_compiled_code_goes_to_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit._settings, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Compiled(_doubled)(4) == 8
    assert list((tmp_path / "stillwatch" / "numba").rglob("*.nbc"))
    assert jit._settings.CACHE_DIR == ""


def test_the_administrators_cache_folder_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit._settings, "CACHE_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert Compiled(_doubled)(4) == 8
    assert list((tmp_path / "own").rglob("*.nbc"))
    assert not (tmp_path / "cache").exists()


def test_compiles_where_nothing_may_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert Compiled(_doubled)(4) == 8


def test_a_damaged_cache_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit._settings, "CACHE_DIR", str(tmp_path))
    assert Compiled(_doubled)(4) == 8
    for file in tmp_path.rglob("*.nb*"):
        file.write_bytes(b"")
    assert Compiled(_doubled)(4) == 8
