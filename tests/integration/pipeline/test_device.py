"""``decode.hwaccel``: whatever the device does, what is stored is what software gives, and the log says what was wrong."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import EventDict

from daemon.config.schema import Config
from daemon.inbox import identity
from daemon.model import Status
from daemon.pipeline.workers import running_workers
from daemon.runtime.cell import Cells
from daemon.runtime.tasks import wind_down
from daemon.scan import apart
from daemon.store.store import Store
from tests import films
from tests.stub import StubScorer

PATIENCE_SECONDS = 60.0
FRAMES = 120
ROWS = "SELECT frame, pts, time_s, score, note, hash FROM frames ORDER BY frame"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.pipeline.workers.open_scorer", lambda _: StubScorer())


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films.make(tmp_path_factory.mktemp("device") / "film.mp4", frames=FRAMES)


async def scored(film: Path, folder: Path, device: str, **select: Any) -> tuple[list[tuple[Any, ...]], Status, int]:
    """The rows, how the film has ended, and how many stills it has."""
    config = Config.model_validate(
        {
            "output": {"path": folder / device / "stills"},
            "database": {"path": folder / device / "s.db", "disk_margin_bytes": 0},
            "decode": {"hwaccel": device},
            "export": {"disk_margin_bytes": 0},
            "select": {"count": 3, "min_gap_seconds": 0.1, **select},
            "service": {"poll_seconds": 0.05, "pause_seconds": 0.1},
        }
    )
    (folder / device).mkdir()
    store = await Store.open(config.database)
    try:
        one = await store.queue.enqueue(identity.fingerprint(film))
        async with running_workers(config, store, lambda _: None) as workers, asyncio.timeout(PATIENCE_SECONDS):
            tasks = workers.start()
            while not (row := await store.videos.get(one)).status.final:
                workers.changed.clear()
                await asyncio.wait(
                    [asyncio.create_task(workers.changed.wait()), *tasks], return_when=asyncio.FIRST_COMPLETED
                )
            workers.stop()
            await wind_down(tasks, 10.0)
    finally:
        await store.close()
    with sqlite3.connect(config.database.path) as database:
        stills = database.execute("SELECT count(*) FROM stills").fetchone()[0]
        return database.execute(ROWS).fetchall(), row.status, stills


def fallbacks(logged: list[EventDict]) -> list[EventDict]:
    return [event for event in logged if event["event"] == "decode.fallback"]


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "CELLS", Cells("tests.device_decode_cell", ring=True, arenas=apart.ARENAS))


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("equal", None),
        ("semiplanar", None),
        ("unequal", "frame 3: its planes are not those of software"),
        ("dies", "Generic error in an external library"),
    ],
)
async def test_what_is_stored_does_not_depend_on_the_device(
    film: Path, tmp_path: Path, stand_ins: None, logged: list[EventDict], device: str, reason: str | None
) -> None:
    found = await scored(film, tmp_path, device)
    told = fallbacks(logged)
    assert found == await scored(film, tmp_path, "none")
    assert (len(found[0]), found[1]) == (FRAMES, Status.DONE)
    assert found[2] > 0
    if reason is None:
        assert told == []
    else:
        assert [(event["log_level"], event["to"]) for event in told] == [("warning", "software")]
        assert reason in told[0]["reason"]
    assert not [event for event in logged if event["event"] == "video.damaged"]


async def test_one_that_is_not_there_is_said_once(film: Path, tmp_path: Path, logged: list[EventDict]) -> None:
    """The real process, the real opener."""
    found = await scored(film, tmp_path, "no_such_device")
    told = fallbacks(logged)
    assert found == await scored(film, tmp_path, "none")
    assert len(told) == 1
    assert "no_such_device" in told[0]["reason"]


async def test_planes_that_become_other_ones_later_are_found_by_the_proof(
    film: Path, tmp_path: Path, stand_ins: None, logged: list[EventDict]
) -> None:
    """No still shows a frame that software does not give, and the film is scored again by software."""
    late = {"start": 3.2, "count": 1}
    rows, status, stills = await scored(film, tmp_path, "unequal_later", **late)
    assert fallbacks(logged) == []
    assert [event["event"] for event in logged].count("video.scored") == 2
    assert rows == (await scored(film, tmp_path, "none", **late))[0]
    assert (status, stills) == (Status.DONE, 1)
