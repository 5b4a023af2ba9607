"""A film in spans, each decoded by itself: what is said of them, and of the frames at which they meet."""

from __future__ import annotations

from dataclasses import dataclass


class WholeFilmError(Exception):
    """The film cannot be scored in spans, for the reason that this says."""


@dataclass(frozen=True, slots=True)
class Span:
    """Frames ``first`` to ``end - 1``. ``pts`` is that of the first, ``next_pts`` that of frame ``end``, else None.

    ``seek`` (the smaller of pts and dts), ``position`` (bytes, or -1) and ``size_bytes`` are those of the key packet
    that it begins with. Times are in the stream's time base.
    """

    first: int
    end: int
    pts: int
    next_pts: int | None
    seek: int
    position: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Cut:
    """A film in spans, and what one pass would have noted of its packets: how many, and their index as it is stored."""

    spans: tuple[Span, ...]
    packets: int
    index: bytes


@dataclass(frozen=True, slots=True)
class Joint:
    """What is known of the frame at which two spans meet; both must say the same of it."""

    frame: int
    pts: int | None
    time_s: float
    duration_s: float | None
    hash: str


@dataclass(frozen=True, slots=True)
class Begun:
    """How a span begins: its first frame, what its pictures are made by, and the header of its first key packet."""

    joint: Joint
    shape: str
    header: str
