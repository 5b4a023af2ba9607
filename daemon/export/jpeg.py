"""Pictures for looking at: JPEG, never what is published."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from daemon.export.image_file import open_image
from daemon.model import Picture


def jpeg(picture: Picture, *, quality: int = 80, longest: int | None = None) -> bytes:
    """A picture as JPEG, reduced so that no side is longer than ``longest`` pixels.

    From 90 on, colour has the full resolution.
    """
    codes = (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture
    image = Image.fromarray(codes)
    if longest is not None:
        image.thumbnail((longest, longest), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return _written(image, quality)


def enlarged(picture: Picture, width: int, height: int) -> bytes:
    """A very small picture as a JPEG of another size, smoothed."""
    return _written(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC), 80)


def reduced(path: Path, longest: int, most_pixels: int) -> bytes:
    """A still as a JPEG that is no longer than ``longest`` on any side.

    Raises OSError, SyntaxError, ValueError for what is no PNG or JPEG, or has more than
    ``most_pixels``.
    """
    with open_image(path, most_pixels) as image:
        small = image.convert("RGB")
    small.thumbnail((longest, longest), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return _written(small, 82)


def _written(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=0 if quality >= 90 else 2)
    return file.getvalue()
