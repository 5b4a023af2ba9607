"""Folders that a process makes for its own use and a kill leaves behind; its number is in their names."""

from __future__ import annotations

import os
import re

import psutil

from daemon.runtime.shared_folder import SharedFolder


def remove_leftovers(folder: SharedFolder, form: re.Pattern[str]) -> int:
    """Remove what dead processes left in a folder; returns how many were removed. For the start of a process.

    Only real folders of this user are touched whose whole name has the form; its group ``pid`` is the process.
    PIDs are reused: a process that began after a folder was last changed is not its owner, nor is this one.
    """
    removed = 0
    for name in folder.names():
        found = form.fullmatch(name)
        if found is None or not folder.is_our_folder(name):
            continue
        pid = int(found["pid"])
        if pid != os.getpid() and _works_in(pid, folder, name):
            continue
        folder.remove_tree(name)
        removed += 1
    return removed


def _works_in(pid: int, folder: SharedFolder, name: str) -> bool:
    look = folder.look(name)
    try:
        return look is not None and psutil.Process(pid).create_time() <= look.st_ctime
    except (psutil.Error, OSError):
        return False
