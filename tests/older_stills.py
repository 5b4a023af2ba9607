"""Stills as the first versions wrote them."""

from __future__ import annotations

import json
import struct

from PIL import Image

from daemon.export.still_colour import StillColour, chunk


def older_form(plain: bytes, facts: dict[str, str]) -> bytes:
    """A bare image with facts: text chunks of a PNG, JSON in the description of a JPEG."""
    if plain.startswith(b"\xff\xd8"):
        exif = Image.Exif()
        exif[0x0131], exif[0x010E] = "stillwatch", json.dumps(facts)
        body = exif.tobytes()
        segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
        return plain[:2] + segment + StillColour().jpeg_segment() + plain[2:]
    at = plain.index(b"IDAT") - 4
    texts = b"".join(chunk(b"iTXt", f"stillwatch:{k}".encode() + b"\0" * 5 + v.encode()) for k, v in facts.items())
    return plain[:at] + texts + StillColour().png_chunk() + plain[at:]
