"""The header with which a coded picture says its size, shape and colours, where a stream repeats it."""

from __future__ import annotations

import re

LOOKED_AT = 4096
"""Bytes at the beginning of a packet; headers come first."""

_START = re.compile(rb"\x00\x00\x01")


def sequence_header(codec: str, packet: memoryview | bytes) -> bytes | None:
    """The bytes of the header in a packet; None where there is none, or the codec has none that changes a shape.

    H.264 and H.265 (Annex B): the sequence parameter set. MPEG-1 and -2: the sequence header, without its bit rate.
    MPEG-4: the video object layer.
    """
    wanted = _UNITS.get(codec)
    if wanted is None:
        return None
    data = bytes(packet[:LOOKED_AT])
    starts = [match.end() for match in _START.finditer(data)]
    ends = [*(start - 3 for start in starts[1:]), len(data)]
    for at, after in zip(starts, ends, strict=False):
        if at < len(data) and wanted(data[at]):
            return data[at : at + 5] if codec.startswith("mpeg") and codec != "mpeg4" else data[at:after]
    return None


_UNITS = {
    "h264": lambda byte: byte & 0x1F == 7,
    "hevc": lambda byte: byte >> 1 & 0x3F == 33,
    "mpeg1video": lambda byte: byte == 0xB3,
    "mpeg2video": lambda byte: byte == 0xB3,
    "mpeg4": lambda byte: 0x20 <= byte <= 0x2F,
}
