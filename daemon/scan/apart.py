"""Films are decoded in a process of their own: a crash of a decoder, or its hunger, costs one film and nothing else.

::

    thread of a ThreadStream           process with limits (decode_cell)
    Decoding.frames ◀── lines, ring ── decode, hash, picture, features
         │  frames whose arrays lie in the ring
         ▼
    Channel, bounded by bytes
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Generator
from typing import Any

from daemon.analysis.features import RECORD
from daemon.config.score import DecodeConfig
from daemon.decode.apart import ended_in_words, none_starts
from daemon.decode.budget import film_bytes
from daemon.decode.damage import DamageError
from daemon.errors import Kind, VideoError
from daemon.model import Frame, GrayPicture
from daemon.runtime.cell import Cell, CellEnded, Cells
from daemon.runtime.ring import LAID, RingError, Taker
from daemon.scan.decoding import Request, findings_from, ring_bytes
from daemon.scan.protocol import Findings

ARENAS = 4
ARENA_BYTES = 64 * 1024 * 1024
"""Address space that glibc keeps for each of malloc's arenas."""
CELLS = Cells("daemon.scan.decode_cell", ring=True, arenas=ARENAS)
"""One for each film that is decoded; those of the last films are kept for the next."""
LAST_BYTES = 128 * 1024 * 1024
"""The longest line: the last, with the index of five million packets."""
_HASH = re.compile("[0-9a-f]{40}")


class UnexpectedError(Exception):
    """Something that is no error of the film was raised in the other process, whose traceback is a note of this."""


def warm(config: DecodeConfig) -> None:
    """Have a process ready, so that the first film does not wait for it. Raises VideoError."""
    # One film is exported meanwhile.
    CELLS.kept = config.concurrency + 1
    try:
        CELLS.warm(_greeting(config))
    except (OSError, CellEnded) as error:
        raise none_starts("decodes films", error) from error


class Decoding:
    """One run over a film: ``open``, then ``frames``; ``stop`` may be called by any thread."""

    def __init__(self, request: Request, cells: Cells | None = None) -> None:
        self._request = request
        self._cells = CELLS if cells is None else cells
        self._lock = threading.Lock()
        self._cell: Cell | None = None
        self._reading = self._stopped = False
        self.findings: Findings | None = None
        """What was found, once the run has come to its end."""

    def open(self) -> None:
        """Have a process for it, which takes seconds where none is ready. Raises VideoError."""
        try:
            cell = self._cells.take(_greeting(self._request.config))
        except (OSError, CellEnded) as error:
            raise none_starts("decodes films", error) from error
        with self._lock:
            self._cell = cell
        if self._stopped:
            self.stop()

    def stop(self) -> None:
        """End it: ``frames`` end, and so does the process. Safe to call more than once, and after the end."""
        with self._lock:
            self._stopped = True
            cell = self._cell
            if cell is not None and self._reading:
                cell.kill()
                return
            self._cell = None
        if cell is not None:
            self._cells.give(cell)

    def frames(self) -> Generator[Frame, None, None]:
        """The frames in order.

        Raises VideoError: what decoding raises, TOO_LARGE where it takes too much memory or computing, DECODE where it
        crashes, OUT_OF_MEMORY where the process is ended from outside or none can be started; DamageError.
        """
        if self._cell is None and not self._stopped:
            self.open()
        with self._lock:
            cell, self._reading = self._cell, True
        if cell is None:
            return
        assert cell.ring is not None
        config = self._request.config
        try:
            with self._cells.lent(cell):
                cell.ring.begin()
                last = yield from self._read(cell, cell.ring)
                cell.ring.end()
                self._let_go()
        except CellEnded as ended:
            if self._stopped:
                return
            raise ended_in_words(ended, "decoding", f"decode.work_seconds = {config.work_seconds:g}") from None
        except (RingError, OSError) as error:
            raise VideoError(
                Kind.DECODE, f"decoding it gave what is no frame ({error}): the file is damaged"
            ) from error
        finally:
            self._let_go()
        if isinstance(last, Findings):
            self.findings = last
        else:
            raise last

    def _let_go(self) -> None:
        """From now on it is not killed any more."""
        with self._lock:
            self._cell = None

    def _read(self, cell: Cell, ring: Taker) -> Generator[Frame, None, Findings | Exception]:
        cell.tell(self._request.json())
        while True:
            message = cell.hear(most_bytes=LAST_BYTES)
            if "frame" in message:
                slot, parts = message.get("slot"), message.get("parts")
                arrays = {} if slot is None else ring.take(slot, parts, cell.tell_free)
                yield _frame(message, arrays)
                # Whoever took it has it for himself.
                del arrays
            elif "room" in message:
                self._lay(ring, message["room"])
                cell.tell_free(LAID)
            else:
                cell.worn = bool(message.get("worn", True))
                return self._last(message)

    def _lay(self, ring: Taker, room: Any) -> None:
        config = self._request.config
        if type(room) is not int or not 0 < room <= film_bytes(config):
            raise RingError(f"a frame of {room} bytes")
        ring.lay(room, ring_bytes(config))

    def _last(self, message: dict[str, Any]) -> Findings | Exception:
        match message:
            case {"found": dict() as found}:
                try:
                    return findings_from(found, self._request.info)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise CellEnded from error
            case {"damage": str(reason)}:
                return DamageError(reason)
            case {"kind": str(kind), "sentence": str(sentence)} if kind in set(Kind):
                return VideoError(Kind(kind), sentence)
            case {"unexpected": str(what), "trace": str(trace)}:
                unexpected = UnexpectedError(what)
                unexpected.add_note(trace)
                return unexpected
        raise CellEnded


def _frame(message: dict[str, Any], arrays: dict[str, Any]) -> Frame:
    """The frame of a line. Raises RingError for what is none."""
    match message["frame"]:
        case [int(index), int() | None as pts, int() | float() as time_s, str(digest), bool(corrupt), lasts_s] if (
            index >= 0 and _HASH.fullmatch(digest) and isinstance(lasts_s, int | float | None)
        ):
            pass
        case _:
            raise RingError("this is no frame")
    gray = _gray(arrays, flat=message.get("flat"))
    features = arrays.pop("features", None)
    picture = arrays.pop("picture", None)
    if arrays or not _is_picture(picture) or (features is not None and features.nbytes != RECORD.itemsize):
        raise RingError("this is no frame")
    record = None if features is None else features.tobytes()
    return Frame(index, pts, float(time_s), digest, picture, corrupt, record, lasts_s, gray)


def _gray(arrays: dict[str, Any], *, flat: Any) -> GrayPicture | None:
    gray, rows, small = (arrays.pop(name, None) for name in ("gray", "rows", "small"))
    if gray is None:
        return None
    if gray.ndim != 2 or not gray.size or rows is None or rows.ndim != 3 or not _is_picture(small):
        raise RingError("this is no gray picture")
    return GrayPicture(gray, rows, flat is True, small)


def _is_picture(array: Any) -> bool:
    return array is None or (array.ndim == 3 and array.shape[2] == 3 and array.size > 0)


def _greeting(config: DecodeConfig) -> dict[str, Any]:
    """The limits: what opening may take and what frames may take; every core for as long as a film may be worked on."""
    return {
        "memory_bytes": config.open_memory_bytes + film_bytes(config) + ring_bytes(config) + ARENAS * ARENA_BYTES,
        "cpu_seconds": config.work_seconds * (os.cpu_count() or 1),
    }
