"""Facts inside the image file, without touching a pixel; what people's tools read of it; and what its colours are.

PNG: before the first ``IDAT`` an ``iTXt`` chunk with an XMP packet (PNG specification, 11.3.4.5; XMP part 3), an
``eXIf`` chunk, then the colour's chunk. JPEG: after the start marker EXIF and XMP, an APP1 segment each, then the
colour profile in an APP2 segment. The facts are in the packet, in a namespace of our own.

Stills of earlier versions have them as ``iTXt`` chunks ``stillwatch:<name>``, or as JSON in EXIF ``ImageDescription``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daemon.export import xmp
from daemon.export.image_file import MOST_BYTES, open_image
from daemon.export.still_colour import ICC_MARKER, ICC_NAME, PNG_CHUNKS, StillColour, chunk
from daemon.export.tags import Tags, exif
from daemon.runtime.reading import open_regular

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PREFIX = "stillwatch:"
SRGB = StillColour()
NOTHING = Tags()
_DESCRIPTION = 0x010E
_PNG_XMP = b"XML:com.adobe.xmp\0"
_PNG_PLAIN_XMP = _PNG_XMP + b"\0\0\0\0"
"""Without compression, language and translated keyword."""
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_HEAD_BYTES = 1 << 18
"""The facts are in the first bytes of a file."""


def embed(data: bytes, facts: dict[str, str], colour: StillColour = SRGB, tags: Tags = NOTHING) -> bytes:
    """The same image with the facts in its metadata. Raises ValueError if it is neither PNG nor JPEG.

    An encoder's own word on the colours of a PNG, and EXIF that it wrote, are left as they are.
    """
    if data.startswith(PNG_SIGNATURE):
        return _png_with(data, facts, tags, colour.png_chunk())
    if data.startswith(b"\xff\xd8"):
        return b"".join([data[:2], _jpeg_head(facts, tags), colour.jpeg_segment(), data[2:]])
    raise ValueError("neither a PNG nor a JPEG file")


def remove(data: bytes) -> bytes:
    """The image as it was before ``embed``. Raises ValueError, struct.error for what ``embed`` did not make."""
    if data.startswith(b"\xff\xd8\xff\xe1"):
        at = _after_jpeg_head(data)
        if data.startswith(ICC_MARKER, at) and data.startswith(ICC_NAME, at + 4):
            at = _after_segment(data, at)
        return data[:2] + data[at:]
    first = _first_image_data(data)
    kept = [data[: len(PNG_SIGNATURE)]]
    behind_facts = False
    for kind, start, end in _chunks(data, first):
        fact = kind == b"iTXt" and (
            data.startswith(PREFIX.encode(), start + 8)
            or (data.startswith(_PNG_XMP, start + 8) and xmp.NAMESPACE.encode() in data[start:end])
        )
        behind_facts |= fact
        if not fact and not (behind_facts and kind in (*PNG_CHUNKS, b"eXIf")):
            kept.append(data[start:end])
    return b"".join([*kept, data[first:]])


def replace(data: bytes, facts: dict[str, str], tags: Tags = NOTHING) -> bytes:
    """A still with other facts and tags, its picture and colour as they are. Raises as ``remove`` does."""
    if data.startswith(b"\xff\xd8\xff\xe1"):
        return b"".join([data[:2], _jpeg_head(facts, tags), data[_after_jpeg_head(data) :]])
    first = _first_image_data(data)
    colours = [data[start:end] for kind, start, end in _chunks(data, first) if kind in PNG_CHUNKS]
    return _png_with(remove(data), facts, tags, b"".join(colours))


def read(path: Path) -> dict[str, str]:
    """The facts that ``embed`` put in; empty where there are none. The image has to decode to its end."""
    with open_image(path) as image:
        image.load()
        if image.format == "PNG":
            texts = getattr(image, "text", {})
            older = {k.removeprefix(PREFIX): str(v) for k, v in texts.items() if k.startswith(PREFIX)}
        else:
            older = _facts_in(image.getexif().get(_DESCRIPTION, ""))
    return read_head(path) or older


def read_head(path: Path) -> dict[str, str]:
    """The facts in a file's XMP packet, of which only the beginning is read; empty without one.

    Raises OSError, also for what is no regular file.
    """
    with open_regular(path, MOST_BYTES) as file:
        data = file.read(_HEAD_BYTES)
    return xmp.read_facts(_packet(data))


def _png_with(data: bytes, facts: dict[str, str], tags: Tags, colours: bytes) -> bytes:
    """A PNG with the chunks of a still before its samples; the encoder's own EXIF and colours take precedence."""
    at = _first_image_data(data)
    there = {kind for kind, _, _ in _chunks(data, at)}
    added = [chunk(b"iTXt", _PNG_PLAIN_XMP + xmp.packet(facts, tags))]
    if b"eXIf" not in there:
        added.append(chunk(b"eXIf", exif(tags)))
    if there.isdisjoint(PNG_CHUNKS):
        added.append(colours)
    return b"".join([data[:at], *added, data[at:]])


def _jpeg_head(facts: dict[str, str], tags: Tags) -> bytes:
    return _app1(_EXIF + exif(tags)) + _app1(_XMP + xmp.packet(facts, tags))


def _after_jpeg_head(data: bytes) -> int:
    """The end of our EXIF and XMP; earlier versions wrote EXIF alone. Raises struct.error."""
    at = _after_segment(data, 2)
    return _after_segment(data, at) if data.startswith(b"\xff\xe1", at) and data.startswith(_XMP, at + 4) else at


def _packet(data: bytes) -> bytes:
    """The XMP packet of a file that begins with ``data``; empty where there is none."""
    try:
        if data.startswith(PNG_SIGNATURE):
            for kind, start, end in _chunks(data, len(data)):
                if kind == b"IDAT":
                    break
                if kind == b"iTXt" and data.startswith(_PNG_PLAIN_XMP, start + 8):
                    return data[start + 8 + len(_PNG_PLAIN_XMP) : end - 4]
        at = 2
        while data.startswith(b"\xff\xd8") and data[at : at + 1] == b"\xff" and data[at + 1] != 0xDA:
            end = _after_segment(data, at)
            if data.startswith(b"\xff\xe1", at) and data.startswith(_XMP, at + 4):
                return data[at + 4 + len(_XMP) : end]
            at = end
    except (struct.error, IndexError):
        pass  # a file that ends here has no packet
    return b""


def _facts_in(description: Any) -> dict[str, str]:
    try:
        facts = json.loads(description)
    except (ValueError, TypeError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in facts.items()} if isinstance(facts, dict) else {}


def _first_image_data(data: bytes) -> int:
    """Where the first IDAT chunk begins; chunk by chunk, since a text may spell the name as well."""
    for kind, start, _ in _chunks(data, len(data)):
        if kind == b"IDAT":
            return start
    raise ValueError("a PNG without image data")


def _chunks(data: bytes, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the chunks of a PNG that begin before ``stop``."""
    at = len(PNG_SIGNATURE)
    while at + 8 <= stop:
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], at, at + length + 12
        at += length + 12


def _after_segment(data: bytes, at: int) -> int:
    (length,) = struct.unpack_from(">H", data, at + 2)
    return at + 2 + int(length)


def _app1(body: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
