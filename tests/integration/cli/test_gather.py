"""``gather``: one set from many films, as ``datasets`` reads it; doubles said, nothing private inside, added to again."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from daemon.cli import verify
from daemon.cli.gather import COLUMNS, Gathered, Gathering, gather, side_of
from daemon.config.schema import Config
from daemon.errors import StillwatchError
from daemon.export import metadata, proof
from daemon.model import VideoRecord
from daemon.runtime.reading import read_regular
from daemon.service.foreground import once
from daemon.store.store import Store
from tests import films
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")

HANDED_ON = Gathering(test_share=0.5, whole=False, min_difference=6.0)


def scene(seed: int) -> films.Painter:
    """A view of its own, moving."""

    def paint(number: int, width: int, height: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 255, (height // 12 + 1, width // 12 + 1, 3), dtype=np.uint8)
        return np.roll(np.kron(coarse, np.ones((12, 12, 1), np.uint8))[:height, :width], number // 8, axis=1).copy()

    return paint


def config_of(tmp_path: Path, form: str = "png") -> Config:
    return Config.model_validate(
        {
            "output": {"path": tmp_path / "out", "format": form, "gps": True},
            "database": {"path": tmp_path / "db.sqlite"},
            "select": {"strategy": "representative", "count": 1},
        }
    )


async def gathered(config: Config, out: Path, how: Gathering = HANDED_ON, *keys: str) -> Gathered:
    store = await Store.open(config.database)
    try:
        return await gather(store, out, keys, how)
    finally:
        await store.close()


async def first_film(config: Config) -> VideoRecord:
    store = await Store.open(config.database)
    try:
        return await store.videos.get(1)
    finally:
        await store.close()


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("form", ["png", "jpeg"])
async def test_a_set_lists_every_picture_and_says_nothing_private(tmp_path: Path, form: str) -> None:
    config = config_of(tmp_path, form)
    made = [films.make(tmp_path / f"test {n}.mp4", frames=40, painter=scene(n)) for n in range(4)]
    await once(config, made)
    out = tmp_path / "set"
    assert (await gathered(config, out)).added == 4
    lines = rows(out)
    assert tuple(lines[0]) == COLUMNS
    pictures = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.suffix in (".png", ".jpg")}
    assert {line["file_name"] for line in lines} == pictures
    for line in lines:
        picture = out / line["file_name"]
        assert proof.sha256_of(picture) == line["sha256"]
        assert line["split"] == side_of(metadata.read(picture)["digest"], 0.5)
        assert "test" not in line["file_name"]
        assert str(tmp_path).encode() not in picture.read_bytes()
        assert metadata.read(picture)["frame"] == line["frame"]
        assert line["metric"] == metadata.read(picture)["metric"]
        (still,) = verify.find_stills([tmp_path / "out" / line["video"]])
        with Image.open(picture) as ours, Image.open(still) as theirs:
            assert np.array_equal(np.asarray(ours), np.asarray(theirs))
            assert ours.info.keys() == theirs.info.keys()
    assert not list(out.rglob(".*"))
    verdicts = list(verify.verify([out / line["file_name"] for line in lines], config.decode, films=made))
    assert all(one.proven for one in verdicts), verdicts


async def test_run_again_it_adds_what_is_new_and_leaves_the_rest(tmp_path: Path) -> None:
    config, out = config_of(tmp_path), tmp_path / "set"
    await once(config, [films.make(tmp_path / "a.mp4", frames=40, painter=scene(1))])
    await gathered(config, out)
    (first,) = rows(out)
    before = (out / first["file_name"]).stat().st_mtime_ns
    again = await gathered(config, out)
    assert (again.added, again.already) == (0, 1)
    # Sets were begun before there was the column of the metric.
    old = (out / "metadata.csv").read_text().replace(",metric\n", "\n").replace(f",{first['metric']}\n", "\n")
    (out / "metadata.csv").write_text(old)
    first["metric"] = ""
    await once(config, [films.make(tmp_path / "b.mp4", frames=40, painter=scene(2))])
    more = await gathered(config, out)
    assert (more.added, more.already) == (1, 1)
    assert first in rows(out)
    assert len(rows(out)) == 2
    assert (out / first["file_name"]).stat().st_mtime_ns == before


@pytest.mark.parametrize("whole", [True, False])
async def test_after_a_kill_before_the_list_was_written_it_goes_on(tmp_path: Path, whole: bool) -> None:
    config, out, how = config_of(tmp_path), tmp_path / "set", replace(HANDED_ON, whole=whole)
    await once(config, [films.make(tmp_path / "a.mp4", frames=40, painter=scene(1))])
    await gathered(config, out, how)
    listed = rows(out)
    (out / "metadata.csv").unlink()
    again = await gathered(config, out, how)
    assert (again.added, again.left_out) == (1, [])
    assert rows(out) == listed


async def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    await once(config, [films.make(tmp_path / "a.mp4", frames=40, painter=scene(1))])
    (tmp_path / "set").mkdir()
    film = await first_film(config)
    (tmp_path / "set" / film.file.fingerprint[:16]).write_text("in the way")
    with pytest.raises(StillwatchError, match="set cannot be written"):
        await gathered(config, tmp_path / "set")


async def test_what_two_films_show_is_taken_once_and_said(tmp_path: Path) -> None:
    config, out = config_of(tmp_path), tmp_path / "set"
    config = config.model_copy(update={"select": config.select.model_copy(update={"across": False})})
    one = films.make(tmp_path / "one.mp4", frames=40, painter=scene(1))
    same = films.make(tmp_path / "same.mp4", frames=40, painter=scene(1), options={"crf": "12"})
    other = films.make(tmp_path / "other.mp4", frames=40, painter=scene(9))
    await once(config, [one, same, other])
    done = await gathered(config, out)
    assert done.added == 2
    (left,) = done.left_out
    assert "shows the same" in left["reason"]
    assert (await gathered(config, out)).added == 0


async def test_whole_pictures_are_links_of_the_stills(tmp_path: Path) -> None:
    config, out = config_of(tmp_path), tmp_path / "set"
    await once(config, [films.make(tmp_path / "a.mp4", frames=40, painter=scene(1))])
    await gathered(config, out, Gathering(0.0, True, 6.0))
    (line,) = rows(out)
    (still,) = verify.find_stills([tmp_path / "out"])
    assert (out / line["file_name"]).samefile(still)
    assert line["sha256"] == proof.sha256_of(still)


async def test_a_foreign_file_or_list_stays_and_a_changed_still_is_left_out(tmp_path: Path) -> None:
    config, out = config_of(tmp_path), tmp_path / "set"
    await once(config, [films.make(tmp_path / "a.mp4", frames=40, painter=scene(1))])
    await gathered(config, out)
    place = out / rows(out)[0]["file_name"]
    shutil.rmtree(out)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    assert "is not of this set" in (await gathered(config, out)).left_out[0]["reason"]
    assert place.read_bytes() == b"mine"
    (still,) = verify.find_stills([tmp_path / "out"])
    still.write_bytes(still.read_bytes() + b"x")
    assert "changed" in (await gathered(config, tmp_path / "other")).left_out[0]["reason"]
    (out / "metadata.csv").write_text("file_name,text\nx.png,hello\n")
    with pytest.raises(StillwatchError):
        await gathered(config, out)
    assert "hello" in (out / "metadata.csv").read_text()


def test_a_film_is_on_one_side_by_its_content() -> None:
    sides = [side_of(f"{n:064x}", 0.2) for n in range(2000)]
    assert 300 < sides.count("test") < 500
    assert {side_of("a", 0.0), side_of("b", 0.0)} == {"train"}
    assert {side_of("a", 1.0), side_of("b", 1.0)} == {"test"}


@pytest.mark.parametrize("planted", ["link", "picture"])
@pytest.mark.parametrize("whole", [True, False])
async def test_what_takes_a_stills_name_between_two_looks_is_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str, whole: bool
) -> None:
    config = config_of(tmp_path)
    await once(config, [films.make(tmp_path / "film.mp4", painter=scene(1))])
    (still,) = (tmp_path / "out").rglob("*.png")
    published, theirs = still.read_bytes(), tmp_path / "theirs.png"
    Image.new("RGB", (192, 108), "red").save(theirs)

    def then_swap(*arguments: Any) -> bytes:
        content = read_regular(*arguments)
        if planted == "link":
            still.unlink()
            still.symlink_to(theirs)
        else:
            shutil.copy(theirs, still)
        return content

    monkeypatch.setattr("daemon.cli.gather.read_regular", then_swap)
    monkeypatch.setattr("daemon.cli.gather._handed_on", lambda data, *_: data)
    await gathered(config, tmp_path / "set", replace(HANDED_ON, whole=whole))
    (taken,) = (tmp_path / "set").rglob("*.png")
    assert not taken.is_symlink()
    assert taken.read_bytes() == published
