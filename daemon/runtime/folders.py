"""Whether the folders that everything depends on can be used: a share may be away, a permission taken."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from daemon.errors import Kind, StillwatchError
from daemon.runtime.durable import make_synced_folder


def require_listed(folder: Path) -> None:
    """Raise StillwatchError(AWAY) when a folder cannot be listed: then no file in it can be judged."""
    try:
        with os.scandir(folder) as entries:
            next(entries, None)
    except OSError as error:
        raise _away(folder, error, "mount it, or give this user permission to read it") from error


def require_written(folder: Path) -> None:
    """Raise StillwatchError(AWAY) when nothing can be written to a folder."""
    try:
        make_synced_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _away(folder, error, "mount it, or give this user permission to write to it") from error


def _away(folder: Path, error: OSError, fix: str) -> StillwatchError:
    return StillwatchError(Kind.AWAY, f"{folder} cannot be used ({error.strerror or type(error).__name__}): {fix}")
