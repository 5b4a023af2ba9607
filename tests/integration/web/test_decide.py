"""Deciding: page and command line do the same, the database remembers it, and every later choice honours it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import decisions as cli
from daemon.config.schema import Config
from daemon.errors import StoreError
from daemon.pipeline.reselect import reselect
from daemon.store.decisions import Decided, DecisionKind
from daemon.store.store import Store
from tests.films import read_still
from tests.integration.web.client import Client


async def chosen(store: Store, film: int) -> list[int]:
    rows = await store.queries.stills((await store.queries.selections(film))[-1]["id"])
    assert [read_still(Path(row["path"])) for row in rows] == [row["frame"] for row in rows]
    return [row["frame"] for row in rows]


def manifest(store_row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(store_row["path"]).parent / "manifest.json").read_text())
    return found


async def test_page_and_command_line_say_the_same(client: Client, config: Config, store: Store, film: int) -> None:
    answer = await client.post(f"/films/{film}/decisions", {"kind": "pin", "frame": 9})
    assert (answer.status, answer.json["pinned"]) == (200, [9])
    assert await cli.decide(config, store, str(film), "ban", 5) == (
        f"frame 5 banned: no later choice has it; `stillwatch select {film}` exports the stills anew"
    )
    both = (await client.get(f"/films/{film}/decisions")).json
    assert (both["pinned"], both["banned"]) == ([9], [5])
    assert both.items() >= (await store.decisions.decided(film)).as_json().items()


async def test_a_rejected_still_is_replaced_by_the_best_of_its_moment(
    client: Client, config: Config, store: Store, film: int
) -> None:
    before = await chosen(store, film)
    state = (await client.post(f"/films/{film}/decisions", {"kind": "reject", "frame": before[1]})).json
    other = state["instead"][str(before[1])]
    assert other is not None
    assert state["draft"] == [before[0], other, before[2]]
    assert await chosen(store, film) == before
    await reselect(config, store, str(film), anew=False)
    assert await chosen(store, film) == [before[0], other, before[2]]
    # The marks were of the selection before.
    assert not (await store.decisions.decided(film)).marked


async def test_an_accepted_frame_of_the_same_moment_takes_the_place(
    client: Client, config: Config, store: Store, film: int
) -> None:
    before = await chosen(store, film)
    near = before[1] + 1
    await client.post(f"/films/{film}/decisions", {"kind": "reject", "frame": before[1]})
    state = (await client.post(f"/films/{film}/decisions", {"kind": "accept", "frame": near})).json
    assert state["draft"] == [before[0], near, before[2]]
    await reselect(config, store, str(film), anew=False)
    assert await chosen(store, film) == [before[0], near, before[2]]


async def test_pins_and_bans_hold_for_every_later_choice(config: Config, store: Store, film: int) -> None:
    before = await chosen(store, film)
    await store.decisions.decide(film, DecisionKind.PIN, 30)
    await store.decisions.decide(film, DecisionKind.BAN, before[0])
    for strategy in ("best", "representative", "even"):
        asked = config.model_copy(update={"select": config.select.model_copy(update={"strategy": strategy})})
        await reselect(asked, store, str(film))
        now = await chosen(store, film)
        assert 30 in now
        assert before[0] not in now
        row = (await store.queries.stills((await store.queries.selections(film))[-1]["id"]))[0]
        said = manifest(dict(row))["selection"]
        assert (said["pinned"], said["banned"]) == ([30], [before[0]])


async def test_undo_and_redo_go_through_all_decisions(client: Client, store: Store, film: int) -> None:
    for kind, frame in (("accept", 3), ("ban", 4), ("pin", 4)):
        await client.post(f"/films/{film}/decisions", {"kind": kind, "frame": frame})
    seen = [(await client.post(f"/films/{film}/undo")).json for _ in range(4)]
    assert [(one["accepted"], one["pinned"], one["banned"]) for one in seen] == [
        ([3], [], [4]), ([3], [], []), ([], [], []), ([], [], []),
    ]  # fmt: skip
    assert (seen[-1]["can_undo"], seen[-1]["can_redo"]) == (False, True)
    again = [(await client.post(f"/films/{film}/redo")).json for _ in range(3)]
    assert (again[-1]["accepted"], again[-1]["pinned"], again[-1]["banned"]) == ([3], [4], [])
    await client.post(f"/films/{film}/undo")
    await client.post(f"/films/{film}/decisions", {"kind": "note", "frame": None, "note": "<b>ours</b>"})
    assert not (await store.decisions.decided(film)).can_redo
    assert (await store.decisions.decided(film)).notes == ((None, "<b>ours</b>"),)
    for path in ("", "/report.html"):
        page = (await client.get(f"/films/{film}{path}")).text
        assert ("&lt;b&gt;ours&lt;/b&gt;" in page, "<b>ours</b>" in page) == (True, False)


async def test_nothing_to_undo_is_said(client: Client, film: int) -> None:
    for which in ("undo", "redo"):
        assert (await client.post(f"/films/{film}/{which}")).json["turned"] is False
    assert (await client.post(f"/films/{film}/decisions", {"kind": "ban", "frame": 4})).status == 200
    assert (await client.post(f"/films/{film}/undo")).json["turned"] is True


async def test_a_page_can_tell_that_the_stills_were_chosen_anew_elsewhere(
    client: Client, config: Config, store: Store, film: int
) -> None:
    before = (await client.get(f"/films/{film}/decisions")).json
    assert (await client.get(f"/films/{film}/decisions")).json == before
    await reselect(config, store, str(film))
    after = (await client.get(f"/films/{film}/decisions")).json
    assert after["selection"] != before["selection"]
    assert after["status"] == before["status"] == "done"


@pytest.mark.parametrize("note", ["\ud800", "bytes \udcff"])
async def test_a_note_that_is_no_text_is_refused(
    client: Client, config: Config, store: Store, film: int, note: str
) -> None:
    assert (await client.post(f"/films/{film}/decisions", {"kind": "note", "note": note})).status == 400
    with pytest.raises(StoreError, match="a note is text"):
        await cli.decide(config, store, str(film), "note", None, note)
    assert (await store.decisions.decided(film)).notes == ()


async def test_where_every_frame_is_banned_the_preview_says_so(client: Client, film: int) -> None:
    for frame in range(60):
        await client.post(f"/films/{film}/decisions", {"kind": "ban", "frame": frame})
    for strategy in ("representative", "even", "best"):
        seen = (await client.post(f"/films/{film}/preview", {"count": 3, "strategy": strategy})).json
        assert seen["picks"] == []
        if strategy == "representative":
            assert "banned" in seen["shortfall"]
    seen = (await client.post(f"/films/{film}/preview", {"start": 900, "strategy": "representative"})).json
    assert "no frame between" in seen["shortfall"]


async def test_reset_takes_everything_from_a_frame(store: Store, film: int) -> None:
    for kind in (DecisionKind.PIN, DecisionKind.ACCEPT, DecisionKind.RESET):
        await store.decisions.decide(film, kind, 7)
    assert await store.decisions.decided(film) == Decided(can_undo=True)


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"kind": "pin"}, {"kind": "drop", "frame": 1}, {"kind": "pin", "frame": "1"},
     {"kind": "pin", "frame": -1}, {"kind": "pin", "frame": 2**40}, {"kind": "pin", "frame": True},
     {"kind": "note", "frame": 1, "note": 5}],
)  # fmt: skip
async def test_a_senseless_decision_is_refused(client: Client, film: int, body: Any) -> None:
    assert (await client.post(f"/films/{film}/decisions", body)).status == 400


async def test_a_frame_that_is_not_there_cannot_be_decided_about(
    client: Client, config: Config, store: Store, film: int
) -> None:
    assert (await client.post(f"/films/{film}/decisions", {"kind": "pin", "frame": 60})).status == 404
    with pytest.raises(StoreError, match="has no frame 60"):
        await cli.decide(config, store, str(film), "pin", 60)
    with pytest.raises(StoreError, match="nothing to undo"):
        await cli.turn(store, str(film), undo=True)
