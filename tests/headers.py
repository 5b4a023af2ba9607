"""Writes into the header of a film what FFmpeg's muxers cannot: a crop, a Dolby Vision record, a mark of transparency."""

from __future__ import annotations

import struct
from pathlib import Path

_ENTRY_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_VISUAL_ENTRY = 78
_TRACKS, _TRACK, _VIDEO = 0x1654AE6B, 0xAE, 0xE0


def add_to_sample_entry(path: Path, *boxes: bytes) -> Path:
    """Boxes at the end of the first sample entry of an ISO file whose ``moov`` is its end."""
    data = bytearray(path.read_bytes())
    start, end, sizes = 0, len(data), []
    for name in _ENTRY_PATH:
        at = start
        while data[at + 4 : at + 8] != name:
            at += struct.unpack_from(">I", data, at)[0]
        sizes.append(at)
        start, end = at + 8, at + struct.unpack_from(">I", data, at)[0]
    entry = start + 8
    sizes.append(entry)
    end = entry + struct.unpack_from(">I", data, entry)[0]
    added = b"".join(boxes)
    for at in sizes:
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(added))
    data[end:end] = added
    path.write_bytes(data)
    return path


def box(name: bytes, content: bytes) -> bytes:
    """An ISO box."""
    return struct.pack(">I", len(content) + 8) + name + content


def clap(width: int, height: int, right: int, down: int) -> bytes:
    """A clean aperture: a size, and twice the offset of its centre."""
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, right, 2, down, 2))


def dolby_vision_record(profile: int, compatibility: int) -> bytes:
    """The content of a ``dvcC`` box."""
    return bytes([1, 0, profile << 1, (6 << 3) | 0b101, compatibility << 4]).ljust(24, b"\0")


def add_to_matroska(path: Path, *, video: bytes = b"", track: bytes = b"") -> Path:
    """Elements into the first video track of a Matroska file that was written for streaming, without an index."""
    data = path.read_bytes()
    path.write_bytes(_rebuilt(data, 0, len(data), video, track))
    return path


def element(code: int, content: bytes) -> bytes:
    """An EBML element with a size of eight bytes."""
    return code.to_bytes((code.bit_length() + 7) // 8, "big") + (len(content) | 1 << 56).to_bytes(8, "big") + content


def number(code: int, value: int) -> bytes:
    """An EBML element that holds a number."""
    return element(code, value.to_bytes(4, "big"))


def _rebuilt(data: bytes, start: int, end: int, video: bytes, track: bytes) -> bytes:
    out = b""
    while start < end:
        wide = 9 - data[start].bit_length()
        code = int.from_bytes(data[start : start + wide], "big")
        long = 9 - data[start + wide].bit_length()
        size = int.from_bytes(data[start + wide : start + wide + long], "big") & ((1 << 7 * long) - 1)
        content = start + wide + long
        if size == (1 << 7 * long) - 1:
            # The segment, to the end of the file.
            return out + data[start:content] + _rebuilt(data, content, end, video, track)
        if code in (_TRACKS, _TRACK, _VIDEO):
            inner = _rebuilt(data, content, content + size, video, track)
            inner += {_VIDEO: video, _TRACK: track}.get(code, b"")
            out += element(code, inner)
        else:
            out += data[start : content + size]
        start = content + size
    return out
