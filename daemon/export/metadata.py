"""Facts inside the image file, without touching a pixel: PNG text chunks, JPEG EXIF.

PNG: one ``iTXt`` chunk per fact before the first ``IDAT`` (PNG specification, 11.3.4.5). JPEG: the facts as
JSON in EXIF ``ImageDescription`` (0x010E) in an APP1 segment after the start marker.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

from PIL import Image

from daemon.export.image_file import open_image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PREFIX = "stillwatch:"
_SOFTWARE, _DESCRIPTION = 0x0131, 0x010E


def embed(data: bytes, facts: dict[str, str]) -> bytes:
    """The same image with the facts in its metadata. Raises ValueError if it is neither PNG nor JPEG."""
    if data.startswith(PNG_SIGNATURE):
        at = _first_image_data(data)
        return data[:at] + b"".join(_itxt(key, value) for key, value in facts.items()) + data[at:]
    if data.startswith(b"\xff\xd8"):
        return data[:2] + _app1(facts) + data[2:]
    raise ValueError("neither a PNG nor a JPEG file")


def remove(data: bytes) -> bytes:
    """The image as it was before ``embed``. Raises ValueError, struct.error for what ``embed`` did not make."""
    if data.startswith(b"\xff\xd8\xff\xe1"):
        (length,) = struct.unpack_from(">H", data, 4)
        return data[:2] + data[4 + length :]
    start = at = len(PNG_SIGNATURE)
    first = _first_image_data(data)
    kept = [data[:start]]
    while at < first:
        (length,) = struct.unpack_from(">I", data, at)
        end = at + length + 12
        if data[at + 4 : at + 8] != b"iTXt" or not data.startswith(PREFIX.encode(), at + 8):
            kept.append(data[at:end])
        at = end
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
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in facts.items()} if isinstance(facts, dict) else {}


def _first_image_data(data: bytes) -> int:
    """Where the first IDAT chunk begins; chunk by chunk, since a text may spell the name as well."""
    at = len(PNG_SIGNATURE)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            return at
        at += length + 12
    raise ValueError("a PNG without image data")


def _itxt(key: str, value: str) -> bytes:
    # Keyword, null, no compression, method 0, no language, no translated keyword, UTF-8 text.
    body = f"{PREFIX}{key}".encode("latin-1") + b"\0\0\0\0\0" + value.encode("utf-8", "backslashreplace")
    checksum = zlib.crc32(b"iTXt" + body)
    return struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", checksum)


def _app1(facts: dict[str, str]) -> bytes:
    exif = Image.Exif()
    exif[_SOFTWARE] = "stillwatch"
    exif[_DESCRIPTION] = json.dumps(facts, ensure_ascii=True, sort_keys=True)
    body = exif.tobytes()
    if not body.startswith(b"Exif\0\0"):
        body = b"Exif\0\0" + body
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
