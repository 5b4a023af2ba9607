"""Facts inside the image file, without touching a pixel: PNG text chunks, JPEG EXIF; and what its colours are.

PNG: one ``iTXt`` chunk per fact before the first ``IDAT`` (PNG specification, 11.3.4.5), then the colour's chunk.
JPEG: the facts as JSON in EXIF ``ImageDescription`` (0x010E) in an APP1 segment after the start marker, then the
colour profile in an APP2 segment.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from daemon.export.image_file import open_image
from daemon.export.still_colour import ICC_MARKER, ICC_NAME, PNG_CHUNKS, StillColour, chunk

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PREFIX = "stillwatch:"
SRGB = StillColour()
_SOFTWARE, _DESCRIPTION = 0x0131, 0x010E


def embed(data: bytes, facts: dict[str, str], colour: StillColour = SRGB) -> bytes:
    """The same image with the facts in its metadata. Raises ValueError if it is neither PNG nor JPEG.

    An encoder's own word on the colours of a PNG is left as it is.
    """
    if data.startswith(PNG_SIGNATURE):
        at = _first_image_data(data)
        told = any(kind in PNG_CHUNKS for kind, _, _ in _chunks(data, at))
        texts = b"".join(_itxt(key, value) for key, value in facts.items())
        return data[:at] + texts + (b"" if told else colour.png_chunk()) + data[at:]
    if data.startswith(b"\xff\xd8"):
        return data[:2] + _app1(facts) + colour.jpeg_segment() + data[2:]
    raise ValueError("neither a PNG nor a JPEG file")


def remove(data: bytes) -> bytes:
    """The image as it was before ``embed``. Raises ValueError, struct.error for what ``embed`` did not make."""
    if data.startswith(b"\xff\xd8\xff\xe1"):
        at = _after_segment(data, 2)
        if data.startswith(ICC_MARKER, at) and data.startswith(ICC_NAME, at + 4):
            at = _after_segment(data, at)
        return data[:2] + data[at:]
    first = _first_image_data(data)
    kept = [data[: len(PNG_SIGNATURE)]]
    behind_facts = False
    for kind, start, end in _chunks(data, first):
        fact = kind == b"iTXt" and data.startswith(PREFIX.encode(), start + 8)
        behind_facts |= fact
        if not fact and not (behind_facts and kind in PNG_CHUNKS):
            kept.append(data[start:end])
    return b"".join([*kept, data[first:]])


def read(path: Path) -> dict[str, str]:
    """The facts that ``embed`` put in; empty where there are none. The image has to decode to its end."""
    with open_image(path) as image:
        image.load()
        if image.format == "PNG":
            texts = getattr(image, "text", {})
            return {k.removeprefix(PREFIX): str(v) for k, v in texts.items() if k.startswith(PREFIX)}
        description = image.getexif().get(_DESCRIPTION, "")
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


def _itxt(key: str, value: str) -> bytes:
    # Keyword, null, no compression, method 0, no language, no translated keyword, UTF-8 text.
    body = f"{PREFIX}{key}".encode("latin-1") + b"\0\0\0\0\0" + value.encode("utf-8", "backslashreplace")
    return chunk(b"iTXt", body)


def _app1(facts: dict[str, str]) -> bytes:
    exif = Image.Exif()
    exif[_SOFTWARE] = "stillwatch"
    exif[_DESCRIPTION] = json.dumps(facts, ensure_ascii=True, sort_keys=True)
    body = exif.tobytes()
    if not body.startswith(b"Exif\0\0"):
        body = b"Exif\0\0" + body
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
