"""What a file's own container says about whether its writer has finished it, without decoding anything.

Only a few headers are read. ISO base media: ISO/IEC 14496-12, boxes; Matroska: RFC 9559, sizes and Duration; AVI: the
sizes of its RIFF lists. Other formats, such as transport streams, say nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from daemon.inbox.content import BOXES
from daemon.runtime.reading import opened

MOST_BOXES = 4096
"""A file of more boxes at its top level is not followed to its end."""
_MATROSKA_BYTES = 64 * 1024
_UNFINISHED_SIZES = (0, 0xFFFFFFFF)
_TOP_BOXES = BOXES | {b"mfra", b"uuid", b"meta"}


class Says(StrEnum):
    """What a container says about itself."""

    WHOLE = "whole"
    UNFINISHED = "unfinished"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Wholeness:
    """What a container says; ``why`` is a sentence for an unfinished one."""

    says: Says
    why: str = ""


WHOLE = Wholeness(Says.WHOLE)
NOTHING = Wholeness(Says.NOTHING)


def _unfinished(why: str) -> Wholeness:
    return Wholeness(Says.UNFINISHED, why)


def look(path: Path) -> Wholeness:
    """What the container of a regular file says. Raises OSError."""
    with opened(path) as descriptor:
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, 16, 0)
        if head[4:8] in _TOP_BOXES:
            return _boxes(descriptor, size)
        if head.startswith(b"\x1a\x45\xdf\xa3"):
            return _matroska(os.pread(descriptor, _MATROSKA_BYTES, 0), size)
        if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
            return _avi(descriptor, size)
        return NOTHING


def _boxes(descriptor: int, size: int) -> Wholeness:
    """ISO base media and QuickTime: boxes one behind the other, of which moov must be one."""
    seen: set[bytes] = set()
    at = 0
    for _ in range(MOST_BOXES):
        if at == size:
            break
        header = os.pread(descriptor, 16, at)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:16], "big")
        if len(header) < 8 or not header.strip(b"\0"):
            # Zeros to the end are what some editors leave behind; before moov they are what is not written yet.
            return NOTHING if b"moov" in seen else _unfinished("its end is not written yet (no moov)")
        seen.add(kind)
        if length == 0:
            # To the end of the file, however long it gets.
            return NOTHING if b"moov" in seen else _unfinished("its end is not written yet (no moov)")
        if length < 8:
            return NOTHING
        at += length
        if at > size:
            return _unfinished(f"{at - size:,} bytes of its last part are missing")
    else:
        return NOTHING
    if b"moov" not in seen:
        # Segments of a stream have none, and are whole by themselves.
        return NOTHING if b"moof" in seen else _unfinished("its end is not written yet (no moov)")
    # Another fragment may follow any time, unless the index of all of them is there.
    return NOTHING if b"moof" in seen and b"mfra" not in seen else WHOLE


def _matroska(head: bytes, size: int) -> Wholeness:
    """Matroska and WebM: a recorder fills in the segment's size and the duration when it ends."""
    elements = _elements(head, 0)
    next(elements, None)
    for identity, start, length in elements:
        if identity != 0x18538067:
            continue
        if length is not None:
            missing = start + length - size
            return _unfinished(f"{missing:,} bytes of its segment are missing") if missing > 0 else WHOLE
        return (
            NOTHING
            if _has_duration(head, start)
            else _unfinished("it has neither size nor duration, as while it is recorded")
        )
    return NOTHING


def _has_duration(head: bytes, segment: int) -> bool:
    for identity, start, length in _elements(head, segment):
        if identity == 0x1549A966 and length is not None:
            return any(child == 0x4489 for child, at, _ in _elements(head, start) if at <= start + length)
        if identity == 0x1F43B675:
            break
    return False


def _elements(data: bytes, at: int) -> Iterator[tuple[int, int, int | None]]:
    """(identity, start of the content, its length in bytes or None for unknown) one behind the other."""
    while at < len(data):
        width = 9 - data[at].bit_length()
        if width > 4 or at + width >= len(data):
            return
        identity, at = int.from_bytes(data[at : at + width], "big"), at + width
        width = 9 - data[at].bit_length()
        if width > 8 or at + width > len(data):
            return
        value = int.from_bytes(data[at : at + width], "big") & (1 << 7 * width) - 1
        at += width
        unknown = value == (1 << 7 * width) - 1
        yield identity, at, None if unknown else value
        # What follows an element without a size is its own content.
        at += 0 if unknown else value


def _avi(descriptor: int, size: int) -> Wholeness:
    """AVI: each RIFF list says its size once it is finished; OpenDML has several."""
    at = 0
    for _ in range(MOST_BOXES):
        header = os.pread(descriptor, 12, at)
        if len(header) < 12 or not header.startswith(b"RIFF"):
            return WHOLE
        length = int.from_bytes(header[4:8], "little")
        if length in _UNFINISHED_SIZES:
            return _unfinished("the size of its RIFF list is not written yet")
        at += 8 + length
        if at > size:
            return _unfinished(f"{at - size:,} bytes of its RIFF list are missing")
        at += at % 2
    return NOTHING
