"""Opens stills, and nothing else: PNG and JPEG of a bounded size, in regular files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image, JpegImagePlugin, PngImagePlugin

from daemon.runtime.reading import open_regular, path_of

MOST_PIXELS = 1 << 28
"""Twice ``decode.max_pixels`` as shipped: a frame with narrow pixels is wider as a still."""
MOST_BYTES = 2 * 1024**3
"""More than a PNG of MOST_PIXELS with 16 bits a sample takes."""

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
    with open_regular(path, MOST_BYTES) as file:
        start = file.read(8)
        for signature, reader in _READERS:
            if start.startswith(signature):
                # The very file that was looked at, whatever has its name by now.
                image = reader(str(path_of(file.fileno())))
                if image.width * image.height > most_pixels:
                    image.close()
                    raise ValueError(f"{path.name} has {image.width}x{image.height} pixels, more than {most_pixels}")
                return image
    raise OSError(f"{path.name} is neither a PNG nor a JPEG")
