"""A folder holds the current selection; older ones, and those of content that was replaced, lie apart by their ids."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import verify
from daemon.config.schema import Config
from daemon.export.file_names import parse_name
from daemon.export.paths import is_still
from daemon.model import Status, VideoRecord
from daemon.pipeline.reselect import reselect
from daemon.service.foreground import once
from daemon.store.store import Store
from tests import films
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")

FRAMES = 24


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.model_validate(
        {
            "output": {"path": tmp_path / "stills"},
            "database": {"path": tmp_path / "s.db", "commit_seconds": 0.05},
            "select": {"strategy": "best", "count": 3, "min_gap_seconds": 0.08},
        }
    )


@pytest.fixture
async def store(config: Config, tmp_path: Path) -> AsyncIterator[Store]:
    film = films.make(tmp_path / "film.mkv", codec="ffv1", frames=FRAMES)
    await once(config, [film])
    opened = await Store.open(config.database)
    yield opened
    await opened.close()


def asked(config: Config, **select: Any) -> Config:
    return config.model_copy(update={"select": config.select.model_copy(update=select)})


def keeping(config: Config, selections: int) -> Config:
    return config.model_copy(update={"output": config.output.model_copy(update={"keep_selections": selections})})


async def known(store: Store, video: int = 1) -> dict[int, set[Path]]:
    """By selection: where the database has its stills."""
    ids = [row["id"] for row in await store.queries.selections(video)]
    return {one: {Path(still["path"]) for still in await store.queries.stills(one)} for one in ids}


def on_disk(config: Config) -> dict[Path, set[Path]]:
    """By folder: the stills in it."""
    found: dict[Path, set[Path]] = {}
    for path in config.output.path.rglob("*"):
        if is_still(path):
            found.setdefault(path.parent, set()).add(path)
    return found


def check(config: Config, selections: dict[int, set[Path]], current: int) -> None:
    """What always holds: no rank twice in a folder, every still known and where it belongs, each manifest its own."""
    (folder,) = {path.parent for path in selections[current]}
    assert on_disk(config) == {
        (folder if one == current else folder / "selections" / str(one)): paths
        for one, paths in selections.items()
        if paths
    }
    for place, paths in on_disk(config).items():
        assert max(Counter(parse_name(path.name).rank for path in paths).values()) == 1
        manifest = json.loads((place / "manifest.json").read_text())
        assert {one["file"] for one in manifest["stills"]} == {path.name for path in paths}


async def test_older_selections_lie_apart_each_with_its_manifest_and_are_proven(config: Config, store: Store) -> None:
    first = await known(store)
    check(config, first, 1)
    before = {path.name: path.read_bytes() for path in first[1]}
    await reselect(asked(config, count=5), store, "1")
    await reselect(asked(config, count=2, min_gap_seconds=0.3), store, "1")
    selections = await known(store)
    assert [len(paths) for paths in selections.values()] == [3, 5, 2]
    check(config, selections, 3)
    assert {path.name: path.read_bytes() for path in selections[1]} == before
    verdicts = list(verify.verify(verify.find_stills([config.output.path]), config.decode))
    assert len(verdicts) == 10
    assert [one.reason for one in verdicts if not one.proven] == []


async def test_the_same_choice_once_more_has_its_own_files(config: Config, store: Store) -> None:
    await reselect(config, store, "1")
    check(config, await known(store), 2)


@pytest.mark.parametrize(("keep", "left"), [(0, {4}), (1, {3, 4}), (2, {2, 3, 4}), (9, {1, 2, 3, 4})])
async def test_as_many_are_kept_as_the_settings_say(config: Config, store: Store, keep: int, left: set[int]) -> None:
    kept = keeping(config, keep)
    for count in (4, 5, 6):
        await reselect(asked(kept, count=count), store, "1")
    selections = await known(store)
    assert {one for one, paths in selections.items() if paths} == left
    check(config, selections, 4)
    # What was chosen stays known.
    assert [row["chosen"] for row in await store.queries.selections(1)] == [3, 4, 5, 6]


async def test_files_of_other_people_stay_where_they_are(config: Config, store: Store) -> None:
    (folder,) = {path.parent for path in (await known(store))[1]}
    (folder / "notes.txt").write_text("mine")
    await reselect(asked(keeping(config, 0), count=4), store, "1")
    (folder / "selections" / "7").mkdir(parents=True)
    (folder / "selections" / "7" / "mine.png").write_text("mine")
    await reselect(asked(keeping(config, 0), count=5), store, "1")
    assert (folder / "notes.txt").read_text() == (folder / "selections" / "7" / "mine.png").read_text() == "mine"


async def grown(config: Config, path: Path, parts: int) -> list[VideoRecord]:
    """A recording that pauses: after each part it is taken as it is by then."""
    whole = films.make(path.with_name("whole.ts"), codec="mpeg2video", frames=60, options={"g": "6"}).read_bytes()
    records = []
    for part in range(1, parts + 1):
        path.write_bytes(whole[: len(whole) * part // parts // 188 * 188])
        ((record,), _) = await once(config, [path])
        records.append(record)
    return records


async def test_a_recording_that_pauses_ends_with_one_folder_of_current_stills(tmp_path: Path, config: Config) -> None:
    records = await grown(config, tmp_path / "cam1.ts", 3)
    assert [record.status for record in records] == [Status.DONE] * 3
    store = await Store.open(config.database)
    try:
        now = [await store.videos.get(record.id) for record in records]
        assert [(one.status, one.replaced_by) for one in now] == [
            (Status.REPLACED, 2), (Status.REPLACED, 3), (Status.DONE, None),
        ]  # fmt: skip
        selections = {one: paths for video in (1, 2, 3) for one, paths in (await known(store, video)).items()}
        check(config, selections, 3)
        assert [path.name for path in config.output.path.iterdir()] == [f"cam1-{now[2].file.fingerprint[:8]}"]
        listed = await store.queries.videos(10)
        assert [one["status"] for one in listed] == ["done", "replaced", "replaced"]
    finally:
        await store.close()


async def test_a_film_that_is_replaced_while_older_selections_are_there(
    tmp_path: Path, config: Config, store: Store
) -> None:
    await reselect(asked(config, count=4), store, "1")
    film = tmp_path / "film.mkv"
    whole = film.read_bytes()
    films.make(film, codec="ffv1", frames=FRAMES, numbers=range(100, 100 + FRAMES))
    ((record,), _) = await once(config, [film])
    selections = await known(store) | await known(store, record.id)
    check(config, selections, 3)
    # And back: what was replaced is current again, in its own folder, with all that was chosen since.
    film.write_bytes(whole)
    ((again,), _) = await once(config, [film])
    assert again.id == 1
    selections = await known(store) | await known(store, record.id)
    check(config, selections, 4)


async def test_two_films_of_one_name_that_are_alike_in_three_blocks_have_two_folders(
    tmp_path: Path, config: Config
) -> None:
    paths = [tmp_path / place / "film.mkv" for place in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
    films.make(paths[0], codec="ffv1", frames=60, width=480, height=272)
    content = bytearray(paths[0].read_bytes())
    content[len(content) * 2 // 7] ^= 1
    paths[1].write_bytes(content)
    records, _ = await once(config, paths)
    assert records[0].file.fingerprint == records[1].file.fingerprint
    folders = {path.name for path in config.output.path.iterdir()}
    assert folders == {f"film-{records[0].file.fingerprint[:8]}", f"film-{str(records[1].file.digest)[:8]}"}


async def test_a_folder_that_an_earlier_version_filled_with_several_selections_is_put_in_order(
    config: Config, store: Store
) -> None:
    """They lay side by side, and the manifest named the newest alone."""
    for count in (4, 5):
        await reselect(asked(config, count=count), store, "1")
    selections = await known(store)
    (folder,) = {path.parent for path in selections[3]}
    for one in (1, 2):
        for path in selections[one]:
            path.replace(folder / path.name)
            await store.db.execute(
                "UPDATE stills SET path = ? WHERE selection_id = ? AND path = ?",
                (str(folder / path.name), one, str(path)),
            )
        (folder / "selections" / str(one) / "manifest.json").unlink()
        (folder / "selections" / str(one)).rmdir()
    await reselect(asked(config, count=2), store, "1")
    now = await known(store)
    assert [len(paths) for paths in now.values()] == [3, 4, 5, 2]
    assert on_disk(config) == {
        (folder if one == 4 else folder / "selections" / str(one)): paths for one, paths in now.items()
    }
    assert (folder / "selections" / "3" / "manifest.json").is_file()
    assert not (folder / "selections" / "1" / "manifest.json").exists()


STEPS = ("set_apart", "moved", "clear", "publish", "finish", "prune")


@pytest.mark.parametrize("step", STEPS)
async def test_an_end_at_any_step_leaves_every_still_where_the_database_has_it(
    config: Config, store: Store, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends just after this step, as by a kill; the next choice puts everything in order."""

    class Killed(BaseException):
        pass

    def ending(function: Callable[..., Any]) -> Callable[..., Any]:
        def then_end(*arguments: Any, **options: Any) -> Any:
            function(*arguments, **options)
            raise Killed

        async def then_end_async(*arguments: Any, **options: Any) -> Any:
            await function(*arguments, **options)
            raise Killed

        return then_end_async if step in ("moved", "finish") else then_end

    place = {
        "set_apart": "daemon.pipeline.older_selections.set_apart",
        "moved": "daemon.store.selections.Selections.moved",
        "clear": "daemon.export.older_selections.clear",
        "publish": "daemon.export.work_folder.publish",
        "finish": "daemon.store.selections.Selections.finish",
        "prune": "daemon.pipeline.older_selections.prune",
    }[step]
    module, _, name = place.rpartition(".")
    target = {"Selections": type(store.selections)}.get(module.rpartition(".")[2])
    owner = target or __import__(module, fromlist=["x"])
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, ending(getattr(owner, name)))
        with pytest.raises(Killed):
            await reselect(asked(config, count=5), store, "1")
    for paths in (await known(store)).values():
        assert all(path.is_file() for path in paths)
    for paths in on_disk(config).values():
        assert max(Counter(parse_name(path.name).rank for path in paths).values()) == 1 or step in (
            "set_apart",
            "moved",
        )
    # Another choice than the one that was lost: nothing of that may be left in the folder.
    await reselect(asked(config, count=2, min_gap_seconds=0.3), store, "1")
    now = await known(store)
    (folder,) = {path.parent for path in now[max(now)]}
    there = on_disk(config)
    assert there.pop(folder) == now[max(now)]
    there.pop(folder / "selections" / "0", None)
    assert there == {folder / "selections" / str(one): now[one] for one in now if one != max(now)}


async def test_a_disk_without_second_names_gets_copies(
    config: Config, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    await reselect(asked(config, count=5), store, "1")
    check(config, await known(store), 2)
