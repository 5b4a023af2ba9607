"""Damage: what a decode pass found, and FFmpeg's ERROR lines, given to the decode that they may belong to."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import av.logging

from daemon.decode.info_lines import LEVEL
from daemon.decode.packet_index import PacketIndexBuilder
from daemon.decode.references import References, Spans
from daemon.decode.spans import Begun, Cut, Joint
from daemon.model import Stretch

GAPS_KEPT = 100
LAYOUTS_KEPT = 100
LINE_KEPT = 500
"""Characters of a line of FFmpeg."""


class DamageError(Exception):
    """Frame-threaded decoding met a sign of damage; start again with one thread."""


class PictureChangeError(Exception):
    """The shape of the pixels changes; of which frame on is only known when decoding with one thread."""


class DecodeReport:
    """What a finished pass over the file found; filled by ``decode_frames`` while it runs.

    ``lost_packets`` could not be decoded, ``unread_bytes`` and ``hole_s`` (seconds) are where no packet was found.
    ``gaps`` are (ordinal, seconds): that many seconds are missing before that frame, ``missing_s`` in all. Undamaged
    files of variable frame rate have gaps too, so they mean something in a damaged file only. ``references`` is known
    after a pass with one thread. ``stretches`` are the runs of frames that are made into pictures in the same way,
    ``coded_aspect`` is the sample aspect that the stream gives the last frame, ``header`` what says its shape in the
    stream, noted with several threads alone. ``combed_frames`` were made of one of their fields. ``clock_jumps`` is how
    often the file's clock started anew. ``index`` has where each packet lies. Of a span, ``begun`` is how it begins and
    ``meets`` the frame behind it; ``cut`` is where a film may be cut into such. ``rungs`` counts, where frames were
    sought, how many each rung of ``daemon.decode.seek`` has given. ``without_device`` says why a device that
    was asked for has not decoded the film to its end.
    """

    def __init__(self) -> None:
        self.rungs: Counter[str] = Counter()
        self.without_device: str | None = None
        self.begin()

    def begin(self) -> None:
        """Forget all: a pass begins."""
        self.frames = 0
        self.errors = 0
        self.first_error: str | None = None
        self.mixed = False
        self.stretches: tuple[Stretch, ...] = ()
        self.coded_aspect: Fraction | None = None
        self.header: bytes | None = None
        self.begun: Begun | None = None
        self.meets: Joint | None = None
        self.cut: Cut | None = None
        self.combed_frames = 0
        self.lost_packets = 0
        self.packets = 0
        self.unread_bytes = 0
        self.hole_s = 0.0
        self.missing_s = 0.0
        self.clock_jumps = 0
        self.references = References()
        self.index = PacketIndexBuilder()
        self.corrupt_frames = 0
        self.gaps: list[tuple[int, float]] = []
        self.unlike_chain: list[str] = []
        """Layouts whose planes do not become gray or RGB with the bits of the filter chain: the first of them."""

    def differs(self, layout: str) -> None:
        """A layout's planes become something else than by the filter chain; once for each, and not without end."""
        if layout not in self.unlike_chain and len(self.unlike_chain) < LAYOUTS_KEPT:
            self.unlike_chain.append(layout)

    def note(self, reason: str) -> None:
        """Count one sign of damage."""
        self.errors += 1
        self.first_error = self.first_error or " ".join(reason.split())

    def summary(self) -> str | None:
        """What is known of the damage, in one line; None when there is none."""
        if not self.damaged:
            return None
        parts = [f"{self.first_error} ({self.errors} signs)"]
        if self.unread_bytes or self.hole_s:
            parts.append(f"{self.unread_bytes} bytes ({self.hole_s:.2f} s) without packets")
        if self.lost_packets:
            parts.append(f"{self.lost_packets} packets could not be decoded")
        if self.frameless_packets > 0:
            parts.append(f"{self.frameless_packets} of {self.packets} packets without a frame")
        if self.corrupt_frames:
            parts.append(f"{self.corrupt_frames} frames are corrupt")
        if self.damaged_frames > self.corrupt_frames:
            parts.append(f"{self.damaged_frames} frames are damaged or refer to damaged ones")
        if self.gaps:
            shown = ", ".join(f"{frame} ({seconds:.2f} s)" for frame, seconds in self.gaps[:10])
            more = f" and {len(self.gaps) - 10} more" if len(self.gaps) > 10 else ""
            parts.append(f"time is missing before frame {shown}{more}")
        return "; ".join(parts)

    @property
    def unread_s(self) -> float:
        """Seconds of a damaged file without packets, or without frames."""
        return max(self.hole_s, self.missing_s) if self.damaged else 0.0

    @property
    def frameless_packets(self) -> int:
        """Packets of a damaged file beyond its frames, other than those that the file marks as not to be shown."""
        return max(self.packets - self.frames, 0) if self.damaged else 0

    @property
    def damaged_frames(self) -> int:
        """Frames that are damaged, or were predicted from such."""
        return sum(last - first + 1 for first, last in self.damaged_spans)

    @property
    def damaged_spans(self) -> Spans:
        """The ordinals of the damaged frames, as runs; empty where decoding needed more than one thread."""
        return self.references.spans() if self.damaged else ()

    @property
    def damaged(self) -> bool:
        """Whether any sign of damage was seen."""
        return self.errors > 0


class Lines:
    """Lines of FFmpeg: how many, and the first of those that were not taken yet. A file may give any number."""

    def __init__(self) -> None:
        self.count = 0
        self.first: str | None = None

    def append(self, line: str) -> None:
        """One more."""
        self.count += 1
        if self.first is None:
            self.first = line[:LINE_KEPT]

    def take(self) -> str | None:
        """The first since the last time, if any."""
        first, self.first = self.first, None
        return first


class ErrorLines(logging.Handler):
    """Collects lines per decoding thread.

    A line logged on a decode's own thread is its own. A line from a thread that is no decode's is
    from one of FFmpeg's workers and goes to every frame-threaded decode.
    """

    def __init__(self) -> None:
        super().__init__(level=logging.ERROR)
        self._watches: dict[int, tuple[bool, Lines]] = {}
        self._installed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Called by PyAV's logging bridge, on whatever thread FFmpeg logged."""
        own = self._watches.get(record.thread or 0)
        if own is not None:
            own[1].append(record.getMessage())
            return
        if record.thread not in _python_threads():
            for any_thread, lines in list(self._watches.values()):
                if any_thread:
                    lines.append(record.getMessage())

    @contextmanager
    def watching(self, *, any_thread: bool) -> Iterator[Lines]:
        """Collect the lines of the decode that runs on this thread."""
        if not self._installed:
            self._install()
        lines = Lines()
        thread = threading.get_ident()
        outer = self._watches.get(thread)
        self._watches[thread] = (any_thread, lines)
        try:
            yield lines
        finally:
            if outer is None:
                self._watches.pop(thread, None)
            else:
                self._watches[thread] = outer

    def _install(self) -> None:
        # Whoever asks for lines of another level puts back what was before, which must not be from before this.
        with LEVEL:
            av.logging.set_level(av.logging.ERROR)
            av.logging.set_skip_repeated(False)
            logger = logging.getLogger("libav")
            logger.addHandler(self)
            logger.propagate = False
            self._installed = True


def _python_threads() -> set[int]:
    return {thread.ident or 0 for thread in threading.enumerate() if not isinstance(thread, threading._DummyThread)}


ERRORS = ErrorLines()
"""The one handler; PyAV's logging is global."""
