"""Keeps networks of pyiqa from copying small constants to the device in every call.

Each such copy makes the host wait until the device has done all that was queued before, and so the next
batch could not be prepared in the meantime.
"""

from __future__ import annotations

import sys

import torch


def settle(net: torch.nn.Module, device: torch.device) -> None:
    """Move what ``Module.to`` does not know, tensors that are plain attributes of modules, to ``device``."""
    for module in net.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and value.device != device:
                setattr(module, name, value.to(device))
    for name, arch in list(sys.modules.items()):
        if name.startswith("pyiqa.archs.") and hasattr(arch, "dist_to_mos"):
            vars(arch)["dist_to_mos"] = mean_opinion


def mean_opinion(shares: torch.Tensor) -> torch.Tensor:
    """pyiqa's ``dist_to_mos``: the mean class, from 1, of ``shares``, ``(..., classes)``, without a copy."""
    classes = torch.arange(1, shares.shape[-1] + 1, device=shares.device, dtype=shares.dtype)
    return (shares * classes).sum(dim=-1, keepdim=True)
