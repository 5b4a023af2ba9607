"""Which pictures hold nothing to score."""

from __future__ import annotations

from daemon.media.scorable import Scorable, is_flat, size_of
from daemon.model import GrayPicture
from daemon.scoring.batch_size import scaled_size

MOST_GROWN_PIXELS = 1 << 22
"""A picture that is so thin that it would have more pixels at the metric's least size is not scored."""


def why_not(picture: Scorable, side: int) -> str | None:
    """The note of a picture that is not scored by a metric that needs ``side`` pixels: ``thin``, ``flat``; or None."""
    size = size_of(picture)
    height, width = scaled_size(*size, side)
    if (height, width) != size and height * width > MOST_GROWN_PIXELS:
        return "thin"
    flat = picture.flat if isinstance(picture, GrayPicture) else is_flat(picture)
    return "flat" if flat else None
