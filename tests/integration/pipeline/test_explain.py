"""Why a frame has its verdict, from a real film: the stored word, its figures, its place and its moment."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from daemon.cli.frame import frame_lines
from daemon.errors import Kind, StoreError
from daemon.pipeline.explain import explain
from daemon.store.store import Store
from tests import corpus
from tests.integration.pipeline.test_select_frames import config_in, edited_film, finished, store

__all__ = ["store"]


async def test_every_verdict_of_a_film_is_explained_by_the_gate_that_gave_it(store: Store, tmp_path: Path) -> None:
    config = config_in(tmp_path, count=4)
    record, _ = await finished(store, config, edited_film(tmp_path / "edited.mkv"))
    with sqlite3.connect(config.database.path) as database:
        rows = database.execute("SELECT verdict, MIN(frame) FROM frames GROUP BY verdict").fetchall()
    assert len(rows) > 1
    for word, frame in rows:
        facts = await explain(store, record, config, frame)
        assert facts["verdict"] == word
        assert facts["current"]
        refused = [gate["gate"] for gate in facts["judged"] if gate["refused"]]
        assert refused[:1] == ([] if word == "good" else [word])
        assert json.loads(json.dumps(facts)) == facts
        assert any(word in line for line in frame_lines(facts))


async def test_a_still_says_what_it_stands_for_and_another_frame_its_moment(store: Store, tmp_path: Path) -> None:
    config = config_in(tmp_path, count=4)
    record, stills = await finished(store, config, edited_film(tmp_path / "edited.mkv"))
    facts = await explain(store, record, config, stills[0].frame)
    assert facts["still"]["rank"] == 1
    assert facts["still"]["reason"]["seconds"] == stills[0].reason.seconds
    assert facts["percentile_shot"] is not None
    moment = facts["moment"]
    assert moment["first"] <= stills[0].frame <= moment["last"]
    assert moment["best"] == stills[0].frame
    other = next(frame for frame in range(moment["first"], moment["last"] + 1) if frame != stills[0].frame)
    assert (await explain(store, record, config, other))["still"] is None


async def test_a_damaged_frame_beside_whole_ones_is_left_out_and_no_moments_best(store: Store, tmp_path: Path) -> None:
    config = config_in(tmp_path, count=4)
    record, stills = await finished(store, config, corpus.without_packets(tmp_path / "film.ts"))
    facts = [await explain(store, record, config, frame) for frame in range(record.frames_decoded or 0)]
    damaged = {one["frame"] for one in facts if one["reserve"] == "damaged" and one["verdict"] in ("good", "spared")}
    assert damaged
    assert {one["frame"] for one in facts if one["left_out"]} == damaged, "what a gate refuses is not asked for it"
    assert not {one["moment"]["best"] for one in facts if one["moment"]} & damaged
    assert not {still.frame for still in stills} & damaged
    told = frame_lines(facts[min(damaged)])
    assert "  left out for damage, with whole frames within a minute" in told
    within = await explain(
        store, record, config_in(tmp_path, start=facts[min(damaged)]["time_s"], end=1.0), min(damaged)
    )
    with sqlite3.connect(config.database.path) as database:
        database.execute("UPDATE selections SET reasons = json_set(reasons, '$.strategy', 'even')")
    evenly = await explain(store, record, config, min(damaged))
    for kept in (within, evenly):
        assert (kept["left_out"], "  in reserve: damaged" in frame_lines(kept)) == (False, True)


async def test_a_moment_is_as_long_as_those_of_the_selection(store: Store, tmp_path: Path) -> None:
    config = config_in(tmp_path, count=4)
    record, stills = await finished(store, config, edited_film(tmp_path / "edited.mkv"))
    usual = (await explain(store, record, config, stills[0].frame))["moment"]
    with sqlite3.connect(config.database.path) as database:
        database.execute("UPDATE selections SET reasons = json_set(reasons, '$.moment_seconds', 0.175)")
    shorter = (await explain(store, record, config, stills[0].frame))["moment"]
    assert usual["seconds"] > 0.35 > 0.2 >= shorter["seconds"]
    assert shorter["first"] <= stills[0].frame <= shorter["last"]


async def test_a_verdict_of_other_settings_is_said_to_be_so(store: Store, tmp_path: Path) -> None:
    config = config_in(tmp_path, count=4)
    record, stills = await finished(store, config, edited_film(tmp_path / "edited.mkv"))
    stricter = config.model_copy(update={"gates": config.gates.model_copy(update={"flat_codes": 255})})
    facts = await explain(store, record, stricter, stills[0].frame)
    assert not facts["current"]
    assert facts["verdict"] == "good"
    assert facts["because"].startswith("today's settings say flat: ")


async def test_a_frame_that_the_film_has_not_is_named(store: Store, tmp_path: Path) -> None:
    config = config_in(tmp_path, count=1)
    record, _ = await finished(store, config, edited_film(tmp_path / "edited.mkv"))
    with pytest.raises(StoreError, match="has no frame 99999: its frames are 0 to") as caught:
        await explain(store, record, config, 99999)
    assert caught.value.kind is Kind.NOT_FOUND
