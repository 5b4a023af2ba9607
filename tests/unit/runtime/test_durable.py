"""Folders outlive a power failure only once the folder that names them is synced."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.runtime import durable


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every folder that is synced, in order; all that it names are there by then."""
    paths: list[Path] = []
    monkeypatch.setattr(durable, "sync", paths.append)
    return paths


def test_every_folder_that_is_made_is_named_on_the_disk(tmp_path: Path, synced: list[Path]) -> None:
    durable.make_synced_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert set(synced) == {tmp_path, tmp_path / "a", tmp_path / "a" / "b"}


def test_nothing_is_synced_for_a_folder_that_is_there(tmp_path: Path, synced: list[Path]) -> None:
    durable.make_synced_folder(tmp_path)
    assert synced == []


def test_a_file_in_the_way_is_an_error(tmp_path: Path, synced: list[Path]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        durable.make_synced_folder(tmp_path / "file" / "a")
