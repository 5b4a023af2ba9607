"""What others plant among the stills: older selections are set apart, and nothing outside is read, written or removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemon.export.file_names import StillName, format_name
from daemon.export.older_selections import OlderStill, clear, prune, set_apart
from daemon.export.paths import StillFolder

NAME = format_name(StillName("clip", rank=1, frame=7, time_s=0.5, metric="niqe", score=3.0, suffix="png"))


@pytest.fixture
def folder(tmp_path: Path) -> StillFolder:
    place = StillFolder(tmp_path / "out" / "clip-01234567")
    place.path.mkdir(parents=True)
    place.still(NAME).write_text("a still")
    return place


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Somebody else's folder, outside of the output."""
    place = tmp_path / "foreign"
    (place / "1").mkdir(parents=True)
    (place / "1" / NAME).write_text("theirs")
    (place / NAME).write_text("theirs")
    (place / "manifest.json").write_text("theirs")
    return place


def whole(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in sorted(folder.rglob("*")) if file.is_file()}


def older(folder: StillFolder) -> list[OlderStill]:
    return [OlderStill(1, 1, folder.still(NAME))]


def test_a_still_goes_apart(folder: StillFolder, tmp_path: Path) -> None:
    assert set_apart(folder, tmp_path / "out", older(folder)) == {(1, 1): folder.apart(1) / NAME}
    clear(folder, tmp_path / "out", older(folder), ())
    assert whole(folder.path) == {f"selections/1/{NAME}": "a still"}


def test_a_link_in_a_stills_place_is_not_copied(folder: StillFolder, tmp_path: Path, foreign: Path) -> None:
    folder.still(NAME).unlink()
    folder.still(NAME).symlink_to(foreign / NAME)
    assert set_apart(folder, tmp_path / "out", older(folder)) == {}
    assert not folder.apart(1).exists()


@pytest.mark.parametrize("second_names", [True, False])
def test_a_guessed_draft_is_not_written_through(
    folder: StillFolder, tmp_path: Path, foreign: Path, second_names: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole(foreign)
    folder.apart(1).mkdir(parents=True)
    (folder.apart(1) / f".{NAME}.new").symlink_to(foreign / NAME)
    if not second_names:

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", refuse)
    assert set_apart(folder, tmp_path / "out", older(folder))
    assert whole(foreign) == before
    assert (folder.apart(1) / NAME).read_text() == "a still"


def test_a_link_in_the_place_of_the_folder_for_older_ones(folder: StillFolder, tmp_path: Path, foreign: Path) -> None:
    before = whole(foreign)
    (folder.path / "selections").symlink_to(foreign)
    with pytest.raises(OSError, match="a link or a file stands"):
        set_apart(folder, tmp_path / "out", older(folder))
    clear(folder, tmp_path / "out", older(folder), (NAME,))
    prune(folder, tmp_path / "out", ())
    assert whole(foreign) == before
    assert folder.still(NAME).read_text() == "a still"


def test_a_link_in_the_place_of_an_older_selection_is_not_pruned_through(
    folder: StillFolder, tmp_path: Path, foreign: Path
) -> None:
    before = whole(foreign)
    (folder.path / "selections").mkdir()
    (folder.path / "selections" / "1").symlink_to(foreign / "1")
    prune(folder, tmp_path / "out", ())
    assert whole(foreign) == before


def test_a_link_in_the_films_folders_place_loses_no_stills(tmp_path: Path, foreign: Path) -> None:
    before = whole(foreign)
    (tmp_path / "out").mkdir()
    folder = StillFolder(tmp_path / "out" / "clip-01234567")
    folder.path.symlink_to(foreign)
    clear(folder, tmp_path / "out", [OlderStill(1, 1, folder.still(NAME))], ())
    assert whole(foreign) == before
