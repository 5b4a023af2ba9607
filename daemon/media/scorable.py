"""What is scored of a frame: its picture, or its gray where that is enough."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from daemon.model import Frame, GrayPicture, Picture

Scorable: TypeAlias = "Picture | GrayPicture"
"""What a scorer may be given; gray only where it says that it takes it."""
FLAT_CODES = 3
"""A picture is flat when no channel spans more than this many codes of 8 bits."""
_STRIDE = 16


def scorable(frame: Frame) -> Scorable | None:
    """What is scored of a frame; None where its stored score is to be kept."""
    return frame.picture if frame.picture is not None else frame.gray


def size_of(picture: Scorable) -> tuple[int, int]:
    """Height and width in pixels."""
    height, width = (picture.gray if isinstance(picture, GrayPicture) else picture).shape[:2]
    return height, width


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
