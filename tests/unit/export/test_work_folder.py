"""The hidden working folder, what killed runs left in it, and the atomic way out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from daemon.errors import ExportError, Kind
from daemon.export import work_folder
from daemon.export.work_folder import FOLDER, clean, publish

DEAD, ALIVE = 3_999_999, 1


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A finished set: two stills and the manifest."""
    folder = tmp_path / "out" / FOLDER / "1-1" / "ready"
    folder.mkdir(parents=True)
    for name in ("b.png", "a.png", "manifest.json"):
        (folder / name).write_text(f"new {name}")
    return folder


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was synced and renamed, in order, by file name."""
    seen: list[tuple[str, str]] = []
    sync, rename, replace = work_folder.sync, Path.rename, Path.replace

    def note(verb: str, do: Callable[..., object]) -> Callable[..., object]:
        def noted(path: Path, *arguments: object) -> object:
            seen.append((verb, path.name))
            return do(path, *arguments)

        return noted

    monkeypatch.setattr(work_folder, "sync", note("sync", sync))
    monkeypatch.setattr(Path, "rename", note("rename", rename))
    monkeypatch.setattr(Path, "replace", note("rename", replace))
    return seen


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# The folder


def test_a_work_folder_is_a_hidden_fresh_folder_beside_the_stills(tmp_path: Path) -> None:
    with work_folder.fresh(tmp_path / "out", 7) as place:
        assert place.parent == tmp_path / "out" / FOLDER
        assert FOLDER.startswith(".")
        assert place.name == f"{os.getpid()}-7"
        assert names(place) == []


def test_what_an_earlier_run_left_in_it_is_gone(tmp_path: Path) -> None:
    left = tmp_path / FOLDER / f"{os.getpid()}-7" / "batch"
    left.mkdir(parents=True)
    (left / "1.png").touch()
    with work_folder.fresh(tmp_path, 7) as place:
        assert names(place) == []


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    with work_folder.fresh(tmp_path, 7) as place:
        (place / "batch").mkdir()
        (place / "batch" / "1.png").touch()
    assert names(tmp_path) == []


def test_it_leaves_nothing_behind_when_the_work_fails(tmp_path: Path) -> None:
    def work() -> None:
        with work_folder.fresh(tmp_path, 7) as place:
            (place / "1.png").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert names(tmp_path) == []


def test_it_leaves_another_videos_work_folder_alone(tmp_path: Path) -> None:
    with work_folder.fresh(tmp_path, 7) as one:
        with work_folder.fresh(tmp_path, 8):
            pass
        assert one.is_dir()


def test_an_output_that_cannot_be_written_is_an_export_error_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ExportError, match="cannot be written") as caught, work_folder.fresh(tmp_path / "out", 7):
        pass
    assert caught.value.kind is Kind.EXPORT
    assert str(tmp_path / "out") in caught.value.sentence


# What killed runs left


def test_folders_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    for name in (f"{DEAD}-1", f"{DEAD}-2", f"{ALIVE}-3"):
        (tmp_path / FOLDER / name).mkdir(parents=True)
        (tmp_path / FOLDER / name / "1.png").touch()
    assert clean(tmp_path) == 2
    assert names(tmp_path / FOLDER) == [f"{ALIVE}-3"]


def test_a_number_that_came_again_is_not_the_owner(tmp_path: Path) -> None:
    """After a restart of the machine, some process or other has the number of the one that was killed."""
    (tmp_path / FOLDER).mkdir()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as later:
        place = tmp_path / FOLDER / f"{later.pid}-1"
        place.mkdir()
        assert clean(tmp_path) == 0
        began = psutil.Process(later.pid).create_time()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(psutil.Process, "create_time", lambda _: began + 3600.0)
            assert clean(tmp_path) == 1


def test_a_folder_with_our_own_number_is_from_a_process_before_us(tmp_path: Path) -> None:
    (tmp_path / FOLDER / f"{os.getpid()}-1").mkdir(parents=True)
    assert clean(tmp_path) == 1


def test_the_hidden_folder_goes_when_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / FOLDER / f"{DEAD}-1").mkdir(parents=True)
    clean(tmp_path)
    assert names(tmp_path) == []


def test_published_stills_are_never_cleaned(tmp_path: Path) -> None:
    (tmp_path / "clip-01234567").mkdir()
    assert clean(tmp_path) == 0
    assert clean(tmp_path / "not there yet") == 0
    assert names(tmp_path) == ["clip-01234567"]


# The way out


def test_a_new_folder_appears_in_one_rename(made: Path, tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    folder = tmp_path / "out" / "clip-01234567"
    publish(made, folder, "manifest.json")
    assert names(folder) == ["a.png", "b.png", "manifest.json"]
    assert not made.exists()
    assert [name for verb, name in steps if verb == "rename"] == ["ready"]


def test_everything_is_on_disk_before_it_shows(made: Path, tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    publish(made, tmp_path / "out" / "clip-01234567", "manifest.json")
    shown = steps.index(("rename", "ready"))
    assert {name for _, name in steps[:shown]} == {"a.png", "b.png", "manifest.json", "ready"}
    assert steps[shown + 1 :] == [("sync", "out")]


def test_in_an_existing_folder_files_are_replaced_one_by_one_the_manifest_last(
    made: Path, tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    folder = tmp_path / "out" / "clip-01234567"
    folder.mkdir()
    for name in ("a.png", "manifest.json", "old.png"):
        (folder / name).write_text("old")
    publish(made, folder, "manifest.json")
    assert (folder / "a.png").read_text() == "new a.png"
    assert (folder / "manifest.json").read_text() == "new manifest.json"
    assert (folder / "old.png").read_text() == "old"
    assert [name for verb, name in steps if verb == "rename"] == ["a.png", "b.png", "manifest.json"]
    first = steps.index(("rename", "a.png"))
    assert {name for _, name in steps[:first]} >= {"a.png", "b.png", "manifest.json"}
    assert steps[-2:] == [("sync", "clip-01234567"), ("sync", "out")]


def test_a_file_in_the_folders_place_is_an_error_and_stays(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "clip-01234567"
    folder.write_text("somebody's")
    with pytest.raises(OSError, match="clip-01234567"):
        publish(made, folder, "manifest.json")
    assert folder.read_text() == "somebody's"
