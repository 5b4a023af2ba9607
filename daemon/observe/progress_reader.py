"""Reads the progress file from another process: apart from its writer, so that `status` starts without the logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def path_beside(database: Path) -> Path:
    """Where the board of a database is."""
    return database.with_name(database.name + ".progress")


def read(database: Path) -> dict[str, Any]:
    """What is on the board, empty when there is none. Only for those who know that a daemon runs."""
    try:
        found = json.loads(path_beside(database).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
