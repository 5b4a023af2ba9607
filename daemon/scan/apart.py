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
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from daemon.analysis.features import RECORD
from daemon.config.score import DecodeConfig
from daemon.decode.apart import ended_in_words, none_starts
from daemon.decode.budget import film_bytes
from daemon.decode.damage import DamageError
from daemon.decode.hardware import NO_DEVICE
from daemon.decode.spans import Begun, WholeFilmError
from daemon.errors import Kind, VideoError
from daemon.model import Frame, GrayPicture
from daemon.runtime.cell import Cell, CellEnded, Cells
from daemon.runtime.ring import LAID, RingError, Taker
from daemon.runtime.stall import stuck
from daemon.scan.decoding import Work, ring_bytes, text_of
from daemon.scan.spans import begun_from

ARENAS = 4
ARENA_BYTES = 64 * 1024 * 1024
"""Address space that glibc keeps for each of malloc's arenas."""
CELLS = Cells("daemon.scan.decode_cell", ring=True, arenas=ARENAS)
"""One for each film that is scored; those of the last films are kept for the next."""
AGAIN = Cells("daemon.scan.decode_cell", ring=True, arenas=ARENAS)
"""Those without compiled code, which are there sooner: for frames that are decoded a second time."""
LAST_BYTES = 32 * 1024 * 1024
"""The longest line: the last, of a film with a million damaged stretches."""
INDEX_BYTES = 64 * 1024 * 1024
"""The index of five million packets takes no more."""
MOST_TRACE = 20_000
_HASH = re.compile("[0-9a-f]{40}")
_PTS = range(-(1 << 63), 1 << 63)
"""What FFmpeg and SQLite can hold."""
_MOST_S = float(1 << 53)
T = TypeVar("T")
Made = TypeVar("Made")


class UnexpectedError(Exception):
    """Something that is no error of the film was raised in the other process, whose traceback is a note of this."""


def warm(config: DecodeConfig) -> None:
    """Have a process ready, so that the first film does not wait for it. Raises VideoError."""
    # One film is exported meanwhile.
    CELLS.kept = config.concurrency + 1
    _warm(CELLS, _greeting(config, compiled=True))


def warm_again(config: DecodeConfig) -> None:
    """The same for frames that are decoded a second time where no film is scored. Raises VideoError."""
    _warm(AGAIN, _greeting(config, compiled=False))


def _warm(cells: Cells, greeting: dict[str, Any]) -> None:
    try:
        cells.warm(greeting)
    except (OSError, CellEnded) as error:
        raise none_starts("decodes films", error) from error


def close() -> None:
    """End the processes that wait for the next film."""
    CELLS.close()
    AGAIN.close()


