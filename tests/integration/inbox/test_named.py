"""Files and folders that are named by hand."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from daemon.config.watch import WatchConfig
from daemon.inbox.named import Named, named
from tests import films

ACCENTED = "Grüße aus Køln é.mp4"


def meant(*paths: Path, **keys: object) -> Named:
    return named(paths, WatchConfig.model_validate(keys))


def test_a_file_is_meant_whatever_its_ending(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert meant(tmp_path / "notes.txt").files == (tmp_path / "notes.txt",)


def test_a_folder_means_the_videos_that_would_be_taken_if_it_were_watched(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    films.make(tmp_path / "day" / "b.mp4", frames=1)
    films.make(tmp_path / "a.mkv", frames=1).rename(tmp_path / "noext")
    films.make(tmp_path / "GX010001.MP4", frames=1)
    for name in ("notes.txt", ".hidden.mp4", "c.mp4.part", "GL010001.LRV"):
        (tmp_path / name).write_text("x")
    found = meant(tmp_path)
    assert [path.name for path in found.files] == ["GX010001.MP4", "noext", "b.mp4"]
    assert found.left_alone.files == 2
    assert [path.name for path in meant(tmp_path, recursive=False).files] == ["GX010001.MP4", "noext"]


def test_a_folder_and_a_file_of_it_mean_it_once(tmp_path: Path) -> None:
    film = films.make(tmp_path / "a.mkv", frames=1)
    assert meant(film, tmp_path, film).files == (film,)


def test_a_folder_without_videos_says_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    ((_, error),) = meant(tmp_path).refused
    assert error.sentence == (
        f"there is no video in the folder {tmp_path}: 1 file is left alone, notes.txt for one"
        " (not a video: text; watch.extensions)"
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("https://host/a/film.mp4", "https://host/a/film.mp4 is an address, and only files are taken"),
        ("rtsp://10.0.0.1:554/live", "rtsp://10.0.0.1:554/live is an address"),
        ("s3://bucket/film.mp4", "s3://bucket/film.mp4 is an address"),
        ("never.mp4", "there is no file or folder never.mp4: check the name"),
        ("no/such/folder/", "there is no file or folder no/such/folder: check the name"),
        ("12:30.mp4", "there is no file or folder 12:30.mp4"),
    ],
)
def test_a_name_that_means_nothing_gets_its_sentence(given: str, sentence: str) -> None:
    found = meant(Path(given))
    assert found.files == ()
    ((_, error),) = found.refused
    assert error.sentence.startswith(sentence)


def test_a_file_whose_name_looks_like_an_address_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("http:").mkdir()
    Path("http:/film.mp4").write_text("x")
    assert meant(Path("http://film.mp4")).files == (Path("http:/film.mp4"),)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_either_unicode_form_names_the_file(tmp_path: Path, form: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    folder = tmp_path / unicodedata.normalize(form, "Été")  # type: ignore[arg-type]
    folder.mkdir()
    there = folder / unicodedata.normalize(form, ACCENTED)  # type: ignore[arg-type]
    there.write_text("x")
    typed = Path(unicodedata.normalize(other, str(there)))  # type: ignore[arg-type]
    assert typed != there
    assert meant(typed).files == (there,)


def test_a_pattern_excludes_either_unicode_form(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        (tmp_path / unicodedata.normalize(form, f"Entwürfe {form}.mp4")).write_text("x")  # type: ignore[arg-type]
    assert meant(tmp_path, exclude=["Entwürfe*"]).files == ()
