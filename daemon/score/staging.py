"""Pictures before they go to the device: the check for flat ones, and a buffer that is used again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from daemon.model import Picture

FLAT_CODES = 3
"""A picture is flat when no channel spans more than so many codes of 8 bits."""
_STRIDE = 16


def is_flat(picture: Picture) -> bool:
    """Whether ``picture``, ``(height, width, 3)`` uint8 or uint16, is one colour but for coding noise.

    Looks at every 16th row and column first, and at all of it only when those are flat.
    """
    span = FLAT_CODES * (257 if picture.dtype == np.uint16 else 1)
    for part in (picture[::_STRIDE, ::_STRIDE], picture):
        darkest, brightest = part.min(axis=(0, 1)).astype(np.int64), part.max(axis=(0, 1)).astype(np.int64)
        if bool((brightest - darkest > span).any()):
            return False
    return True


class Staging:
    """A host buffer that grows to the largest batch and is reused; page-locked for a CUDA device.

    It may be filled again once its batch has been copied to the device.
    """

    def __init__(self, *, pinned: bool) -> None:
        self._pinned = pinned
        self._buffer = torch.empty(0, dtype=torch.uint8)

    def fill(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """Copies of ``pictures``, all of one shape and depth, as ``(n, height, width, 3)`` of their own dtype."""
        first = pictures[0]
        needed = first.nbytes * len(pictures)
        if self._buffer.numel() < needed:
            self.free()
            self._buffer = torch.empty(needed, dtype=torch.uint8, pin_memory=self._pinned)
        dtype = torch.uint16 if first.dtype == np.uint16 else torch.uint8
        frames = self._buffer[:needed].view(dtype).view(len(pictures), *first.shape)
        for target, picture in zip(frames.numpy(), pictures, strict=True):
            np.copyto(target, picture)
        return frames

    def free(self) -> None:
        """Give the memory back."""
        self._buffer = torch.empty(0, dtype=torch.uint8)
