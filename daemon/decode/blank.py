"""Blocks of a file that were never written, or overwritten, inside of packets: many a decoder makes a picture of them.

Downloads that are filled in place, copies of failing disks and cut transfers leave zeros where something was. FFmpeg's
decoders of HEVC, VP8, VP9, AV1 and JPEG read them as they read anything, and so, now and then, does that of H.264.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

SECTOR_BYTES, BLANK_BYTES = 512, 4096
"""So many equal bytes are no part of a picture: of codecs in which zeros are coded as anything else, and of others."""

_NAL_UNITS = ("h264", "hevc", "vvc")
"""No three zeros follow each other inside of their units (H.264, 7.4.1), but behind one, up to the next."""
_CODED_BITS = ("vp8", "vp9", "av1")
"""Zeros alone are zeros to their arithmetic decoders: no picture is so many without a single one. Flat ones of 3840
by 2160 pixels, dark, light or lossless, have 15 in a row at most."""
_OBU_TYPE, _OBU_PADDING, _OBU_EXTENSION, _OBU_HAS_SIZE = 0x78, 15 << 3, 4, 2
"""What is in the first byte of an AV1 unit; one fills up to any length (AV1 Bitstream Specification, 5.3, 5.8)."""
_EITHER = ("gif", "dvvideo", "mjpeg")
"""Here 0xFF is no more likely than zeros."""
_INSIDE = rb"\0{%d,}(?=[^\0\1])" % SECTOR_BYTES
_BETWEEN_STARTS = re.compile(_INSIDE)
_BY_LENGTHS = re.compile(_INSIDE + rb"|\0{%d,}" % BLANK_BYTES)
"""Units found by their beginnings may be filled up with zeros to any length; where their lengths are told, hardly."""
_ZEROS = re.compile(rb"\0{%d,}(?=[^\0])|\0{%d,}" % (SECTOR_BYTES, BLANK_BYTES))
"""A frame may be filled up with zeros at its end, where they are read in any case."""
_EQUAL = re.compile(rb"\0{%d,}|\xff{%d,}" % (BLANK_BYTES, BLANK_BYTES))
_DHT, _SOS, _END_OF_BLOCK = 0xC4, 0xDA, 0


class BlankBytes:
    """Looks into the packets of one stream."""

    def __init__(self, stream: VideoStream) -> None:
        codec = stream.codec_context.codec.canonical_name
        self._of_jpeg, self._of_av1 = codec == "mjpeg", codec == "av1"
        self._pattern: re.Pattern[bytes] | None = None
        if codec in _NAL_UNITS:
            by_lengths = (stream.codec_context.extradata or b"").startswith(b"\1")
            self._pattern = _BY_LENGTHS if by_lengths else _BETWEEN_STARTS
        elif codec in _CODED_BITS:
            self._pattern = _ZEROS
        elif codec in _EITHER:
            self._pattern = _EQUAL
        either = codec in _EITHER
        self._plain = (bytes(BLANK_BYTES), b"\xff" * BLANK_BYTES) if either else (bytes(SECTOR_BYTES),)

    def of(self, packet: Packet[Any]) -> int:
        """How many bytes of the packet nobody can have written as part of a picture: those of the first such place."""
        if self._pattern is None:
            return 0
        data = bytes(packet)
        # To look for a plain string is many times as quick as the pattern.
        if all(plain not in data for plain in self._plain):
            return 0
        for found in self._pattern.finditer(data):
            if self._of_jpeg and found[0][0] == 0 and _flat_is_zeros(data):
                return 0
            if not (self._of_av1 and _is_filling(data, found.start(), found.end())):
                return len(found[0])
        return 0


def _is_filling(packet: bytes, first: int, after: int) -> bool:
    """Whether zeros in an AV1 packet lie in a unit that only fills it up, or fill up the end of one."""
    at = 0
    while at < len(packet):
        header = packet[at]
        at += 2 if header & _OBU_EXTENSION else 1
        size, end = 0, len(packet)
        if header & _OBU_HAS_SIZE:
            for shift, byte in enumerate(packet[at : at + 8]):
                size |= (byte & 0x7F) << 7 * shift
                at += 1
                if byte < 0x80:
                    break
            end = at + size
        if first < end:
            return header & _OBU_TYPE == _OBU_PADDING or (after >= end and end - first < BLANK_BYTES)
        at = end
    return False


def _flat_is_zeros(jpeg: bytes) -> bool:
    """Whether zeros may be a flat part: the shortest code of its tables is "nothing more in this block"."""
    return any(body[0] >> 4 and body[17:18] == bytes((_END_OF_BLOCK,)) for body in _huffman_tables(jpeg))


def _huffman_tables(jpeg: bytes) -> Iterator[bytes]:
    """The tables before the first scan, each from its class on (ITU-T T.81, B.2.4.2)."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != _SOS:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        body = jpeg[at + 4 : end] if jpeg[at + 1] == _DHT else b""
        while len(body) > 17:
            yield body
            body = body[17 + sum(body[1:17]) :]
        at = end
