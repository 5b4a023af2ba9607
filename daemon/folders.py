"""Whether the folders that everything depends on are to be had: a share may be away, a permission taken."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from daemon.errors import Kind, StillwatchError


def require(listed: Path, written: Path | None = None) -> None:
    """Raise StillwatchError(AWAY) when a folder cannot be listed, or another cannot be written.

    A file in a folder that is there may be the one that is wrong; when the folder is not, no file can be judged.
    """
    try:
        with os.scandir(listed) as entries:
            next(entries, None)
    except OSError as error:
        raise _away(listed, error, "mount it, or give this user permission to read it") from error
    if written is None:
        return
    try:
        written.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=written):
            pass
    except OSError as error:
        raise _away(written, error, "mount it, or give this user permission to write to it") from error


def _away(folder: Path, error: OSError, fix: str) -> StillwatchError:
    return StillwatchError(Kind.AWAY, f"{folder} cannot be used ({error.strerror or type(error).__name__}): {fix}")
