"""What FFmpeg says in its log and nowhere else: lines of the level INFO, of this thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import av.logging

LEVEL = threading.Lock()
"""Who changes the level, which is global. Lines of that level of other threads are dropped by Python's logging."""


@contextmanager
def info_lines() -> Iterator[list[tuple[int, str, str]]]:
    """The lines that are logged inside, as level, name and message; complete once the block has ended."""
    with LEVEL:
        level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(av.logging.INFO)
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture(True) as lines:
                yield lines
        finally:
            av.logging.set_level(level)
            av.logging.set_skip_repeated(skips)
