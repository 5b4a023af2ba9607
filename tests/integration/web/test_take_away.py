"""What is taken away: zip, contact sheet and report; and what the panel previews and exports."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daemon.cli.report import write_report
from daemon.cli.sheet import write_sheet
from daemon.config.schema import Config
from daemon.errors import StillwatchError
from daemon.export.contact_sheet import Cell, draw
from daemon.export.jpeg import jpeg
from daemon.model import FileIdentity
from daemon.store.review import FilmColumns
from daemon.store.store import Store
from daemon.web.sheet import places
from tests.films import read_code
from tests.integration.web.client import Client


async def test_the_preview_is_what_the_export_then_gives(client: Client, store: Store, film: int) -> None:
    settings = {"count": 4, "strategy": "best", "start": 0.4, "end": 2.0, "min_gap_seconds": 0.3}
    seen = (await client.post(f"/films/{film}/preview", settings)).json
    frames = [one["frame"] for one in seen["picks"]]
    assert len(frames) == 4
    assert all(10 <= frame < 50 for frame in frames)
    assert len(await store.queries.selections(film)) == 1
    assert (await client.post(f"/films/{film}/export", settings)).json["state"] in ("running", "done")
    async with asyncio.timeout(60):
        while (await client.get(f"/films/{film}/export")).json["state"] == "running":
            await asyncio.sleep(0.05)
    assert (await client.get(f"/films/{film}/export")).json["state"] == "done"
    selections = await store.queries.selections(film)
    assert [row["frame"] for row in await store.queries.stills(selections[-1]["id"])] == frames


async def test_a_zip_lacks_no_still_without_a_word(client: Client, store: Store, film: int) -> None:
    selection = (await store.queries.selections(film))[-1]["id"]
    paths = [Path(row["path"]) for row in await store.queries.stills(selection)]
    # A still may be older than the times of a zip.
    os.utime(paths[1], (0, 0))
    paths[0].unlink()
    answer = await client.get(f"/films/{film}/stills.zip")
    assert answer.status == 200
    with zipfile.ZipFile(io.BytesIO(answer.body)) as packed:
        assert packed.testzip() is None
        assert {*packed.namelist()} == {*(path.name for path in paths[1:]), "manifest.json", "missing.txt"}
        assert paths[0].name in packed.read("missing.txt").decode()
    for path in paths[1:]:
        path.unlink()
    answer = await client.get(f"/films/{film}/stills.zip")
    assert (answer.status, answer.json["error"]) == (404, "the stills are not there any more: export them again")


async def test_a_zip_for_which_there_is_no_room_is_refused(
    client: Client, film: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    answer = await client.get(f"/films/{film}/stills.zip")
    assert (answer.status, answer.json["error"]) == (507, "the stills cannot be packed: No space left on device")


@pytest.mark.parametrize("size", [0, 20])
async def test_the_preview_knows_whether_an_export_has_room(
    client: Client, film: int, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    settings = {"count": 3, "strategy": "best", "min_gap_seconds": 0.2, "size": size}
    usage, refused = shutil.disk_usage("/"), set()
    # Between what stays and what is there for a while beside it, and with room for both.
    for free in (1, 200_000, 300_000, 500_000, 10**9):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        seen = (await client.post(f"/films/{film}/preview", settings)).json
        await client.post(f"/films/{film}/export", settings)
        async with asyncio.timeout(60):
            while (state := (await client.get(f"/films/{film}/export")).json)["state"] == "running":
                await asyncio.sleep(0.05)
        assert seen["fits"] == (state["state"] == "done"), f"{free} bytes free: {state['sentence']}"
        if state["state"] == "failed":
            assert "make room there" in state["sentence"]
            refused.add(free)
    assert refused >= {1, 200_000}


async def test_a_stopped_export_changes_nothing(client: Client, store: Store, film: int) -> None:
    await client.post(f"/films/{film}/export", {"count": 9, "strategy": "best", "min_gap_seconds": 0.1})
    assert (await client.post(f"/films/{film}/stop")).json["state"] == "stopped"
    assert len(await store.queries.selections(film)) == 1
    assert (await store.videos.get(film)).status == "done"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"count": 0}, "select.count"),
        ({"count": 5000}, "at most 1000"),
        ({"strategy": "nice"}, "select.strategy"),
        ({"start": -1}, "select.start"),
        ({"format": "../png"}, "output.format"),
    ],
)
async def test_a_wrong_setting_is_said_by_its_name(client: Client, film: int, settings: object, told: str) -> None:
    for path in ("preview", "export"):
        answer = await client.post(f"/films/{film}/{path}", settings)
        assert answer.status == 400
        assert told in answer.json["error"]


async def test_the_zip_has_the_published_files(client: Client, store: Store, film: int) -> None:
    answer = await client.get(f"/films/{film}/stills.zip")
    stills = await store.queries.stills((await store.queries.selections(film))[-1]["id"])
    with zipfile.ZipFile(io.BytesIO(answer.body)) as packed:
        assert set(packed.namelist()) == {Path(one["path"]).name for one in stills} | {"manifest.json"}
        for one in stills:
            assert hashlib.sha256(packed.read(Path(one["path"]).name)).hexdigest() == one["sha256"]


async def test_the_report_needs_nothing_but_itself(store: Store, film: int, tmp_path: Path) -> None:
    written = await write_report(store, str(film), tmp_path / "report.html", tmp_path / "stills")
    text = written.read_text()
    assert "<script" not in text
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", text)
    assert not re.search(r"url\((?!#)", text)
    for row in await store.queries.stills((await store.queries.selections(film))[-1]["id"]):
        assert Path(row["path"]).name in text
        assert f"{row['score']:.4f}" in text
    assert text.count("data:image/jpeg") >= 3 + 20


async def test_the_sheet_has_frames_evenly_through_the_film(store: Store, film: int, tmp_path: Path) -> None:
    written = await write_sheet(store, str(film), tmp_path / "sheet.png", 4, 3)
    image = np.asarray(Image.open(written).convert("RGB"))
    high = 90 + 12 + 8 + 8
    codes = []
    for number in range(12):
        x, y = 8 + (number % 4) * 168, 62 + (number // 4) * high
        codes.append(read_code(image[y : y + 90, x : x + 160]))
    assert codes == sorted(codes)
    stills = await store.queries.stills((await store.queries.selections(film))[-1]["id"])
    assert {row["frame"] for row in stills} <= set(codes)
    assert (await write_sheet(store, str(film), tmp_path / "s.jpg", 40, 200)).read_bytes()[:2] == b"\xff\xd8"
    with pytest.raises(StillwatchError, match=r"a \.png or a \.jpg"):
        await write_sheet(store, str(film), tmp_path / "s.gif", 4, 3)
    with pytest.raises(StillwatchError, match="cannot be written"):
        await write_sheet(store, str(film), tmp_path / "none" / "s.png", 4, 3)


@pytest.mark.parametrize("count", [1, 2, 5, 12, 48, 200])
@pytest.mark.parametrize("stills", [[], [0], [17], [90, 91, 92, 93], [3, 50, 99], list(range(0, 100, 7))])
def test_a_sheet_shows_every_still_and_the_film_evenly_between(count: int, stills: list[int]) -> None:
    frames = np.arange(100)
    table = FilmColumns(frames, frames / 25, np.ones(100), np.zeros(100, np.uint8), ("good",))
    found = places(table, set(stills), count)
    assert found == sorted(set(found))
    assert 1 <= len(found) <= count
    if count >= len({0, 99, *stills}):
        assert len(found) == min(count, 100)
        assert set(stills) <= set(found)
        # Between two cells lies no more than where the cells without the stills are even, and rounding.
        assert max(np.diff(found), default=0) <= 99 / max(count - 1 - len(stills), 1) + 1


async def test_a_film_without_frames_has_neither_sheet_nor_report(store: Store, tmp_path: Path) -> None:
    waits = str(await store.queue.enqueue(FileIdentity(tmp_path / "waits.mp4", "f" * 40, 1, 1)))
    with pytest.raises(StillwatchError, match="no frames yet"):
        await write_report(store, waits, tmp_path / "report.html", tmp_path / "stills")
    with pytest.raises(StillwatchError, match="no frames yet"):
        await write_sheet(store, waits, tmp_path / "sheet.png", 4, 3)


@pytest.mark.parametrize("size", [(160, 90), (51, 90), (160, 12)])
def test_a_sheet_of_any_shape_keeps_its_title(size: tuple[int, int]) -> None:
    picture = jpeg(np.full((size[1], size[0], 3), 90, np.uint8))
    cells = [Cell(picture, "1:02:05.5  4.21", False)] * 3
    image = Image.open(io.BytesIO(draw("a name " * 40, "facts", cells, 2, "PNG")))
    assert image.width >= 480
    assert image.height > 2 * size[1]


async def test_an_export_to_a_folder_of_its_own_leaves_the_current_selection(
    client: Client, config: Config, store: Store, film: int
) -> None:
    before = await store.queries.current_selection(film)
    settings = {"count": 2, "strategy": "best", "folder": "../../covers & more", "size": 96, "format": "jpeg"}
    await client.post(f"/films/{film}/export", settings)
    async with asyncio.timeout(60):
        while (state := (await client.get(f"/films/{film}/export")).json)["state"] == "running":
            await asyncio.sleep(0.05)
    assert (state["state"], state["stills"]) == ("done", 2)
    assert await store.queries.current_selection(film) == before
    newest = (await store.queries.selections(film))[-1]
    assert json.loads(newest["params"])["folder"] == "covers_more"
    paths = [Path(one["path"]) for one in await store.queries.stills(newest["id"])]
    assert {path.parent.parent for path in paths} == {config.output.path / "covers_more"}
    assert {max(one["width"], one["height"]) for one in await store.queries.stills(newest["id"])} == {96}
    manifest = json.loads((paths[0].parent / "manifest.json").read_text())
    assert manifest["selection"]["folder"] == "covers_more"
    # Marks are of the current selection, and the page shows that one.
    still = (await store.queries.stills(before["id"] if before else 0))[0]
    await client.post(f"/films/{film}/decisions", {"kind": "accept", "frame": still["frame"]})
    assert (await client.get(f"/films/{film}/decisions")).json["accepted"] == [still["frame"]]
    assert len((await client.get(f"/films/{film}/decisions")).json["draft"]) == 3


@pytest.mark.parametrize("folder", [7, ["a"], "x" * 500])
async def test_a_folder_is_a_short_name(client: Client, film: int, folder: object) -> None:
    assert (await client.post(f"/films/{film}/export", {"folder": folder})).status == 400


async def test_what_a_preview_needs_is_read_when_a_film_is_opened(client: Client, film: int) -> None:
    assert (await client.post(f"/films/{film}/prepare")).json == {"prepared": True}


async def test_the_times_below_the_curve_of_a_short_film_differ(client: Client, film: int) -> None:
    text = (await client.get(f"/films/{film}/report.html")).text
    times = re.findall(r">(0:0\d[.0-9]*)</text>", text)
    assert len(times) == 8
    assert len(set(times)) == 8
    assert times == sorted(times)
