"""The hidden working folder, what killed runs left in it, and the atomic way out."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from daemon.errors import ExportError, Kind
from daemon.export import work_folder
from daemon.export.work_folder import FOLDER, clean, publish
from daemon.runtime.shared_folder import SharedFolder

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

    def note(verb: str, method: str) -> None:
        do: Callable[..., object] = getattr(SharedFolder, method)

        def noted(folder: SharedFolder, *arguments: object) -> object:
            seen.append((verb, str(arguments[0]) if arguments else folder.path.name))
            return do(folder, *arguments)

        monkeypatch.setattr(SharedFolder, method, noted)

    note("sync", "sync")
    note("sync", "sync_file")
    note("rename", "rename")
    return seen


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# The folder


def test_a_work_folder_is_a_hidden_fresh_folder_beside_the_stills(tmp_path: Path) -> None:
    with work_folder.fresh(tmp_path / "out", 7) as place:
        assert place.resolve().parent == tmp_path / "out" / FOLDER
        assert FOLDER.startswith(".")
        assert place.resolve().name.startswith(f"{os.getpid()}-7-")
        assert names(place) == []


def test_nobody_else_may_look_into_it(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir(mode=0o777)
    with work_folder.fresh(tmp_path, 7) as place:
        assert place.resolve().parent.stat().st_mode & 0o777 == 0o700


def test_its_path_is_bound_to_the_folder_not_to_its_name(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    output = tmp_path / "out"
    with work_folder.fresh(output, 7) as place:
        (output / FOLDER).rename(output / "away")
        (output / FOLDER).symlink_to(elsewhere)
        (place / "1.png").touch()
        assert names(elsewhere) == []
    assert names(elsewhere) == []
    assert names(output / "away") == []


def test_what_an_earlier_run_left_is_not_in_it(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("step", ["make", "keep_to_owner"])
@pytest.mark.parametrize("lost", [1, work_folder.MOST_TRIES])
def test_whoever_removes_the_hidden_folder_meanwhile_is_outlasted_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, lost: int
) -> None:
    do: Callable[..., object] = getattr(SharedFolder, step)
    left = lost

    def late(folder: SharedFolder, *arguments: object) -> object:
        nonlocal left
        if left:
            left -= 1
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return do(folder, *arguments)

    monkeypatch.setattr(SharedFolder, step, late)
    if lost < work_folder.MOST_TRIES:
        with work_folder.fresh(tmp_path, 7) as place:
            assert place.is_dir()
        return
    with pytest.raises(ExportError, match="cannot be written"), work_folder.fresh(tmp_path, 7):
        pass


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
    publish(made, folder, "manifest.json", tmp_path / "out")
    assert names(folder) == ["a.png", "b.png", "manifest.json"]
    assert not made.exists()
    assert [name for verb, name in steps if verb == "rename"] == ["ready"]


def test_everything_is_on_disk_before_it_shows(made: Path, tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    publish(made, tmp_path / "out" / "clip-01234567", "manifest.json", tmp_path / "out")
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
    publish(made, folder, "manifest.json", tmp_path / "out")
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
        publish(made, folder, "manifest.json", tmp_path / "out")
    assert folder.read_text() == "somebody's"


# What others plant


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Somebody else's folder, outside of the output."""
    folder = tmp_path / "foreign"
    (folder / f"{DEAD}-1").mkdir(parents=True)
    (folder / f"{DEAD}-1" / "film.mp4").write_text("theirs")
    (folder / "manifest.json").write_text("theirs")
    return folder


def whole(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_a_start_removes_nothing_through_a_link_in_the_hidden_folders_place(tmp_path: Path, foreign: Path) -> None:
    before = whole(foreign)
    output = tmp_path / "out"
    output.mkdir()
    (output / FOLDER).symlink_to(foreign)
    assert clean(output) == 0
    assert whole(foreign) == before
    with pytest.raises(ExportError, match="a link or a file stands"), work_folder.fresh(output, 7):
        pass
    assert whole(foreign) == before


def test_a_start_removes_nothing_through_a_link_in_the_hidden_folder(tmp_path: Path, foreign: Path) -> None:
    before = whole(foreign)
    (tmp_path / "out" / FOLDER).mkdir(parents=True)
    (tmp_path / "out" / FOLDER / f"{DEAD}-2").symlink_to(foreign)
    assert clean(tmp_path / "out") == 0
    assert whole(foreign) == before


def test_a_start_removes_nothing_through_a_link_deep_in_a_folder_of_our_form(tmp_path: Path, foreign: Path) -> None:
    before = whole(foreign)
    place = tmp_path / "out" / FOLDER / f"{DEAD}-3" / "batch"
    place.mkdir(parents=True)
    (place / "reused").symlink_to(foreign)
    assert clean(tmp_path / "out") == 1
    assert whole(foreign) == before


@pytest.mark.parametrize("name", ["holiday", "999999999", "12-", "12-3-short", "12-3-0123456789abcdef-4", "x1-2"])
def test_a_start_removes_only_what_has_our_form(tmp_path: Path, name: str) -> None:
    (tmp_path / FOLDER / name).mkdir(parents=True)
    (tmp_path / FOLDER / "3999999-1.png").touch()
    assert clean(tmp_path) == 0
    assert names(tmp_path / FOLDER) == sorted([name, "3999999-1.png"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_hidden_folder_of_somebody_else_is_neither_cleaned_nor_used(tmp_path: Path) -> None:
    place = tmp_path / FOLDER / f"{DEAD}-1"
    place.mkdir(parents=True)
    os.chown(tmp_path / FOLDER, 12345, 12345)
    assert clean(tmp_path) == 0
    assert place.is_dir()
    with pytest.raises(ExportError, match="another user's folder"), work_folder.fresh(tmp_path, 7):
        pass


def test_a_link_in_the_place_of_a_films_folder_takes_nothing(made: Path, tmp_path: Path, foreign: Path) -> None:
    before = whole(foreign)
    folder = tmp_path / "out" / "clip-01234567"
    folder.symlink_to(foreign)
    with pytest.raises(OSError, match="a link or a file stands"):
        publish(made, folder, "manifest.json", tmp_path / "out")
    assert whole(foreign) == before


def test_a_link_above_a_films_folder_takes_nothing(made: Path, tmp_path: Path, foreign: Path) -> None:
    before = whole(foreign)
    (tmp_path / "out" / "chosen").symlink_to(foreign)
    with pytest.raises(OSError, match="a link or a file stands"):
        publish(made, tmp_path / "out" / "chosen" / "clip-01234567", "manifest.json", tmp_path / "out")
    assert whole(foreign) == before


def test_a_link_in_the_place_of_a_still_is_replaced_not_written_through(
    made: Path, tmp_path: Path, foreign: Path
) -> None:
    before = whole(foreign)
    folder = tmp_path / "out" / "clip-01234567"
    folder.mkdir()
    for name in ("a.png", "manifest.json"):
        (folder / name).symlink_to(foreign / "manifest.json")
    publish(made, folder, "manifest.json", tmp_path / "out")
    assert whole(foreign) == before
    assert (folder / "manifest.json").read_text() == "new manifest.json"
    assert not (folder / "manifest.json").is_symlink()


def test_a_link_to_an_empty_folder_is_not_taken_for_a_new_name(made: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder = tmp_path / "out" / "clip-01234567"
    folder.symlink_to(tmp_path / "not-there-yet")
    with pytest.raises(OSError, match="a link or a file stands"):
        publish(made, folder, "manifest.json", tmp_path / "out")
    assert not (tmp_path / "not-there-yet").exists()
