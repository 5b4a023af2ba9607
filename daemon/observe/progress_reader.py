"""Reads the progress file from another process: apart from its writer, so that `status` starts without the logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from daemon.runtime.lock import beside, is_locked

NOTHING_LEFT_ALONE: dict[str, Any] = {"files": 0, "newest": []}


def path_beside(database: Path) -> Path:
    """Where the progress file of a database is."""
    return beside(database, ".progress")


def read(database: Path) -> dict[str, Any]:
    """The content of the file, empty when there is none. Valid only while a daemon runs."""
    try:
        content = json.loads(path_beside(database).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def not_taken(database: Path) -> dict[str, Any]:
    """What the running daemon leaves alone in its folder: how many ``files``; the ``newest`` with path, reason, key."""
    found: dict[str, Any] = _said_now(database).get("not_taken", NOTHING_LEFT_ALONE)
    return found


def writers_seen(database: Path) -> bool | None:
    """Whether the running daemon sees who has a file open for writing; None where none runs."""
    seen: bool | None = _said_now(database).get("waiting", {}).get("writers_seen")
    return seen


def _said_now(database: Path) -> dict[str, Any]:
    """The content while a daemon runs; empty while none does."""
    return read(database) if is_locked(database) else {}
