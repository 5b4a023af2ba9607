"""One call of a metric's network: pictures on the device in, raw numbers on the device out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from daemon.scoring.batch_size import scaled_size
from daemon.scoring.metric_table import Metric


class Forward:
    """A network of pyiqa on ``device``; ``reduced`` is the half-wide number format that it may use, if any."""

    def __init__(
        self, metric: Metric, net: torch.nn.Module, device: torch.device, reduced: torch.dtype | None = None
    ) -> None:
        self.reduced = reduced
        self._spec = metric
        self._net: Any = net
        self._device = device
        # Convolutions on the CPU are two to four times as fast with a pixel's channels side by side.
        self._interleaved = metric.deep and device.type == "cpu"
        if metric.deep:
            keep_vectors_exact(net)
        if self._interleaved:
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @contextmanager
    def mode(self) -> Iterator[None]:
        """For everything that is computed: no gradients, repeatable kernels, the number format.

        pyiqa's own wrapper would allow TF32.
        """
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        halved = torch.autocast(self._device.type, dtype=self.reduced, enabled=self.reduced is not None)
        with torch.inference_mode(), exact, halved:
            yield

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """The metric's raw numbers, ``(n,)``, for ``frames``, ``(n, height, width, 3)`` uint8 or uint16."""
        white = 65535.0 if frames.dtype == torch.uint16 else 255.0
        # The frames' own order is that of channels_last: no sample has to move then.
        layout = torch.channels_last if self._interleaved else torch.contiguous_format
        planes = frames.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout).div_(white)
        size = (planes.shape[2], planes.shape[3])
        wanted = scaled_size(*size, self._spec.side)
        if wanted != size:
            planes = torch.nn.functional.interpolate(planes, size=wanted, mode="bicubic", align_corners=False)
            planes.clamp_(0.0, 1.0)
        if self._spec.deep:
            # A network that cuts crops at random gives one picture one score, in any batch.
            torch.manual_seed(0)
            np.random.seed(0)
        answer: torch.Tensor = self._net(planes)
        if hasattr(self._net, "results"):
            # PIQE would keep the masks of its last pictures alive.
            self._net.results = None
        scores = answer.detach().reshape(-1)
        if len(scores) != len(frames):
            raise ValueError(f"{self._spec.name} gave {len(scores)} numbers for {len(frames)} pictures")
        return scores


def keep_vectors_exact(net: torch.nn.Module) -> None:
    """Linear layers that see one vector per picture stay in float32 whatever the number format.

    They are the last ones: what they round is the score itself. bfloat16 has 256 steps from 0.5 to 1, which
    is too few to rank the frames of a film, and these layers take no time.
    """
    for module in net.modules():
        if isinstance(module, torch.nn.Linear):
            module.forward = _exact_on_vectors(module.forward)  # type: ignore[method-assign]


def _exact_on_vectors(forward: Any) -> Any:
    def exact(vectors: torch.Tensor) -> Any:
        if vectors.dim() > 2:
            return forward(vectors)
        with torch.autocast(vectors.device.type, enabled=False):
            return forward(vectors.float())

    return exact
