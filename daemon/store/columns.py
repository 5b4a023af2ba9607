"""How paths and hashes are laid down in columns, rows as dictionaries, and pieces of SQL that many readers share.

Imports no record: `list` starts sooner.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

CURRENT_SELECTION = "SELECT MAX(id) FROM selections WHERE json_extract(params, '$.folder') IS NULL AND video_id ="
"""A video's current selection: the newest one that has no folder of its own. The video follows."""

CURRENT_SCORER = "(SELECT id FROM scorers WHERE identity = (SELECT COALESCE(scorer, '') FROM videos WHERE id = ?1))"
"""The id of the current scorer of the video that is the first parameter."""


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


def hash_value(text: str) -> bytes | str:
    """A hash as it is stored: the bytes that its hexadecimal digits mean; what is none stays text."""
    if len(text) % 2 == 0 and text == text.lower():
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    return text


def hash_of(value: bytes | str) -> str:
    """The hash that ``hash_value`` stored."""
    return value.hex() if isinstance(value, bytes) else value


def plain(row: sqlite3.Row) -> dict[str, Any]:
    """A row as a dictionary, its path as text."""
    return {key: str(path_of(row[key])) if key == "path" else row[key] for key in row.keys()}  # noqa: SIM118
