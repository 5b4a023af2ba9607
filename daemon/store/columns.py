"""How a path is laid down in a column, and rows as plain dictionaries. Imports no record: `list` starts sooner."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any


def path_value(path: Path) -> str | bytes:
    """A path as it is stored: text, or raw bytes where the name is not UTF-8."""
    text = str(path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(path)
    return text


def path_of(value: str | bytes) -> Path:
    """The path that ``path_value`` stored."""
    return Path(os.fsdecode(value))


def plain(row: sqlite3.Row) -> dict[str, Any]:
    """A row as a dictionary, its path as text."""
    return {key: str(path_of(row[key])) if key == "path" else row[key] for key in row.keys()}  # noqa: SIM118
