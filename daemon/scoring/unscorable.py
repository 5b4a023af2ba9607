"""Which pictures hold nothing to score."""

from __future__ import annotations

import numpy as np

from daemon.media.scorable import FLAT_CODES, Scorable, size_of
from daemon.model import GrayPicture, Picture
from daemon.scoring.batch_size import scaled_size

MOST_GROWN_PIXELS = 1 << 22
"""A picture that is so thin that it would have more pixels at the metric's least size is not scored."""
_STRIDE = 16


def why_not(picture: Scorable, side: int) -> str | None:
    """The note of a picture that is not scored by a metric that needs ``side`` pixels: ``thin``, ``flat``; or None."""
    size = size_of(picture)
    height, width = scaled_size(*size, side)
    if (height, width) != size and height * width > MOST_GROWN_PIXELS:
        return "thin"
    flat = picture.flat if isinstance(picture, GrayPicture) else is_flat(picture)
    return "flat" if flat else None


def is_flat(picture: Picture) -> bool:
    """Whether ``picture``, ``(height, width, 3)`` uint8 or uint16, is one colour but for coding noise.

    Looks at every 16th row and column first, and at all of it only when those are flat.
    """
    span = FLAT_CODES * (257 if picture.dtype == np.uint16 else 1)
    for part in (picture[::_STRIDE, ::_STRIDE], picture):
        # A channel at a time: over two axes at once numpy takes seven times as long.
        if any(int(part[..., at].max()) - int(part[..., at].min()) > span for at in range(3)):
            return False
    return True
