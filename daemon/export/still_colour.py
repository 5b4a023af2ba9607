"""How a still says what its colours are: chunks of a PNG, a profile in a JPEG.

Stills are sRGB (IEC 61966-2-1), as every program shows pictures that say nothing. HDR samples that are kept say by
their code points (ITU-T H.273) what they are.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import cache

from daemon.export.image_format import ImageFormat
from daemon.media import tonemap
from daemon.model import VideoInfo

PNG_CHUNKS = (b"sRGB", b"cICP")
ICC_MARKER, ICC_NAME = b"\xff\xe2", b"ICC_PROFILE\0"

_TRANSFERS = {tonemap.PQ: 16, tonemap.HLG: 18}
_PRIMARIES = {"bt709": 1, "smpte431": 11, "smpte432": 12}
_BT2020 = 9
_RGB_MATRIX, _FULL_RANGE = 0, 1
_RELATIVE = 1
"""The sRGB chunk's rendering intent: relative colorimetric."""


@dataclass(frozen=True, slots=True)
class StillColour:
    """Code points of primaries and transfer where a still is not sRGB."""

    code_points: tuple[int, int] | None = None

    def png_chunk(self) -> bytes:
        """A whole chunk: cICP or sRGB (PNG specification, third edition, 11.3.2)."""
        if self.code_points is None:
            return chunk(b"sRGB", bytes([_RELATIVE]))
        return chunk(b"cICP", bytes([*self.code_points, _RGB_MATRIX, _FULL_RANGE]))

    def jpeg_segment(self) -> bytes:
        """A whole APP2 segment with the sRGB profile in one piece (ICC.1:2010, B.4)."""
        body = ICC_NAME + b"\1\1" + srgb_profile()
        return ICC_MARKER + struct.pack(">H", len(body) + 2) + body


def still_colour(info: VideoInfo, image: ImageFormat) -> StillColour:
    """What a still of this film in this format holds."""
    if not (image.keep_hdr and tonemap.is_hdr(info.colour)):
        return StillColour()
    return StillColour((_PRIMARIES.get(info.colour.primaries, _BT2020), _TRANSFERS[info.colour.transfer]))


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk: length, kind, body, checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@cache
def srgb_profile() -> bytes:
    """A display profile of sRGB (ICC.1:2010): primaries adapted to D50, and the curve as a formula."""
    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = [
        ("desc", _text("sRGB")),
        ("cprt", _text("No copyright, use freely")),
        ("wtpt", b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249)),
        ("rXYZ", b"XYZ \0\0\0\0" + _fixed(0.43607, 0.22249, 0.01392)),
        ("gXYZ", b"XYZ \0\0\0\0" + _fixed(0.38515, 0.71687, 0.09708)),
        ("bXYZ", b"XYZ \0\0\0\0" + _fixed(0.14307, 0.06061, 0.71410)),
        ("rTRC", curve),
    ]
    at = 128 + 4 + 12 * (len(tags) + 2)
    table, bodies = b"", b""
    for name, body in tags:
        entry = struct.pack(">II", at + len(bodies), len(body))
        # The three curves are one.
        for key in ("rTRC", "gTRC", "bTRC") if name == "rTRC" else (name,):
            table += key.encode() + entry
        bodies += body + b"\0" * (-len(body) % 4)
    size = at + len(bodies)
    head = struct.pack(">I4xI4s4s4s6H4s", size, 0x04200000, b"mntr", b"RGB ", b"XYZ ", 2000, 1, 1, 0, 0, 0, b"acsp")
    head = (head + b"\0" * 28 + _fixed(0.9642, 1.0, 0.8249)).ljust(128, b"\0")
    return head + struct.pack(">I", len(tags) + 2) + table + bodies


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded
