"""What is scored of a frame: its picture, or its gray where that is enough."""

from __future__ import annotations

from typing import TypeAlias

from daemon.model import Frame, GrayPicture, Picture

Scorable: TypeAlias = "Picture | GrayPicture"
"""What a scorer may be given; gray only where it says that it takes it."""
FLAT_CODES = 3
"""A picture is flat when no channel spans more than this many codes of 8 bits."""


def scorable(frame: Frame) -> Scorable | None:
    """What is scored of a frame; None where its stored score is to be kept."""
    return frame.picture if frame.picture is not None else frame.gray


def size_of(picture: Scorable) -> tuple[int, int]:
    """Height and width in pixels."""
    height, width = (picture.gray if isinstance(picture, GrayPicture) else picture).shape[:2]
    return height, width
