"""A picture that another film gave is not given again: two films of a folder that share a scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import render
from daemon.config.schema import Config
from daemon.observe.reports import detail
from daemon.pipeline.given_pictures import GivenPictures
from daemon.pipeline.select_frames import selection_params
from daemon.store.store import Store
from tests.integration.pipeline.test_select_frames import (
    config_in,
    edited_film,
    finished,
    noisy,
    painted,
    scene,
    selector,
    store,
)

__all__ = ["store"]


def film(path: Path, *seeds: int) -> Path:
    return painted(path, [noisy(scene(seed), 100 * seed + n) for seed in seeds for n in range(40)])


def asked(folder: Path, **select: Any) -> Config:
    return config_in(folder, count=4, min_gap_seconds=0.5, **select)


async def test_a_scene_that_another_film_gave_is_left_out_and_said(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = asked(tmp_path, across=True)
    first, given = await finished(store, config, film(tmp_path / "first.mkv", 1, 2))
    assert len(given) == 2
    second, stills = await finished(store, config, film(tmp_path / "second.mkv", 2, 3))
    assert [still.frame >= 40 for still in stills] == [True]
    (row,) = await store.queries.selections(second.id)
    told = json.loads(row["reasons"])["across"]
    assert told["left_out"] >= 1
    assert {one["video_id"] for one in told["some"]} == {first.id}
    assert {one["as"] for one in told["some"]} <= {still.frame for still in given}
    assert "select.across" in row["shortfall"]
    manifest = next((tmp_path / "stills").glob("second-*/manifest.json"))
    assert json.loads(manifest.read_text())["selection"]["reasons"]["across"] == told
    render.print_detail(await detail(store, str(second.id)))
    assert "what stills of other films show: first.mkv (select.across)" in capsys.readouterr().out


async def test_it_is_off_unless_asked_for(store: Store, tmp_path: Path) -> None:
    config = asked(tmp_path)
    await finished(store, config, film(tmp_path / "first.mkv", 1, 2))
    _, stills = await finished(store, config, film(tmp_path / "second.mkv", 2, 3))
    assert len(stills) == 2
    assert "across" not in selection_params(config, "niqe")
    assert selection_params(asked(tmp_path, across=True), "niqe")["across"] is True


async def test_a_films_own_stills_do_not_stand_against_it(store: Store, tmp_path: Path) -> None:
    config = asked(tmp_path, across=True)
    record, stills = await finished(store, config, edited_film(tmp_path / "film.mkv"))
    again = await selector(store, config, record).select()
    assert [pick.frame for pick in again.picks] == [still.frame for still in stills]


async def test_what_is_known_is_read_once_and_follows_a_new_selection(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = asked(tmp_path)
    first, stills = await finished(store, config, film(tmp_path / "first.mkv", 1, 2))
    await finished(store, config, film(tmp_path / "second.mkv", 2, 3))
    pictures = GivenPictures(store)
    asked_for: list[list[int]] = []
    read = store.selections.given

    async def counted(ids: Any) -> Any:
        asked_for.append(list(ids))
        return await read(ids)

    monkeypatch.setattr(store.selections, "given", counted)
    assert set((await pictures.by_others(2)).frame.tolist()) == {still.frame for still in stills}
    assert set((await pictures.by_others(first.id)).video_id.tolist()) == {2}
    assert sorted(asked_for[0]) == [1, 2]
    assert len(asked_for) == 1
    await store.selections.finish(first.id, await selector(store, config, first).select(), stills[:1])
    assert (await pictures.by_others(2)).frame.tolist() == [stills[0].frame]
    assert asked_for[1:] == [[3]]
