"""Where a metric runs, how much memory is free there, and how the processor is shared."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import torch

from daemon.errors import Kind, ScorerError

HALF_CAPABILITY = (7, 0)
"""CUDA devices from here on multiply float16 in units of their own; older ones gain nothing."""
# avx512_bf16 and amx_bf16 on x86, bf16 on ARM. Elsewhere bfloat16 works, but slower than float32.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def find_device(setting: str) -> torch.device:
    """The device for ``score.device``. Raises ScorerError when it is not there."""
    count = torch.cuda.device_count() if setting != "cpu" and torch.cuda.is_available() else 0
    if setting == "cpu" or (setting == "auto" and count == 0):
        return torch.device("cpu")
    index = int(setting.partition(":")[2] or 0)
    if index >= count:
        have = f"torch sees {count} CUDA devices" if count else "torch sees no CUDA device"
        raise ScorerError(Kind.DEVICE, f"score.device is {setting}, but {have}: set it to auto or cpu")
    return torch.device("cuda", index)


def fast_dtype(device: torch.device, cpuinfo: Path = Path("/proc/cpuinfo")) -> torch.dtype | None:
    """The number format of half the width that ``device`` computes faster with than float32, if any."""
    if device.type == "cuda":
        return torch.float16 if torch.cuda.get_device_capability(device) >= HALF_CAPABILITY else None
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return None
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return torch.bfloat16 if _BFLOAT16_FLAGS & set(flags.split()) else None


def use_every_core() -> None:
    """As many threads as cores, unless OMP_NUM_THREADS says otherwise.

    The decoder and the scorer take turns most of the time. Where they don't, threads that sleep while they
    wait (OMP_WAIT_POLICY, see ``open_scorer``) leave the core to whoever has work.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(len(os.sched_getaffinity(0)))


def free_memory(device: torch.device) -> int:
    """Bytes that a batch could take: unused on the device and in torch's own pool, or on the host."""
    if device.type != "cuda":
        return psutil.virtual_memory().available
    unused, _ = torch.cuda.mem_get_info(device)
    return unused + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
