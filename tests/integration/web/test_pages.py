"""The review pages of a finished film: what they show, and what odd names and numbers do."""

from __future__ import annotations

import asyncio
import html
import io
import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daemon.config.schema import Config
from daemon.errors import Kind, StillwatchError
from daemon.inbox.identity import fingerprint
from daemon.model import Status
from daemon.pipeline.explain import explain
from daemon.store.store import Store
from tests import films
from tests.films import read_code
from tests.integration.web.client import Client
from tests.integration.web.conftest import finished_film

ODD_NAMES = [
    "<script>alert(1)<script>.mp4", "\"><img src=x onerror=alert(1)>.mp4", "two\nlines.mp4", "\u202egnp.mp4", "it's 'quoted' & more.mp4",
    "{{ 7 * 7 }}.mp4", "\u2028.mp4", "</script><script>.mp4".replace("/", "\u2044"),
]  # fmt: skip


async def test_the_list_links_to_each_film_by_its_name(client: Client, film: int) -> None:
    answer = await client.get("/")
    assert answer.status == 200
    assert f'<a href="/films/{film}"><bdi>film.mp4</bdi></a>' in answer.text
    assert "3 stills" in answer.text
    assert (await client.get("/?q=FILM.MP4")).text.count("data-film=") == 1
    assert (await client.get("/?q=other")).text.count("data-film=") == 0


async def test_a_film_shows_its_stills_and_reasons_without_a_script(client: Client, film: int, store: Store) -> None:
    answer = await client.get(f"/films/{film}")
    stills = await store.queries.stills((await store.queries.selections(film))[-1]["id"])
    assert len(stills) == 3
    for still in stills:
        assert f'href="/films/{film}/frames/{still["frame"]}"' in answer.text
        preview = await client.get(f"/films/{film}/previews/{still['rank']}.jpg")
        assert read_code(np.asarray(Image.open(io.BytesIO(preview.body)))) == still["frame"]
        assert (await client.get(f"/films/{film}/stills/{still['rank']}")).body == Path(still["path"]).read_bytes()
    assert 'aria-label="Filmstrip"' in answer.text
    assert 'aria-label="Score curve"' in answer.text


async def test_a_card_is_sent_once_and_anew_when_its_still_changes(client: Client, film: int, store: Store) -> None:
    card = await client.get(f"/films/{film}/previews/1.jpg")
    known = {"if-none-match": card.headers["etag"]}
    assert (await client.get(f"/films/{film}/previews/1.jpg", known)).status == 304
    stills = await store.queries.stills((await store.queries.selections(film))[-1]["id"])
    first, second = (Path(one["path"]) for one in stills[:2])
    first.write_bytes(second.read_bytes())
    changed = await client.get(f"/films/{film}/previews/1.jpg", known)
    assert (changed.status, read_code(np.asarray(Image.open(io.BytesIO(changed.body))))) == (200, stills[1]["frame"])


async def test_a_frame_in_full_is_that_very_frame(client: Client, film: int) -> None:
    for frame in (0, 17, 59):
        answer = await client.get(f"/films/{film}/frames/{frame}.jpg")
        assert answer.headers["content-type"] == "image/jpeg"
        picture = Image.open(io.BytesIO(answer.body))
        assert (picture.size, read_code(np.asarray(picture))) == ((192, 108), frame)
    assert (await client.get(f"/films/{film}/frames/60.jpg")).status == 404


async def test_what_is_known_of_a_frame(client: Client, film: int, store: Store) -> None:
    facts = (await client.get(f"/films/{film}/frames/20.json")).json
    row = (await store.frames.rows(film, [20]))[20]
    assert facts["score"] == pytest.approx(row.score, abs=1e-4)
    assert facts["time"] == "0:00.800"
    assert 0 < facts["percentile_film"] <= 100
    scores = [one["score"] for one in facts["alternatives"]]
    assert scores == sorted(scores)
    assert all(one["frame"] != 20 for one in facts["alternatives"])
    assert (await client.get(f"/films/{film}/frames/20")).status == 200


async def test_the_strip_has_a_picture_for_every_frame(client: Client, film: int) -> None:
    answer = await client.get(f"/films/{film}/strip/31.jpg")
    picture = Image.open(io.BytesIO(answer.body))
    assert (picture.size, read_code(np.asarray(picture))) == ((160, 90), 31)


