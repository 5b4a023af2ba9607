"""What has to survive a power failure is synced to the disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def sync(path: Path) -> None:
    """Have a file's content, or a folder's entries, on the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_synced_folder(path: Path) -> None:
    """Make a folder and what is missing above it, all of which outlive a power failure. Raises OSError."""
    missing = []
    for folder in (path, *path.parents):
        if folder.exists():
            break
        missing.append(folder)
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        # One that may be written and not read can't be synced by us.
        with suppress(PermissionError):
            sync(folder.parent)
