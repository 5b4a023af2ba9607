"""What a container says of a video track and PyAV does not pass on: crop, Dolby Vision, transparency.

Reads the headers of ISO files (ISO 14496-12; ``clap`` and ``dvcC`` in the sample entry) and of Matroska files
(RFC 9559), from element to element, without looking at pictures. Whatever does not parse says nothing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from daemon.model import Crop

MOST_ELEMENTS = 4096
"""Elements at one level that are looked at."""
MOST_BYTES = 4096
"""No value that is read here is longer."""
WHOLE = Crop()
"""Nothing is cut off."""


@dataclass(frozen=True, slots=True)
class DolbyVision:
    """The Dolby Vision configuration record: what the base layer is to a player that does not know the format.

    ``compatibility`` 0: nothing; 1 HDR10, 2 BT.709, 4 HLG, 6 Blu-ray's HDR10.
    """

    profile: int
    compatibility: int


@dataclass(frozen=True, slots=True)
class TrackHeader:
    """Of one video track. ``alpha`` says that transparency is stored beside the pictures, ``codec`` is Matroska's name
    of the codec, also of one that FFmpeg does not know."""

    crop: Crop = WHOLE
    dolby_vision: DolbyVision | None = None
    alpha: bool = False
    codec: str = ""


def track_header(path: Path, container: str, track_id: int, place: int) -> TrackHeader:
    """Of the track with this id (ISO files), or of the ``place``-th video track from 0 (Matroska).

    ``container`` is FFmpeg's name of the format.
    """
    try:
        with path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            if "mp4" in container:
                return _of_iso(file, end, track_id)
            if "matroska" in container:
                return _of_matroska(file, end, place)
    except (OSError, struct.error, ValueError, ZeroDivisionError, OverflowError):
        pass
    return TrackHeader()


Element = tuple[int, int, int]
"""The type or id of an element, and where its content begins and ends in the file."""


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    for _ in range(MOST_ELEMENTS):
        if start + 8 > end:
            return
        file.seek(start)
        size, kind = struct.unpack(">II", file.read(8))
        content = start + 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            content += 8
        after = end if size == 0 else start + size
        if after < content or after > end:
            return
        yield kind, content, after
        start = after


def _box(file: BinaryIO, start: int, end: int, *names: bytes) -> tuple[int, int] | None:
    """Where the content of a box is that lies in boxes of these names."""
    for name in names:
        kind = int.from_bytes(name, "big")
        found = next((one for one in _boxes(file, start, end) if one[0] == kind), None)
        if found is None:
            return None
        _, start, end = found
    return start, end


def _content(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(min(end - start, MOST_BYTES))


def _of_iso(file: BinaryIO, end: int, track_id: int) -> TrackHeader:
    movie = _box(file, 0, end, b"moov")
    for kind, first, last in _boxes(file, *movie) if movie else ():
        if kind != int.from_bytes(b"trak", "big"):
            continue
        header = _box(file, first, last, b"tkhd")
        if header is None:
            continue
        told = _content(file, *header)
        if int.from_bytes(told[20:24] if told[0] == 1 else told[12:16], "big") != track_id:
            continue
        samples = _box(file, first, last, b"mdia", b"minf", b"stbl", b"stsd")
        # A full box of entries; a visual entry has 78 bytes of its own before its boxes.
        entry = next(_boxes(file, samples[0] + 8, samples[1]), None) if samples else None
        return _of_sample_entry(file, entry[1], entry[2]) if entry else TrackHeader()
    return TrackHeader()


def _of_sample_entry(file: BinaryIO, start: int, end: int) -> TrackHeader:
    width, height = struct.unpack_from(">HH", _content(file, start, end), 24)
    crop, vision = Crop(), None
    for kind, first, last in _boxes(file, start + 78, end):
        name = kind.to_bytes(4, "big")
        if name == b"clap":
            crop = _clean_aperture(_content(file, first, last), width, height)
        elif name in (b"dvcC", b"dvvC", b"dvwC"):
            vision = _dolby_vision(_content(file, first, last))
    return TrackHeader(crop, vision)


def _clean_aperture(content: bytes, width: int, height: int) -> Crop:
    """A size and the offset of its centre from that of the picture, as fractions."""
    numbers = struct.unpack_from(">IIIIiIiI", content)
    shown_width, shown_height, right, down = (Fraction(*numbers[at : at + 2]) for at in (0, 2, 4, 6))
    left = round((width - shown_width) / 2 + right)
    top = round((height - shown_height) / 2 + down)
    crop = Crop(top, height - top - round(shown_height), left, width - left - round(shown_width))
    return _plausible(crop, width, height)


def _plausible(crop: Crop, width: int, height: int) -> Crop:
    inside = min(crop.top, crop.bottom, crop.left, crop.right) >= 0
    return crop if inside and crop.top + crop.bottom < height and crop.left + crop.right < width else Crop()


def _dolby_vision(content: bytes) -> DolbyVision | None:
    """ISO/IEC 14496-12 boxes of "Dolby Vision Streams Within the ISO Base Media File Format", section 3.2."""
    return DolbyVision(content[2] >> 1, content[4] >> 4) if len(content) >= 5 else None


_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK, _TRACK_TYPE, _CODEC, _VIDEO, _ADDITION = 0xAE, 0x83, 0x86, 0xE0, 0x41E4
_WIDTH, _HEIGHT, _ALPHA_MODE = 0xB0, 0xBA, 0x53C0
_CROPS = {0x54AA: "bottom", 0x54BB: "top", 0x54CC: "left", 0x54DD: "right"}
_ADDITION_TYPE, _ADDITION_DATA = 0x41E7, 0x41ED
_VIDEO_TRACK = 1
_DOLBY_TYPES = {int.from_bytes(name, "big") for name in (b"dvcC", b"dvvC", b"dvwC")}


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """EBML elements; one of unknown size is the last."""
    for _ in range(MOST_ELEMENTS):
        if start >= end:
            return
        file.seek(start)
        head = file.read(12)
        if not head or not head[0]:
            return
        wide = 9 - head[0].bit_length()
        sized = head[wide]
        if not sized:
            return
        long = 9 - sized.bit_length()
        size = int.from_bytes(head[wide : wide + long], "big") & ((1 << 7 * long) - 1)
        content = start + wide + long
        after = end if size == (1 << 7 * long) - 1 else min(content + size, end)
        yield int.from_bytes(head[:wide], "big"), content, after
        start = after


def _number(file: BinaryIO, start: int, end: int) -> int:
    return int.from_bytes(_content(file, start, min(end, start + 8)), "big")


def _of_matroska(file: BinaryIO, end: int, place: int) -> TrackHeader:
    for kind, first, last in _elements(file, 0, end):
        if kind != _SEGMENT:
            continue
        for part, part_first, part_last in _elements(file, first, last):
            if part == _TRACKS:
                return _of_tracks(file, part_first, part_last, place)
            if part == _CLUSTER and part_last == last:
                break
    return TrackHeader()


def _of_tracks(file: BinaryIO, start: int, end: int, place: int) -> TrackHeader:
    videos = 0
    for kind, first, last in _elements(file, start, end):
        if kind != _TRACK:
            continue
        parts = list(_elements(file, first, last))
        if not any(part[0] == _TRACK_TYPE and _number(file, *part[1:]) == _VIDEO_TRACK for part in parts):
            continue
        if videos == place:
            return _of_track(file, parts)
        videos += 1
    return TrackHeader()


def _of_track(file: BinaryIO, parts: list[Element]) -> TrackHeader:
    header, vision, codec = TrackHeader(), None, ""
    for kind, first, last in parts:
        if kind == _VIDEO:
            numbers = {part: _number(file, *where) for part, *where in _elements(file, first, last)}
            crop = Crop(**{edge: numbers.get(code, 0) for code, edge in _CROPS.items()})
            crop = _plausible(crop, numbers.get(_WIDTH, 0), numbers.get(_HEIGHT, 0))
            header = TrackHeader(crop, alpha=bool(numbers.get(_ALPHA_MODE)))
        elif kind == _CODEC:
            codec = _content(file, first, last).rstrip(b"\0").decode("ascii", "replace")
        elif kind == _ADDITION:
            values = {part: (one, other) for part, one, other in _elements(file, first, last)}
            whole = _ADDITION_TYPE in values and _ADDITION_DATA in values
            if whole and _number(file, *values[_ADDITION_TYPE]) in _DOLBY_TYPES:
                vision = _dolby_vision(_content(file, *values[_ADDITION_DATA]))
    return TrackHeader(header.crop, vision, header.alpha, codec)
