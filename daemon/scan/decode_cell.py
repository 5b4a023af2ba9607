"""What runs in the process that decodes: one film after the other, each under its limits.

Started by ``daemon.scan.apart`` as ``python -m daemon.scan.decode_cell``. The first line that it reads are its limits,
each further one is a film, or the number of a slot that is free. Its own lines are frames, whose arrays lie in the
slots of the ring, and at last what was found or why there is no more.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import select
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.spans import WholeFilmError
from daemon.errors import Kind, VideoError
from daemon.model import Frame
from daemon.runtime import garbage
from daemon.runtime.compiling import watched
from daemon.runtime.confine import Limits, allow_cpu, confine, taken_bytes
from daemon.runtime.ring import LAID, Filler
from daemon.runtime.ticking import ticking
from daemon.scan import decode_work
from daemon.scan.decode_work import AnyWork

WORN_SHARE = 0.25
"""A process that keeps so much of its memory after its films is let go, since that is missing for the next."""
CHUNK_BYTES = 65_536
TELL_SECONDS = 1.0
"""How often it is said that decoding gets on where it gives few frames."""
NO_MEMORY = "Cannot allocate memory"
"""strerror(ENOMEM), as FFmpeg says it."""


class Listener:
    """Reads lines; whoever has gone is not waited for."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._got = bytearray()
        self._poll = select.poll()
        self._poll.register(handle, select.POLLIN)

    def line(self) -> bytes:
        """The next line. Raises SystemExit when there is none any more."""
        looked_at = 0
        while (end := self._got.find(b"\n", looked_at)) < 0:
            looked_at = len(self._got)
            chunk = os.read(self._handle, CHUNK_BYTES)
            if not chunk:
                raise SystemExit
            self._got += chunk
        line = bytes(self._got[:end])
        del self._got[: end + 1]
        return line

    def numbers(self, wait: bool) -> Iterator[int]:
        """The numbers that were sent by now, each on a line; at least one if told to ``wait``."""
        while wait or self._got or self._poll.poll(0):
            yield int(self.line())
            wait = False


class Sender:
    """Sends frames, whose arrays lie in the ring."""

    def __init__(self, ring: int, ring_bytes: int, listener: Listener, say: Callable[[dict[str, Any]], None]) -> None:
        self._listener = listener
        self.say = say
        self._filler = Filler(ring, ring_bytes, self._ask_for, listener.numbers)
        self.empty = self._filler.empty

    def send(self, frame: Frame) -> None:
        """One frame."""
        facts = (frame.index, frame.pts, frame.time_s, frame.hash, frame.corrupt, frame.duration_s)
        message: dict[str, Any] = {"frame": facts}
        if arrays := _arrays(frame):
            message["slot"], message["parts"] = self._filler.fill(arrays)
        if frame.gray is not None:
            message["flat"] = frame.gray.flat
        self.say(message)

    def laid(self, record: bytes) -> dict[str, Any]:
        """Where a record lies that is too long for a line."""
        slot, parts = self._filler.fill({"index": np.frombuffer(record, np.uint8)})
        return {"slot": slot, "parts": parts}

    def _ask_for(self, room: int) -> None:
        self.say({"room": room})
        while int(self._listener.line()) != LAID:
            # A slot of the region before.
            pass


def _arrays(frame: Frame) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    if frame.features is not None:
        arrays["features"] = np.frombuffer(frame.features, np.uint8)
    if frame.picture is not None:
        arrays["picture"] = frame.picture
    if frame.gray is not None:
        arrays |= {"gray": frame.gray.gray, "rows": frame.gray.rows}
        if frame.gray.small is not None:
            arrays["small"] = frame.gray.small
    return arrays


def _telling(report: DecodeReport, say: Callable[[dict[str, Any]], None]) -> AbstractContextManager[None]:
    """Say how far a run is, for as long as it gets on."""
    said = (0, 0)

    def tell() -> None:
        nonlocal said
        now = (report.frames, report.packets)
        if now != said:
            say({"at": now})
            said = now

    return ticking(TELL_SECONDS, tell, "telling")


def work_off(work: AnyWork, sender: Sender, limits: Limits) -> dict[str, Any]:
    """Decode, send the frames, and give the last line: what was found, or why there is no more."""
    report = DecodeReport()
    try:
        with _telling(report, sender.say), closing(decode_work.frames_of(work, report, sender.empty)) as frames:
            for frame in frames:
                if report.begun is not None and frame.index == report.begun.joint.frame:
                    sender.say({"begun": asdict(report.begun)})
                sender.send(frame)
        found, index = decode_work.found_by(work, report)
        return {"found": found, **(sender.laid(index) if index else {})}
    except DamageError as damage:
        return {"damage": str(damage)}
    except WholeFilmError as whole:
        return {"whole": str(whole)}
    except VideoError as error:
        if error.kind is Kind.OUT_OF_MEMORY or NO_MEMORY in error.sentence:
            return _too_much(limits)
        return {"kind": error.kind.value, "sentence": error.sentence}
    except MemoryError:
        return _too_much(limits)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            return _too_much(limits)
        return _unexpected(error)
    except Exception as error:
        return _unexpected(error)


def _too_much(limits: Limits) -> dict[str, Any]:
    sentence = f"decoding it takes more than {limits.memory_bytes} bytes of memory: see decode.memory_bytes"
    return {"kind": Kind.TOO_LARGE.value, "sentence": sentence}


def _unexpected(error: Exception) -> dict[str, Any]:
    return {"unexpected": f"{type(error).__name__}: {error}", "trace": "".join(traceback.format_exception(error))}


def main(listener: Listener, write: Callable[[bytes], object]) -> None:
    """Answer for as long as there is something to read."""
    greeting = json.loads(listener.line())
    ring, compiled, limits = greeting.pop("ring"), greeting.pop("compiled"), Limits(**greeting)
    if compiled:
        with watched(lambda: write(b'{"compiling": true}\n')):
            _load_compiled()
    garbage.loaded()
    confine(limits)
    began = taken_bytes(device=limits.device)
    one_at_a_time = threading.Lock()

    def say(message: dict[str, Any]) -> None:
        line = json.dumps(message).encode("ascii") + b"\n"
        with one_at_a_time:
            write(line)

    say({"ready": True})
    while True:
        line = listener.line()
        if not line.startswith(b"{"):
            # A slot of the last film.
            continue
        allow_cpu(limits.cpu_seconds)
        work = decode_work.work_of(json.loads(line))
        last = work_off(work, Sender(ring, work.room_bytes, listener, say), limits)
        gc.collect()
        say({**last, "worn": taken_bytes(device=limits.device) > began + limits.memory_bytes * WORN_SHARE})


def _load_compiled() -> None:
    """While files may still be written."""
    from daemon.analysis import measure
    from daemon.decode import combing, gray, rgb

    for part in (measure, combing, gray, rgb):
        part.warm_up()


def run() -> None:
    """With the pipes that this process was started with."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    # What a library prints must not look like an answer.
    os.dup2(2, 1)
    main(Listener(0), answers.write)


if __name__ == "__main__":
    run()
