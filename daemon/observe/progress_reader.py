"""Reads the progress file from another process: apart from its writer, so that `status` starts without the logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def path_beside(database: Path) -> Path:
    """Where the progress file of a database is."""
    return database.with_name(database.name + ".progress")


def read(database: Path) -> dict[str, Any]:
    """The content of the file, empty when there is none. Valid only while a daemon runs."""
    try:
        content = json.loads(path_beside(database).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
