"""What tests ask of the kernel: a small queue of events, and which folders a process watches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

QUEUED_EVENTS = Path("/proc/sys/fs/inotify/max_queued_events")


@contextmanager
def small_event_queue(events: int) -> Iterator[None]:
    """The kernel drops what does not fit; only root can make that likely."""
    before = QUEUED_EVENTS.read_text()
    try:
        QUEUED_EVENTS.write_text(str(events))
    except OSError:
        pytest.skip("the kernel's event queue cannot be made small here")
    try:
        yield
    finally:
        QUEUED_EVENTS.write_text(before)


def watched(folders: Iterable[Path]) -> set[Path]:
    """Those of the folders that this process watches with inotify."""
    inodes: set[int] = set()
    for handle in Path("/proc/self/fdinfo").iterdir():
        try:
            text = handle.read_text()
        except FileNotFoundError:
            continue
        inodes |= {int(number, 16) for number in re.findall(r"^inotify .*?ino:([0-9a-f]+)", text, re.MULTILINE)}
    return {folder for folder in folders if folder.stat().st_ino in inodes}
