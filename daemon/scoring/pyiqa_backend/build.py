"""Building a metric of pyiqa: quietly, without the network unless it is wanted, and with a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from daemon.errors import Kind, ScorerError
from daemon.scoring.catalog import locate
from daemon.scoring.metric_table import Local, Metric
from daemon.scoring.niqe.pristine import matlab_file
from daemon.scoring.pyiqa_backend import patches
from daemon.scoring.pyiqa_backend.deferred_imports import deferred_imports
from daemon.scoring.pyiqa_backend.failures import device_lost, out_of_memory, short

_CONSTANTS = {"mean", "std", "default_mean", "default_std", "num_batches_tracked"}


@dataclass(frozen=True, slots=True)
class Built:
    """A metric that is ready: pyiqa's network in eval mode, and the SHA-256 of its weights (hex, or None)."""

    net: torch.nn.Module
    digest: str | None


def build(
    metric: Metric,
    device: torch.device,
    *,
    local: Path | None = None,
    online: bool = False,
    progress: bool = False,
) -> Built:
    """Build ``metric`` on ``device`` with the weights of ``local``, of the package or of pyiqa's cache.

    Only when ``online`` may anything be fetched; ``progress`` shows that on standard error. Raises
    ScorerError when it cannot be built.
    """
    try:
        with patches.quiet(progress=progress), patches.network(online), deferred_imports(), ExitStack() as stack:
            stack.enter_context(patches.only_tensors(metric.name, local))
            net = _network_of(metric, device, local, stack)
            if local is not None and metric.local is Local.STATE:
                load_state(net, local)
            patches.keep_constants_on_device(net, device)
    except Exception as error:
        raise _failure(metric, device, local, error) from error
    return Built(net, digest(net))


def _network_of(metric: Metric, device: torch.device, local: Path | None, stack: ExitStack) -> torch.nn.Module:
    patches.make_torchvision_importable()
    from pyiqa.models.inference_model import InferenceModel

    options: dict[str, Any] = {}
    if local is not None and metric.local is Local.PATH:
        options["pretrained_model_path"] = str(local)
    elif local is not None:
        options = _bare_options(metric.name)
    elif metric.name == "niqe":
        options["pretrained_model_path"] = str(stack.enter_context(matlab_file()))
    if metric.local is Local.STATE:
        stack.enter_context(patches.without_backbone_weights())
    if local is not None:
        stack.enter_context(patches.only_local_weights(metric.name))
    # The range check waits for the device twice a call; staging gives nothing outside [0, 1].
    wrapper = InferenceModel(metric.name, device=device, check_input_range=False, **options)
    # pyiqa leaves its wrapper in training mode.
    wrapper.eval()
    net: torch.nn.Module = wrapper.net
    return net.eval()


def _bare_options(name: str) -> dict[str, Any]:
    """Arguments for a network without weights, in the shape that its own checkpoint has."""
    if name == "unique":
        return {}
    return {"pretrained": None, "num_class": 10} if name == "musiq-ava" else {"pretrained": None}


def load_state(net: torch.nn.Module, file: Path) -> None:
    """Load a checkpoint (state dict, plain or under ``params``, ``state_dict`` or ``model``) into ``net``.

    Raises ValueError when a tensor of the network is not in the file, RuntimeError when a shape differs.
    """
    state: Any = torch.load(file, map_location="cpu", weights_only=True)
    for key in ("params", "state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise ValueError("it holds no state dict")
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    own = net.state_dict()
    lacking = [name for name in own if name not in state and name.rpartition(".")[2] not in _CONSTANTS]
    if lacking:
        raise ValueError(f"it lacks {len(lacking)} of {len(own)} tensors, the first is {lacking[0]}")
    net.load_state_dict(state, strict=False)


def digest(net: torch.nn.Module) -> str | None:
    """SHA-256 (hex) over every tensor of ``net``, names, types and shapes included; None when it has none.

    Some metrics keep their parameters outside the state dict, as plain tensors or arrays, or in modules
    hidden in lists; these count too.
    """
    tensors = list(_tensors(net, ""))
    if not tensors:
        return None
    sha = hashlib.sha256()
    for name, tensor in tensors:
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if isinstance(tensor, torch.Tensor):
            tensor = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        sha.update(np.ascontiguousarray(tensor).data)
    return sha.hexdigest()


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, torch.nn.Module):
        yield from ((f"{name}.{key}", tensor) for key, tensor in sorted(value.state_dict().items()))
        for path, module in value.named_modules():
            for key, item in sorted(vars(module).items()):
                if not key.startswith("_"):
                    yield from _tensors(item, f"{name}.{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _tensors(item, f"{name}[{index}]")
    elif isinstance(value, np.ndarray) and value.dtype.hasobject:
        yield from _tensors(value.ravel().tolist(), name)
    elif isinstance(value, torch.Tensor | np.ndarray):
        yield name, value


def _failure(metric: Metric, device: torch.device, local: Path | None, error: Exception) -> ScorerError:
    if isinstance(error, ScorerError):
        return error
    if out_of_memory(error):
        fix = "free memory there, or set score.device or score.metric"
        return ScorerError(Kind.OUT_OF_MEMORY, f"{metric.name} does not fit into the memory of {device}: {fix}")
    if device_lost(error):
        return ScorerError(Kind.DEVICE, f"{device} has failed ({short(error)}): see `stillwatch doctor`")
    if local is not None:
        return ScorerError(
            Kind.WEIGHTS, f"{local} does not fit {metric.name} ({short(error)}): set score.weights to its own file"
        )
    if isinstance(error, OSError):
        fix = f"run `stillwatch pull {metric.name}` where there is a network"
        return ScorerError(Kind.WEIGHTS, f"weights of {metric.name} cannot be loaded ({short(error)}): {fix}")
    fix = "use another score.metric"
    if metric.weights:
        fix += f", or delete {locate(metric.weights[0])} if it is damaged and pull it again"
    return ScorerError(Kind.METRIC, f"{metric.name} cannot be built ({short(error)}): {fix}")