async def test_with_the_source_gone_all_but_frames_in_full_is_there(client: Client, film: int, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").unlink()
    for path in ("", "/curve", "/strip/3.jpg", "/previews/1.jpg", "/frames/3.json", "/frames/3"):
        assert (await client.get(f"/films/{film}{path}")).status == 200
    answer = await client.get(f"/films/{film}/frames/3.jpg")
    assert (answer.status, answer.json["error"]) == (404, "the file is not there any more: drop it again")


async def test_a_film_without_scores_shows_no_empty_boxes(
    client: Client, store: Store, film: int, tmp_path: Path
) -> None:
    await store.queue.enqueue(fingerprint(films.make(tmp_path / "waiting.mp4", frames=5)))
    waiting = (await client.get(f"/films/{film + 1}")).text
    done = (await client.get(f"/films/{film}")).text
    for name in ("Frame", "Filmstrip", "Score curve", "Export panel"):
        assert f'aria-label="{name}" hidden' in waiting
        assert f'aria-label="{name}">' in done
    assert "Nothing is chosen yet." in waiting
    # How many there are is not known yet.
    assert (" frames<" in waiting, "<span>60 frames</span>" in done) == (False, True)


async def test_list_and_page_say_the_same_size(client: Client, config: Config, film: int) -> None:
    with sqlite3.connect(config.database.path) as database:
        database.execute("UPDATE videos SET info = json_set(info, '$.sample_aspect', '4/3')")
    for path in ("/", f"/films/{film}"):
        assert "256 × 108" in (await client.get(path)).text


@pytest.mark.parametrize(
    "query", ["columns=999999999999999", "first=-5&last=-9", "first=99999999999999999999", "columns=0"]
)
async def test_huge_and_senseless_parts_of_the_curve_are_harmless(client: Client, film: int, query: str) -> None:
    answer = await client.get(f"/films/{film}/curve?{query}")
    assert answer.status == 200
    assert 1 <= len(answer.json["starts"]) <= 60


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a_name_is_never_more_than_text(
    config: Config, store: Store, client: Client, tmp_path: Path, name: str
) -> None:
    film = await finished_film(config, store, tmp_path / name, frames=12)
    for path in ("/", f"/films/{film}", f"/films/{film}/frames/3", "/list", f"/films/{film}/report.html"):
        answer = await client.get(path)
        assert answer.status == 200
        page = answer.text.replace('<script type="module" src="/static/', "").replace(
            '<script type="application/json"', ""
        )
        assert "<script" not in page
        assert "<img src=x" not in page
        assert "\u202e" not in page
        assert "\u2028" not in page
        assert "49.mp4" not in page
    for path in ("sheet.png", "report.html", "stills.zip"):
        saved = (await client.get(f"/films/{film}/{path}")).headers["content-disposition"]
        assert saved.isascii()
        assert saved.isprintable()
    embedded = (await client.get(f"/films/{film}")).text.partition('id="film">')[2].partition("</script>")[0]
    assert json.loads(embedded)["frames"] == 12


async def test_the_strip_of_an_older_film_is_made_on_demand(client: Client, film: int, store: Store) -> None:
    async with store.writing() as db:
        await db.execute("DELETE FROM strip_pictures")
    assert "Make strip pictures" in (await client.get(f"/films/{film}")).text
    # Until then there is the tiny thumbnail.
    assert (await client.get(f"/films/{film}/strip/31.jpg")).status == 200
    state = (await client.post(f"/films/{film}/strip")).json
    async with asyncio.timeout(30):
        while state["running"]:
            await asyncio.sleep(0.05)
            state = (await client.get(f"/films/{film}/strip")).json
    assert (state["pictures"], state["sentence"]) == (60, "")
    picture = Image.open(io.BytesIO((await client.get(f"/films/{film}/strip/31.jpg")).body))
    assert read_code(np.asarray(picture)) == 31


async def test_a_failed_film_can_be_tried_again(client: Client, film: int, store: Store) -> None:
    assert (await client.post(f"/films/{film}/retry")).json == {"queued": 0}
    await store.queue.fail(film, Status.FAILED, StillwatchError(Kind.DECODE, "it is broken"))
    page = (await client.get(f"/films/{film}")).text
    assert ("it is broken" in page, 'id="retry"' in page) == (True, True)
    assert f'data-retry="{film}"' in (await client.get("/")).text
    assert (await client.post(f"/films/{film}/retry")).json == {"queued": 1}


async def test_a_second_metric_has_its_own_curve_on_the_page_and_in_the_report(
    client: Client, film: int, store: Store, config: Config
) -> None:
    assert (await client.get(f"/films/{film}/curve")).json["second"] is None
    with sqlite3.connect(config.database.path) as db:
        db.execute("INSERT INTO scorers (identity, metric, lower_better) VALUES ('other', 'musiq', 0)")
        (scorer,) = db.execute("SELECT id FROM scorers WHERE identity = 'other'").fetchone()
        rows = [(film, scorer, frame, float(frame)) for frame in range(0, 60, 2)]
        db.executemany("INSERT INTO frame_scores (video_id, scorer_id, frame, score) VALUES (?, ?, ?, ?)", rows)
    db.close()
    second = (await client.get(f"/films/{film}/curve?columns=30")).json["second"]
    assert (second["metric"], second["lowerBetter"]) == ("musiq", False)
    assert second["score"] == [float(frame) for frame in range(0, 60, 2)]
    every = (await client.get(f"/films/{film}/curve?columns=60")).json["second"]["score"]
    assert every[::2] == second["score"]
    assert every[1::2] == [None] * 30
    report = (await client.get(f"/films/{film}/report.html")).text
    assert "var(--second)" in report
    assert ">musiq</text>" in report


async def test_the_figures_behind_a_verdict_are_those_of_the_command_line(
    client: Client, film: int, store: Store, config: Config
) -> None:
    told = await explain(store, await store.videos.get(film), config, 30)
    assert (await client.get(f"/films/{film}/frames/30/why")).json["because"] == told["because"]
    assert (await client.get(f"/films/{film}/frames/999/why")).status == 404
    page = (await client.get(f"/films/{film}/frames/30", {"accept": "text/html"})).text
    assert html.escape(told["because"]) in page


async def test_every_answer_about_a_film_whose_name_is_no_text_can_be_read(
    client: Client, config: Config, store: Store, tmp_path: Path
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bytes\xff\xfe.mp4"))
    film = await finished_film(config, store, path)
    for page in ("", "/frames/1", "/report.html", "/decisions", "/stills.zip", "/sheet.png"):
        assert (await client.get(f"/films/{film}{page}")).status == 200
    for frame in ("99", "99/why", "99.json", "99.jpg"):
        answer = await client.get(f"/films/{film}/frames/{frame}")
        assert (answer.status, "no frame 99" in answer.json["error"]) == (404, True)
    path.unlink()
    assert (await client.post(f"/films/{film}/export", {"count": 2})).status == 200
    async with asyncio.timeout(60):
        while (state := (await client.get(f"/films/{film}/export")).json)["state"] == "running":
            await asyncio.sleep(0.05)
    assert (state["state"], "not there any more" in state["sentence"]) == ("failed", True)
