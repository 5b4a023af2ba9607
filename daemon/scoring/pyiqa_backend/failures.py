"""What an exception of the metric means: too little memory, a lost device, or just this picture."""

from __future__ import annotations

import torch

_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
_DEVICE = (
    "CUDA error",
    "CUDA driver error",
    "cuDNN error",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "cusolver error",
    "device-side assert",
)
_LONGEST = 120


def out_of_memory(error: BaseException) -> bool:
    """Fewer pictures at once may work."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _MEMORY)


def device_lost(error: BaseException) -> bool:
    """The device has failed for another reason than memory; everything after it would fail too."""
    if out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    return any(text in str(error) for text in _DEVICE)


def short(error: BaseException) -> str:
    """The first line of the message, or the name of the class, at most 120 characters."""
    lines = str(error).strip().splitlines()
    text = " ".join(lines[0].split()) if lines else type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
