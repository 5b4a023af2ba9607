"""The way of a batch to the device and of its numbers back.

On a CUDA device a batch is copied while the one before it is computed: two page-locked buffers in turn, a
stream of their own for the copies, and events that make one stream wait for the other. The host waits for
nothing but the numbers of a batch, when it asks for them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from daemon.model import Picture

# Streams and events carry no types of their own.
_cuda: Any = torch.cuda

BUFFERS = 2

PendingNumbers = Callable[[], tuple[list[float], float]]
"""Gives the numbers of a batch and the seconds that it took; waits for the device when it must."""


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


class Transfer(Protocol):
    """To be used from one thread, ``download`` after each ``upload`` whose batch could be computed."""

    def upload(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """``pictures``, all of one shape and depth, as ``(n, height, width, 3)`` on the device."""

    def download(self, results: torch.Tensor) -> PendingNumbers:
        """Send the results of the last upload, ``(n,)`` on the device, to the host."""

    def free(self) -> None:
        """Give the buffers back."""


class HostTransfer:
    """For the CPU: one buffer, and the numbers are there at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._staging = Staging(pinned=False)
        self._started = 0.0

    def upload(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """The pictures in one tensor."""
        self._started = self._clock()
        return self._staging.fill(pictures)

    def download(self, results: torch.Tensor) -> PendingNumbers:
        """The numbers, and the time since the upload."""
        numbers = results.float().tolist(), self._clock() - self._started
        return lambda: numbers

    def free(self) -> None:
        """Give the buffer back."""
        self._staging.free()


@dataclass(slots=True)
class _Slot:
    """A page-locked buffer, and the event after which it may be filled again."""

    staging: Staging
    released: Any = None


class CudaTransfer:
    """For a CUDA device. No more than ``BUFFERS`` batches are under way at once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copies: Any = _cuda.Stream(device)
        self._slots = [_Slot(Staging(pinned=True)) for _ in range(BUFFERS)]
        self._turns: Iterator[_Slot] = itertools.cycle(self._slots)
        self._slot = self._slots[0]
        self._started: Any = None

    def upload(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """Start the copy; what is computed from now on waits for it, the host does not."""
        self._slot = slot = next(self._turns)
        if slot.released is not None:
            slot.released.synchronize()
        host = slot.staging.fill(pictures)
        compute = _cuda.current_stream(self._device)
        self._started = _event(timing=True)
        self._started.record(compute)
        with _cuda.stream(self._copies):
            frames = host.to(self._device, non_blocking=True)
        slot.released = _event()
        slot.released.record(self._copies)
        compute.wait_event(slot.released)
        # Its memory belongs to the stream of the copies, which must not use it again before it is computed.
        frames.record_stream(compute)
        return frames

    def download(self, results: torch.Tensor) -> PendingNumbers:
        """Queue the copy of the numbers behind what computes them."""
        numbers = torch.empty(results.shape, dtype=torch.float32, pin_memory=True)
        numbers.copy_(results, non_blocking=True)
        started, done = self._started, _event(timing=True)
        done.record(_cuda.current_stream(self._device))
        self._slot.released = done

        def arrive() -> tuple[list[float], float]:
            done.synchronize()
            return numbers.tolist(), started.elapsed_time(done) / 1000.0

        return arrive

    def free(self) -> None:
        """Give the buffers back."""
        for slot in self._slots:
            slot.staging.free()


def _event(*, timing: bool = False) -> Any:
    """An event; a thread that waits for it sleeps instead of spinning."""
    return _cuda.Event(enable_timing=timing, blocking=True)
