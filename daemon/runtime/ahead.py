"""Items that a thread makes before they are asked for, so that making them goes on while the last one is worked on."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Generator
from contextlib import closing
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Generator[T, None, None], count: int, name: str) -> Generator[T, None, None]:
    """The same items; a thread of this ``name`` makes up to ``count`` of them before they are asked for.

    What ``items`` raise is raised after the items before it. They are closed on the thread that they run on, before
    this generator has ended. It must be closed or read to its end.
    """
    made: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
    room = threading.Semaphore(count - 1)
    ended = threading.Event()

    def make() -> None:
        try:
            with closing(items):
                for item in items:
                    made.put((item,))
                    room.acquire()
                    if ended.is_set():
                        return
            made.put(None)
        except BaseException as error:
            # Its traceback would keep what has failed, a decoder with its threads and frames, for as long as it.
            traceback.clear_frames(error.__traceback__)
            made.put(error)

    thread = threading.Thread(target=make, name=name, daemon=True)
    thread.start()
    try:
        while (one := made.get()) is not None:
            if isinstance(one, BaseException):
                try:
                    raise one
                finally:
                    # It would keep itself, by way of this frame.
                    del one
            room.release()
            yield one[0]
    finally:
        ended.set()
        room.release()
        thread.join()
