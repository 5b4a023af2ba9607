"""The process that decodes, in which films misbehave as their names say, at their sixth frame.

A film whose name begins with ``again-`` does so when its frames are decoded a second time, with the first that is found;
one with ``packets-`` when its packets are read.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import time
from collections.abc import Callable, Generator
from typing import Any

from daemon.decode.frames import decode_frames
from daemon.decode.packet_index import PacketIndex
from daemon.decode.seek import frames_again, index_of, sought_frames
from daemon.model import Frame, VideoInfo
from daemon.scan import decode_cell, decode_work

MAP_NORESERVE = 0x4000
"""Of mman.h: what is never written to needs no memory, so none is set apart for it."""


def crash() -> None:
    """As a decoder does that reads where nothing is."""
    ctypes.string_at(0)


def be_killed() -> None:
    """By the kernel, as for its memory: with both limits alike it does not ask first."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    compute()


def hang() -> None:
    """In native code."""
    time.sleep(3600.0)


def be_slow() -> None:
    """Longer than a frame may take to come, but not for ever."""
    time.sleep(0.4)


def be_hungry() -> None:
    """More than any limit, of what a machine gives to whoever has none: addresses that nobody writes to."""
    try:
        mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
    except OSError as error:
        raise MemoryError from error


def compute() -> None:
    """Without end."""
    while True:
        pass


def lie() -> None:
    """A frame that lies outside its slot."""
    say(frame=[6, 6, 0.2, "0" * 40, False, None], slot=0, parts=[["picture", "|u1", [100000, 100000, 3], 0]])


def say_without_end() -> None:
    """A line that never ends."""
    while True:
        os.write(STDOUT, b"[" * 65_536)


def be_greedy() -> None:
    """Asks for memory again and again."""
    while True:
        say(room=1 << 20)


def say(**message: Any) -> None:
    """A line of its own."""
    os.write(STDOUT, json.dumps(message).encode("ascii") + b"\n")


def fail() -> None:
    """As code does that has a mistake."""
    raise RuntimeError("a mistake")


STDOUT = 1
ODD: dict[str, Callable[[], None]] = {
    "crashes": crash,
    "killed": be_killed,
    "hangs": hang,
    "slow": be_slow,
    "hungry": be_hungry,
    "computes": compute,
    "lies": lie,
    "endless": say_without_end,
    "greedy": be_greedy,
    "fails": fail,
}


def odd_of(info: VideoInfo, when: str) -> Callable[[], None] | None:
    """What this film does then."""
    name = info.path.stem
    return ODD.get(name.removeprefix(when)) if name.startswith(when) else None


def frames(info: VideoInfo, *rest: Any, **options: Any) -> Generator[Frame, None, None]:
    """``decode_frames``, until the film misbehaves; a slow one does so at every frame."""
    scanned = "compiled" in options
    for frame in decode_frames(info, *rest, **options):
        odd = odd_of(info, "") if scanned else odd_of(info, "again-")
        if odd is not None and (frame.index == 5 or odd is be_slow or not scanned):
            odd()
        yield frame


def again(found: Callable[..., Generator[Frame, None, None]]) -> Callable[..., Generator[Frame, None, None]]:
    """The same for what gives frames a second time."""

    def frames(info: VideoInfo, *rest: Any, **options: Any) -> Generator[Frame, None, None]:
        for frame in found(info, *rest, **options):
            if odd := odd_of(info, "again-"):
                odd()
            yield frame

    return frames


def packets(info: VideoInfo, *rest: Any) -> PacketIndex:
    """``index_of``, which reads all of the film before it misbehaves."""
    index = index_of(info, *rest)
    if odd := odd_of(info, "packets-"):
        odd()
    return index


if __name__ == "__main__":
    decode_work.decode_frames = frames  # type: ignore[assignment]
    decode_work.sought_frames = again(sought_frames)
    decode_work.frames_again = again(frames_again)
    decode_work.index_of = packets
    # Where the lines go; the other one is shut before the first film.
    STDOUT = os.dup(1)
    decode_cell.run()
