"""A watch folder and a database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.config.service import DatabaseConfig
from daemon.store.store import Store


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(DatabaseConfig(path=tmp_path / "stillwatch.db"))
    yield opened
    await opened.close()
