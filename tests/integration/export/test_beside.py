"""Pictures beside the film: made, renewed and removed with the choice; what is not ours stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from daemon.config.schema import Config
from daemon.config.watch import WatchConfig
from daemon.export import beside
from daemon.export.proof import sha256_of
from daemon.inbox import content
from daemon.model import Method, Status, Still
from daemon.pipeline.reselect import reselect
from daemon.service.foreground import once
from daemon.store.store import Store
from tests import films
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")

TEMPLATES = ["{stem}-poster.jpg", "{stem}-fanart{n}.jpg"]


def config_of(tmp_path: Path, count: int = 3, **output: Any) -> Config:
    return Config.model_validate(
        {
            "output": {"path": tmp_path / "out", "beside": TEMPLATES, **output},
            "database": {"path": tmp_path / "db.sqlite"},
            "select": {"strategy": "best", "count": count, "min_gap_seconds": 0},
        }
    )


async def again(config: Config, folder: str | None = None) -> None:
    store = await Store.open(config.database)
    try:
        await reselect(config, store, "1", folder=folder)
    finally:
        await store.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_they_are_made_renewed_and_removed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    film = films.make(tmp_path / "in/A Day [2024] ü.mp4", frames=12)
    await once(config_of(tmp_path), [film])
    stem = "A Day [2024] ü"
    fanart = [f"{stem}-fanart{n}.jpg" for n in (1, 2, 3)]
    assert names(film.parent) == sorted([*fanart, f"{stem}-poster.jpg", film.name])
    seen = [films.read_still(film.with_name(name)) for name in fanart]
    assert seen == sorted(seen)
    assert films.read_still(film.with_name(f"{stem}-poster.jpg")) in seen
    for name in fanart:
        assert str(tmp_path).encode() not in film.with_name(name).read_bytes()
        assert not content.look(film.with_name(name)).video
    await again(config_of(tmp_path, count=2))
    assert names(film.parent) == sorted([*fanart[:2], f"{stem}-poster.jpg", film.name])
    await again(config_of(tmp_path, count=1), folder="other")
    assert names(film.parent) == sorted([*fanart[:2], f"{stem}-poster.jpg", film.name])
    await again(config_of(tmp_path, beside=["{stem}-thumb.jpg"]))
    assert names(film.parent) == sorted([f"{stem}-thumb.jpg", film.name])


async def test_a_foreign_file_of_that_name_stays_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    film = films.make(tmp_path / "in/film.mp4", frames=12)
    Image.new("RGB", (8, 8)).save(tmp_path / "in/film-poster.jpg")
    before = (tmp_path / "in/film-poster.jpg").read_bytes()
    (tmp_path / "in/film-fanart1.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "in/film-fanart2.jpg").mkdir()
    await once(config_of(tmp_path), [film])
    assert (tmp_path / "in/film-poster.jpg").read_bytes() == before
    assert (tmp_path / "in/film-fanart1.jpg").is_symlink()
    assert not (tmp_path / "nowhere.jpg").exists()
    assert films.read_still(tmp_path / "in/film-fanart3.jpg") < 12
    assert capsys.readouterr().out.count("export.not_beside") == 1


async def test_a_folder_that_cannot_be_written_gets_one_sentence_and_the_film_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    film = films.make(tmp_path / "in/film.mp4", frames=12)

    def refuse(*_: object) -> list[str]:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(beside, "renew", refuse)
    records, _ = await once(config_of(tmp_path), [film])
    assert [record.status for record in records] == [Status.DONE]
    assert capsys.readouterr().out.count("export.not_beside") == 1
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3


async def test_they_follow_their_film_and_leave_others_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "done").mkdir()
    film = films.make(tmp_path / "in/film.mp4", frames=12)
    records, _ = await once(config_of(tmp_path, count=1), [film])
    Image.new("RGB", (8, 8)).save(tmp_path / "in/film-mine.jpg")
    moved = film.rename(tmp_path / "done/film-2.mp4")
    beside.follow(film, moved, records[0].file.fingerprint, TEMPLATES)
    assert names(tmp_path / "in") == ["film-mine.jpg"]
    assert names(tmp_path / "done") == ["film-2-fanart1.jpg", "film-2-poster.jpg", "film-2.mp4"]
    beside.follow(moved, None, "0" * 64, TEMPLATES)
    assert len(names(tmp_path / "done")) == 3
    beside.follow(moved, None, records[0].file.fingerprint, TEMPLATES)
    assert names(tmp_path / "done") == ["film-2.mp4"]


def test_a_large_still_is_made_small(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=2, width=64, height=48)
    source = tmp_path / "still.png"
    Image.new("RGB", (4000, 1000)).save(source)
    still = _still(source)
    assert beside.renew(film, "f" * 64, ["poster.jpg"], [still]) == []
    with Image.open(tmp_path / "poster.jpg") as image:
        assert image.size == (1920, 480)
    assert beside.renew(film, "e" * 64, ["poster.jpg"], [still]) == ["poster.jpg"]
    assert beside.renew(film, "f" * 64, ["poster.jpg"], []) == []
    assert not (tmp_path / "poster.jpg").exists()


def test_what_is_no_plain_file_is_none_of_ours_and_stays(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    film = films.make(tmp_path / "in/film.mp4", frames=2, width=64, height=48)
    Image.new("RGB", (64, 48)).save(tmp_path / "still.png")
    still = _still(tmp_path / "still.png")
    assert beside.renew(film, "f" * 64, TEMPLATES, [still]) == []
    (tmp_path / "in/film-poster.jpg").rename(tmp_path / "ours.jpg")
    (tmp_path / "in/film-poster.jpg").symlink_to(tmp_path / "ours.jpg")
    os.mkfifo(tmp_path / "in/film-fanart7.jpg")
    with (tmp_path / "in/film-fanart8.jpg").open("wb") as large:
        large.truncate(3 * 1024**3)
    assert beside.renew(film, "f" * 64, TEMPLATES, [still]) == ["film-poster.jpg"]
    beside.follow(film, None, "f" * 64, TEMPLATES)
    assert names(tmp_path / "in") == ["film-fanart7.jpg", "film-fanart8.jpg", "film-poster.jpg", "film.mp4"]


def test_pictures_that_went_with_their_folder_do_not_follow(tmp_path: Path) -> None:
    beside.follow(tmp_path / "gone/film.mp4", tmp_path / "film.mp4", "f" * 64, TEMPLATES)


def _still(path: Path) -> Still:
    return Still(1, 0, 0.0, 1.0, path, 4000, 1000, 1, sha256_of(path), Method.DECODE)


@pytest.mark.parametrize("template", ["../{stem}.jpg", "{stem}.png", "{frame}.jpg", ".{stem}.jpg", "a/{stem}.jpg"])
def test_a_wrong_template_stops_the_start(tmp_path: Path, template: str) -> None:
    with pytest.raises(ValidationError):
        config_of(tmp_path, beside=[template])


async def test_a_guessed_name_of_a_draft_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "canary").write_text("theirs")
    film = films.make(tmp_path / "in/film.mp4", frames=12)
    (film.parent / ".film-poster.jpg.new").symlink_to(tmp_path / "canary")
    await once(config_of(tmp_path), [film])
    assert (tmp_path / "canary").read_text() == "theirs"
    assert films.read_still(film.with_name("film-poster.jpg")) in range(12)


async def test_a_linked_subfolder_leads_no_picture_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody puts a link in the place of the film's folder while the film is worked on."""
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "private").mkdir()
    film = films.make(tmp_path / "in/sub/film.mp4", frames=12)
    config = config_of(tmp_path).model_copy(update={"watch": WatchConfig(path=tmp_path / "in")})
    renew = beside.renew

    def planted(*arguments: Any) -> list[str]:
        (tmp_path / "in/sub").rename(tmp_path / "in/before")
        (tmp_path / "in/sub").symlink_to(tmp_path / "private")
        return renew(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beside, "renew", planted)
        (record,), _ = await once(config, [film])
    assert record.status is Status.DONE
    assert names(tmp_path / "private") == []
    assert capsys.readouterr().out.count("export.not_beside") == 1


