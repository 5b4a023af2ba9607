"""Something that is done again and again beside other work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def ticking(seconds: float, work: Callable[[], None], name: str) -> Iterator[None]:
    """Do ``work`` every so many seconds, in a thread of this ``name``, as long as the block runs; ended behind it."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(seconds):
            work()

    thread = threading.Thread(target=tick, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
