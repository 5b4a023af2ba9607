"""The hidden working folder beside the stills, and the atomic way out of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from daemon.export import disk_space
from daemon.runtime.durable import sync

FOLDER = ".stillwatch-work"


@contextmanager
def fresh(output: Path, video_id: int) -> Iterator[Path]:
    """A fresh folder on the output's file system, gone afterwards whatever happens.

    Raises ExportError when the output folder cannot be written: DISK_FULL, or EXPORT.
    """
    place = output / FOLDER / f"{os.getpid()}-{video_id}"
    with disk_space.writing(output):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        remove_if_empty(output / FOLDER)


def clean(output: Path) -> int:
    """Remove what killed runs left; folders of living processes stay. Returns how many were removed.

    PIDs are reused: a process that began after a folder was last changed is not its owner.
    """
    root = output / FOLDER
    removed = 0
    if root.is_dir():
        for place in root.iterdir():
            pid = place.name.partition("-")[0]
            if pid.isdecimal() and int(pid) != os.getpid() and _works_in(int(pid), place):
                continue
            shutil.rmtree(place, ignore_errors=True)
            removed += 1
        remove_if_empty(root)
    return removed


def _works_in(pid: int, place: Path) -> bool:
    try:
        return psutil.Process(pid).create_time() <= place.stat().st_ctime
    except (psutil.Error, OSError):
        return False


def remove_if_empty(folder: Path) -> None:
    """Remove a folder unless somebody still works in it."""
    try:
        folder.rmdir()
    except OSError:
        return


def publish(made: Path, folder: Path, last: str) -> None:
    """Bring finished files to their folder: in one rename if it is new, else file by file.

    ``last`` names the file that is renamed after all others. Everything is on disk before it shows.
    """
    names = sorted((path.name for path in made.iterdir()), key=lambda name: (name == last, name))
    for name in names:
        sync(made / name)
    sync(made)
    if not folder.exists():
        made.rename(folder)
    else:
        for name in names:
            (made / name).replace(folder / name)
        sync(folder)
    sync(folder.parent)
