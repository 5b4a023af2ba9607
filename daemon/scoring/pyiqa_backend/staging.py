"""A host buffer for pictures on their way to the device, that is used again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from daemon.model import Picture


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