class Decoding(Generic[T]):
    """One run over a film: ``open``, then ``frames``; ``stop`` may be called by any thread.

    A process that says nothing is waited for until there is a ``stop``, or for ``quiet_seconds``.
    """

    def __init__(self, work: Work[T], cells: Cells | None = None, *, quiet_seconds: float | None = None) -> None:
        self._work = work
        self._cells = CELLS if work.compiled else AGAIN
        self._only = cells
        self._quiet_seconds = quiet_seconds
        self._lock = threading.Lock()
        self._cell: Cell | None = None
        self._reading = self._stopped = False
        ordinals = work.ordinals
        self._left = ordinals if isinstance(ordinals, range) else set(ordinals)
        self.at: object = (0, 0)
        """Changes when it gets on without giving a frame."""
        self.findings: T | None = None
        """What was found, once the run has come to its end."""
        self.begun: Begun | None = None
        """How a span begins, from its first frame on."""

    def open(self) -> None:
        """Have a process for it, which takes a second or two where none is ready. Raises VideoError."""
        try:
            cell = self._take()
        except (OSError, CellEnded) as error:
            raise none_starts("decodes films", error) from error
        with self._lock:
            self._cell = cell
        if self._stopped:
            self.stop()

    def _take(self) -> Cell:
        """One that waits, or a new one; a process that has more loaded than is needed will do."""
        greeting = _greeting(self._work.config, compiled=self._work.compiled)
        if self._only is not None:
            self._cells = self._only
        elif not self._work.compiled and (cell := AGAIN.spare(greeting)) is not None:
            return cell
        elif not self._work.compiled and (cell := CELLS.spare({**greeting, "compiled": True})) is not None:
            self._cells = CELLS
            return cell
        return self._cells.take(greeting)

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
        crashes, OUT_OF_MEMORY where the process is ended from outside or none can be started; DamageError;
        WholeFilmError where a span or a cut was asked for.
        """
        if self._cell is None and not self._stopped:
            self.open()
        with self._lock:
            cell, self._reading = self._cell, True
        if cell is None:
            return
        assert cell.ring is not None
        config = self._work.config
        try:
            with self._cells.lent(cell):
                cell.ring.begin()
                last = yield from self._read(cell, cell.ring)
                cell.ring.end()
                self._let_go()
        except CellEnded as ended:
            if self._stopped:
                return
            if ended.late:
                raise stuck("the decoder", ended.seconds) from None
            raise ended_in_words(ended, "decoding", f"decode.work_seconds = {config.work_seconds:g}") from None
        except (RingError, OSError) as error:
            raise VideoError(
                Kind.DECODE, f"decoding it gave what is no frame ({error}): the file is damaged"
            ) from error
        finally:
            self._let_go()
        if isinstance(last, Exception):
            raise last
        self.findings = last

    def _let_go(self) -> None:
        """From now on it is not killed any more."""
        with self._lock:
            self._cell = None

    def _read(self, cell: Cell, ring: Taker) -> Generator[Frame, None, T | Exception]:
        cell.tell(self._work.json())
        while True:
            message = cell.hear(self._quiet_seconds, LAST_BYTES)
            arrays = self._arrays(message, cell, ring)
            if "frame" in message:
                yield self._expected(_frame(message, arrays))
                # Whoever took it has it for himself.
                arrays.clear()
            elif "room" in message:
                self._lay(ring, message["room"])
                cell.tell_free(LAID)
            elif "at" in message:
                self.at = message["at"]
            elif "begun" in message:
                self.begun = _checked(begun_from, message["begun"])
            else:
                cell.worn = bool(message.get("worn", True))
                return self._last(message, arrays)

    def _arrays(self, message: dict[str, Any], cell: Cell, ring: Taker) -> dict[str, Any]:
        slot, parts = message.get("slot"), message.get("parts")
        return {} if slot is None else ring.take(slot, parts, cell.tell_free)

    def _expected(self, frame: Frame) -> Frame:
        """A frame that was asked for. Raises RingError for another one."""
        left = self._left
        if frame.index not in (left[:1] if isinstance(left, range) else left):
            raise RingError(f"frame {frame.index:.3g} was not asked for")
        if isinstance(left, range):
            self._left = left[1:]
        else:
            left.remove(frame.index)
        picture = frame.picture if frame.gray is None else frame.gray.gray
        if picture is not None and picture.shape[0] * picture.shape[1] > self._work.config.max_pixels:
            raise RingError("a picture is larger than decode.max_pixels")
        return frame

    def _lay(self, ring: Taker, room: Any) -> None:
        if type(room) is not int or not 0 < room <= max(film_bytes(self._work.config), INDEX_BYTES):
            raise RingError("a frame has no such size")
        ring.lay(room, self._work.room_bytes)

    def _last(self, message: dict[str, Any], arrays: dict[str, Any]) -> T | Exception:
        match message:
            case {"found": dict() as found}:
                index = arrays.get("index")
                return _checked(self._work.found, found, b"" if index is None else index.tobytes())
            case {"damage": str(reason)}:
                return DamageError(text_of(reason))
            case {"whole": str(reason)}:
                return WholeFilmError(text_of(reason))
            case {"kind": str(kind), "sentence": str(sentence)} if kind in set(Kind):
                return VideoError(Kind(kind), text_of(sentence))
            case {"unexpected": str(what), "trace": str(trace)}:
                unexpected = UnexpectedError(text_of(what))
                unexpected.add_note(trace[-MOST_TRACE:])
                return unexpected
        raise CellEnded


def _checked(made: Callable[..., Made], *parts: Any) -> Made:
    """What is made of an answer. Raises CellEnded for what is none."""
    try:
        return made(*parts)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CellEnded from error


def _frame(message: dict[str, Any], arrays: dict[str, Any]) -> Frame:
    """The frame of a line. Raises RingError for what is none."""
    match message["frame"]:
        case [int(index), int() | None as pts, int() | float() as time_s, str(digest), bool(corrupt), lasts_s] if (
            index in _PTS and (pts is None or pts in _PTS) and _HASH.fullmatch(digest)
        ):
            pass
        case _:
            raise RingError("this is no frame")
    if not _is_time(time_s) or not (lasts_s is None or _is_time(lasts_s)):
        raise RingError("this is no frame")
    arrays = dict(arrays)
    gray = _gray(arrays, flat=message.get("flat"))
    features = arrays.pop("features", None)
    picture = arrays.pop("picture", None)
    if arrays or not _is_picture(picture) or (features is not None and features.nbytes != RECORD.itemsize):
        raise RingError("this is no frame")
    record = None if features is None else features.tobytes()
    return Frame(index, pts, float(time_s), digest, picture, corrupt, record, lasts_s, gray)


def _is_time(seconds: Any) -> bool:
    return isinstance(seconds, int | float) and -_MOST_S <= seconds <= _MOST_S


def _gray(arrays: dict[str, Any], *, flat: Any) -> GrayPicture | None:
    gray, rows, small = (arrays.pop(name, None) for name in ("gray", "rows", "small"))
    if gray is None:
        return None
    if gray.ndim != 2 or not gray.size or rows is None or rows.ndim != 3 or not _is_picture(small):
        raise RingError("this is no gray picture")
    return GrayPicture(gray, rows, flat is True, small)


def _is_picture(array: Any) -> bool:
    return array is None or (array.ndim == 3 and array.shape[2] == 3 and array.size > 0)


def _greeting(config: DecodeConfig, *, compiled: bool) -> dict[str, Any]:
    """The limits: what opening may take and what frames may take; every core for as long as a film may be worked on."""
    return {
        "memory_bytes": config.open_memory_bytes + film_bytes(config) + ring_bytes(config) + ARENAS * ARENA_BYTES,
        "cpu_seconds": config.work_seconds * (os.cpu_count() or 1),
        "compiled": compiled,
        # Frames that are decoded a second time come from software, which proves those of the device.
        "device": compiled and config.hwaccel != NO_DEVICE,
    }
