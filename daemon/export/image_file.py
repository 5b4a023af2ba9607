"""Opens stills, and nothing else: PNG and JPEG of a bounded size, in regular files."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, JpegImagePlugin, PngImagePlugin

from daemon.runtime.reading import open_regular, path_of

MOST_PIXELS = 1 << 28
"""Twice ``decode.max_pixels`` as shipped: a frame with narrow pixels is wider as a still."""
MOST_BYTES = 2 * 1024**3
"""More than a PNG of MOST_PIXELS with 16 bits a sample takes."""

MOST_SCANS = 64
"""Passes over a JPEG: each may cost the time of all of it and a few bytes. Progressive files have ten."""
MOST_PARTS = 100
"""Chunks or segments besides those of samples. Stills have ten; Pillow keeps them all, and copies EXIF for each."""
_SAMPLES_BYTES = 512
"""Of a chunk of samples; encoders write thousands, but none so short but the last."""
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_SCAN = b"\xff\xda"
_CHUNK_BYTES = 1024 * 1024

_READERS: tuple[tuple[bytes, Callable[[Any], Image.Image]], ...] = (
    (_PNG, PngImagePlugin.PngImageFile),
    (_JPEG, JpegImagePlugin.JpegImageFile),
)


def open_image(path: Path, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """The image, its samples not yet decoded; to be closed.

    ``Image.open`` would try every format that Pillow knows, and its own bound on the size is one for the whole
    process. Raises OSError for anything but a PNG or JPEG in a regular file, SyntaxError for a broken one,
    ValueError when it has more than ``most_pixels``, scans than MOST_SCANS or parts than MOST_PARTS.
    """
    with open_regular(path, MOST_BYTES) as file:
        # The very file that is looked at, whatever has its name by now.
        return _opened(file, str(path_of(file.fileno())), path.name, most_pixels)


def image_in(content: bytes, name: str) -> Image.Image:
    """The same of what is in a file. Raises as ``open_image`` does."""
    return _opened(io.BytesIO(content), io.BytesIO(content), name, MOST_PIXELS)


def _opened(file: BinaryIO, source: str | io.BytesIO, name: str, most_pixels: int) -> Image.Image:
    start = file.read(8)
    if start.startswith(_JPEG):
        _refuse_many_segments(file, name)
        _refuse_many_scans(file, name)
    elif start.startswith(_PNG):
        _refuse_many_chunks(file, name)
    for signature, reader in _READERS:
        if start.startswith(signature):
            image = reader(source)
            if image.width * image.height > most_pixels:
                image.close()
                raise ValueError(f"{name} has {image.width}x{image.height} pixels, more than {most_pixels}")
            return image
    raise OSError(f"{name} is neither a PNG nor a JPEG")


def _refuse_many_chunks(file: BinaryIO, name: str) -> None:
    parts = 0
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        parts += kind != b"IDAT" or length < _SAMPLES_BYTES
        _refuse_many_parts(parts, name)
        file.seek(length + 4, os.SEEK_CUR)


def _refuse_many_segments(file: BinaryIO, name: str) -> None:
    """Those before the first scan (ITU-T T.81, B.1.1.4)."""
    parts = 0
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == _JPEG[0] and head[:2] != _SCAN:
        parts += 1
        _refuse_many_parts(parts, name)
        file.seek(max(int.from_bytes(head[2:], "big") - 2, 0), os.SEEK_CUR)


def _refuse_many_parts(parts: int, name: str) -> None:
    if parts > MOST_PARTS:
        raise ValueError(f"{name} has more than {MOST_PARTS} parts besides its samples")


def _refuse_many_scans(file: BinaryIO, name: str) -> None:
    """Samples never have this marker in them (ITU-T T.81, B.1.1.5), so it need not be known where it stands."""
    scans, last = 0, b""
    file.seek(0)
    while chunk := file.read(_CHUNK_BYTES):
        scans += (last + chunk).count(_SCAN)
        if scans > MOST_SCANS:
            raise ValueError(f"{name} has more than {MOST_SCANS} scans")
        last = chunk[-1:]
