"""Opens stills, and nothing else: PNG and JPEG of a bounded size, in regular files."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from PIL import Image, JpegImagePlugin, PngImagePlugin

MOST_PIXELS = 1 << 28
"""Twice ``decode.max_pixels`` as shipped: a frame with narrow pixels is wider as a still."""

_READERS: tuple[tuple[bytes, Callable[[str], Image.Image]], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
)


def open_image(path: Path, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """The image, its samples not yet decoded; to be closed.

    ``Image.open`` would try every format that Pillow knows, and its own bound on the size is one for the whole
    process. Raises OSError for anything but a PNG or JPEG in a regular file, SyntaxError for a broken one,
    ValueError when it has more than ``most_pixels``.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path.name} is not a file")
    with path.open("rb") as file:
        start = file.read(8)
    for signature, reader in _READERS:
        if start.startswith(signature):
            image = reader(str(path))
            if image.width * image.height > most_pixels:
                image.close()
                raise ValueError(f"{path.name} has {image.width}x{image.height} pixels, more than {most_pixels}")
            return image
    raise OSError(f"{path.name} is neither a PNG nor a JPEG")
