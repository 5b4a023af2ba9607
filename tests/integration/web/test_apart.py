"""Frames that the page shows are decoded in a process of their own: what ends that ends one answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from daemon.config.schema import Config
from daemon.runtime.cell import Cells
from daemon.scan import apart
from daemon.store.store import Store
from daemon.web.guard import Secrets
from daemon.web.review import application, new_context
from tests.integration.web.client import Client
from tests.integration.web.conftest import finished_film


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELLS", "AGAIN"):
        monkeypatch.setattr(apart, name, Cells("tests.odd_decode_cell", ring=True, arenas=apart.ARENAS))
    # A busy machine may take its time for a process: how long a page waits is shown below.
    monkeypatch.setattr("daemon.web.pictures.LIMIT_SECONDS", 240.0)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("crashes", "crashed the process that does so (SIGSEGV)"),
        ("killed", "ended by SIGKILL"),
        ("hungry", "decode.memory_bytes"),
        ("hangs", "hangs"),
        ("lies", "no frame"),
    ],
)
async def test_a_decoder_that_ends_costs_one_answer(
    config: Config, store: Store, tmp_path: Path, odd: None, name: str, says: str
) -> None:
    bad = await finished_film(config, store, tmp_path / "film.mkv", frames=12)
    good = await finished_film(config, store, tmp_path / "good.mkv", frames=13)
    (tmp_path / "film.mkv").rename(tmp_path / f"again-{name}.mkv")
    async with store.writing() as db:
        await db.execute("UPDATE videos SET path = ? WHERE id = ?", (str(tmp_path / f"again-{name}.mkv"), bad))
    patience = {"stuck_seconds": 1.0} if name == "hangs" else {}
    hurried = config.model_copy(update={"service": config.service.model_copy(update=patience)})
    secrets = Secrets()
    clients = [Client(application(new_context(one, store, secrets)), secrets) for one in (hurried, config)]
    first = await clients[0].get(f"/films/{bad}/frames/3.jpg")
    second = await clients[1].get(f"/films/{good}/frames/3.jpg")
    assert (first.status, says in first.json["error"]) == (404, True), first.json
    assert (second.status, second.body[:2]) == (200, b"\xff\xd8")
    again = await clients[0].get(f"/films/{bad}/frames/3.jpg")
    assert again.status == 404


async def test_who_gives_up_waiting_ends_the_decoder(
    config: Config, store: Store, tmp_path: Path, odd: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = await finished_film(config, store, tmp_path / "film.mkv", frames=12)
    (tmp_path / "film.mkv").rename(tmp_path / "again-hangs.mkv")
    async with store.writing() as db:
        await db.execute("UPDATE videos SET path = ? WHERE id = ?", (str(tmp_path / "again-hangs.mkv"), bad))
    await asyncio.to_thread(apart.warm_again, config.decode)
    (cell,) = apart.AGAIN._idle
    monkeypatch.setattr("daemon.web.pictures.LIMIT_SECONDS", 1.0)
    secrets = Secrets()
    client = Client(application(new_context(config, store, secrets)), secrets)
    answer = await client.get(f"/films/{bad}/frames/3.jpg")
    assert answer.status == 504
    assert not cell.alive()