def test_pictures_follow_through_no_link(tmp_path: Path) -> None:
    for name in ("in", "done", "private"):
        (tmp_path / name).mkdir()
    film = films.make(tmp_path / "in/film.mp4", frames=2, width=64, height=48)
    Image.new("RGB", (64, 48)).save(tmp_path / "still.png")
    assert beside.renew(film, "f" * 64, ["poster.jpg"], [_still(tmp_path / "still.png")]) == []
    (tmp_path / "done/sub").symlink_to(tmp_path / "private")
    with pytest.raises(OSError, match="leads out"):
        beside.follow(
            film, tmp_path / "done/sub/film.mp4", "f" * 64, ["poster.jpg"], tmp_path / "in", tmp_path / "done"
        )
    assert names(tmp_path / "private") == []
    (tmp_path / "in/poster.jpg").rename(tmp_path / "private/poster.jpg")
    (tmp_path / "in/linked").symlink_to(tmp_path / "private")
    with pytest.raises(OSError, match="leads out"):
        beside.follow(tmp_path / "in/linked/film.mp4", None, "f" * 64, ["poster.jpg"], tmp_path / "in", None)
    assert names(tmp_path / "private") == ["poster.jpg"]


@pytest.mark.parametrize("planted", ["link", "picture"])
def test_only_the_still_that_was_published_is_shown_beside_a_film(tmp_path: Path, planted: str) -> None:
    film = films.make(tmp_path / "film.mp4", frames=2, width=64, height=48)
    Image.new("RGB", (64, 48)).save(tmp_path / "still.png")
    still = _still(tmp_path / "still.png")
    Image.new("RGB", (64, 48), "red").save(tmp_path / "theirs.png")
    if planted == "link":
        still.path.unlink()
        still.path.symlink_to(tmp_path / "theirs.png")
    else:
        (tmp_path / "theirs.png").replace(still.path)
    with pytest.raises(OSError, match=r"is not the still|is not a regular file|symbolic links"):
        beside.renew(film, "f" * 64, ["poster.jpg"], [still])
    assert not (tmp_path / "poster.jpg").exists()
