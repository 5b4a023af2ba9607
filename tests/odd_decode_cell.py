"""The process that decodes, in which films misbehave as their names say, at their sixth frame."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from daemon.decode.frames import decode_frames
from daemon.model import Frame, VideoInfo
from daemon.scan import decode_cell, decode_work


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
    """More than any limit."""
    np.ones(1 << 40, np.uint8)


def compute() -> None:
    """Without end."""
    while True:
        pass


def lie() -> None:
    """A frame that lies outside its slot."""
    os.write(STDOUT, b'{"frame": [6, 6, 0.2, "' + b"0" * 40 + b'", false, null], "slot": 0, "parts": ')
    os.write(STDOUT, b'[["picture", "|u1", [100000, 100000, 3], 0]]}\n')


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
    "fails": fail,
}


def frames(info: VideoInfo, *rest: Any, **options: Any) -> Generator[Frame, None, None]:
    """``decode_frames``, until the film misbehaves; a slow one does so at every frame."""
    for frame in decode_frames(info, *rest, **options):
        odd = ODD.get(info.path.stem)
        if odd is not None and (frame.index == 5 or odd is be_slow):
            odd()
        yield frame


if __name__ == "__main__":
    decode_work.decode_frames = frames  # type: ignore[assignment]
    # Where the lines go; the other one is shut before the first film.
    STDOUT = os.dup(1)
    decode_cell.run()
