"""Of which frames there is a small picture in a film's strip.

As nobody knows how long a film is before its end, every frame has its picture at first; whenever there are
``MOST_PICTURES``, every other one goes, and from then on half as many are made.
"""

from __future__ import annotations

MOST_PICTURES = 2000


def strip_step(frame: int) -> int:
    """When this frame is scored, every how many frames have a picture.

    >>> [strip_step(frame) for frame in (0, 1999, 2000, 3999, 4000, 200_000)]
    [1, 1, 2, 2, 4, 128]
    """
    return 1 << max(0, (frame // MOST_PICTURES).bit_length())


def in_strip(frame: int) -> bool:
    """Whether a frame has a picture in the strip when it is scored."""
    return frame % strip_step(frame) == 0
