"""Whether a key packet resets its decoder: what comes behind it refers to nothing before it."""

from __future__ import annotations

import re
from collections.abc import Iterator

LOOKED_AT = 1 << 16
"""Bytes at the beginning of a packet in which its first picture has to begin."""
RESETTING = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vp8", "vp9", "av1", "libdav1d", "ffv1"})
"""Codecs whose key packets are understood, by the names of their decoders; besides those of which every picture
stands alone."""

_START = re.compile(rb"\x00\x00\x01")
_H264_IDR = 5
_H264_PICTURES = range(1, 6)
_HEVC_IDR = (19, 20)
_HEVC_PICTURES = range(32)


def resets(codec: str, extradata: bytes, packet: memoryview | bytes) -> bool:
    """Whether decoding may begin with this key packet as if nothing had been before.

    H.264 and H.265: its first picture is an IDR picture (ITU-T H.264 table 7-1, H.265 table 7-1); a recovery point or
    a CRA picture may be referred past. The key pictures of the other codecs are never referred past by pictures that
    are shown after them.
    """
    if codec == "h264":
        kinds = (unit & 0x1F for unit in _units(extradata[4:5], packet, in_boxes=extradata[:1] == b"\x01"))
        return next((kind for kind in kinds if kind in _H264_PICTURES), 0) == _H264_IDR
    if codec == "hevc":
        kinds = (unit >> 1 & 0x3F for unit in _units(extradata[21:22], packet, in_boxes=extradata[:1] == b"\x01"))
        return next((kind for kind in kinds if kind in _HEVC_PICTURES), -1) in _HEVC_IDR
    return True


def _units(length_size: bytes, packet: memoryview | bytes, *, in_boxes: bool) -> Iterator[int]:
    """The first byte of each unit of a packet: behind start codes, or behind its length as MP4 has it."""
    data = bytes(packet[:LOOKED_AT])
    if not in_boxes or not length_size:
        yield from (data[match.end()] for match in _START.finditer(data) if match.end() < len(data))
        return
    width, at = (length_size[0] & 3) + 1, 0
    while at + width < len(data):
        yield data[at + width]
        at += width + int.from_bytes(data[at : at + width], "big")
