"""`status --check`: well only while a daemon holds the lock, is at work, and answers where it can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from daemon.observe import progress_reader
from daemon.observe.liveness import why_unwell
from daemon.service.daemon import only_one
from daemon.web import monitoring


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "stillwatch.db"


@pytest.fixture
def running(database: Path) -> Iterator[None]:
    with only_one(database):
        progress_reader.path_beside(database).write_text('{"pid": 1}', encoding="ascii")
        yield


def test_without_a_daemon_it_is_not_well(database: Path) -> None:
    assert why_unwell(database, "") == f"no daemon works with {database}"


def test_a_killed_daemon_leaves_its_progress_file_and_is_not_well(database: Path) -> None:
    with only_one(database):
        progress_reader.path_beside(database).write_text('{"pid": 1}', encoding="ascii")
    assert why_unwell(database, "").startswith("no daemon")


def test_a_daemon_that_starts_is_not_well_yet(database: Path) -> None:
    with only_one(database):
        assert why_unwell(database, "") == "starting"


@pytest.mark.usefixtures("running")
def test_a_daemon_at_work_is_well(database: Path) -> None:
    assert why_unwell(database, "") == ""


@pytest.mark.usefixtures("running")
def test_a_daemon_at_work_is_well_by_every_link_to_its_database(database: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(database)
    assert why_unwell(link, "") == ""


@pytest.mark.usefixtures("running", "loopback")
@pytest.mark.parametrize(
    ("status", "text", "reason"), [(200, "", ""), (503, "the scorer is silent", "the scorer is silent")]
)
async def test_it_says_what_the_daemon_says_where_it_can_be_asked(
    database: Path, unused_tcp_port: int, status: int, text: str, reason: str
) -> None:
    async def page() -> monitoring.Answer:
        return monitoring.plain(HTTPStatus(status), text)

    setting = f"127.0.0.1:{unused_tcp_port}"
    async with monitoring.serving(setting, {"/healthz": page}):
        assert await asyncio.to_thread(why_unwell, database, setting) == reason


@pytest.mark.usefixtures("running", "loopback")
def test_a_daemon_that_does_not_answer_is_not_well(database: Path, unused_tcp_port: int) -> None:
    reason = why_unwell(database, f"127.0.0.1:{unused_tcp_port}")
    assert reason.startswith(f"service.http = 127.0.0.1:{unused_tcp_port} does not answer")
