"""What is changed in pyiqa and in the libraries below it, each with its reason, its source and when it can go.

``PATCHED`` names every attribute that is replaced: a test fails when a release has moved one.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import logging
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from daemon.errors import Kind, ScorerError

# torch.library and torch.ops carry no types of their own.
_library: Any = torch.library
_ops: Any = torch.ops

DOWNLOAD_STALL_SECONDS = 30.0
BACKBONES = ("resnet18", "resnet34", "resnet50", "vgg16")
SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
"""The operators for which torchvision registers shape functions without asking whether they are there."""
PATCHED = (
    ("huggingface_hub.constants", "HF_HUB_OFFLINE"),
    ("pyiqa.archs.arch_util", "dist_to_mos"),
    ("pyiqa.archs.dbcnn_arch", "load_pretrained_network"),
    ("pyiqa.archs.liqe_arch", "DEFAULT_CACHE_DIR"),
    ("pyiqa.archs.musiq_arch", "dist_to_mos"),
    ("pyiqa.archs.nima_arch", "dist_to_mos"),
    ("pyiqa.archs.topiq_arch", "dist_to_mos"),
    ("pyiqa.archs.unique_arch", "load_pretrained_network"),
    ("timm.models._builder", "load_pretrained"),
    ("torch", "load"),
    *(("torchvision.models", name) for name in BACKBONES),
)
"""Module and attribute."""

_declared: list[Any] = []


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _nothing(*_: Any, **__: Any) -> None:
    pass


# torchvision


def make_torchvision_importable() -> bool:
    """Let torchvision be imported where its operators' library does not load; True when that needed a declaration.

    A CPU build of torch beside a CUDA build of torchvision, or the other way round, is a common mix. ``import
    torchvision`` then dies with "operator torchvision::nms does not exist", as ``torchvision/_meta_registrations.py``
    registers shape functions for two operators that are not there. Declaring these two is enough; what really calls
    a compiled operator still fails, and says so. Does nothing where torchvision is missing, is imported already, or
    has operators that load.

    Upstream: https://github.com/pytorch/vision/issues/9085, https://github.com/pytorch/pytorch/issues/122494.
    Can go when torchvision asks for the operators before it registers their shape functions.
    """
    if "torchvision" in sys.modules:
        return bool(_declared)
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _operators_load(Path(spec.origin).parent):
        return False
    declare_operators()
    return True


def declare_operators() -> None:
    """Declare the operators that are missing; kept for as long as the process lives."""
    library = _library.Library("torchvision", "FRAGMENT")
    for name, schema in SCHEMAS.items():
        if not hasattr(_ops.torchvision, name):
            library.define(schema)
    _declared.append(library)


def _operators_load(folder: Path) -> bool:
    """Load the operators the way torchvision does, which then finds them loaded."""
    for path in sorted(folder.glob("_C*.so")):
        try:
            _ops.load_library(str(path))
        except OSError:
            return False
        return True
    return False


# pyiqa, timm and huggingface_hub


@contextmanager
def quiet(*, progress: bool = False) -> Iterator[None]:
    """Keep pyiqa's prints off standard output and its log lines in ours; progress bars only if wanted.

    pyiqa prints where it loads weights from (``pyiqa/archs/arch_util.py``) and gives its logger handlers of its own
    (``get_root_logger`` in ``pyiqa/utils/logger.py``). Can go when it leaves both to its caller.
    """
    try:
        with redirect_stdout(io.StringIO()), nullcontext() if progress else redirect_stderr(io.StringIO()):
            yield
    finally:
        logger = logging.getLogger("pyiqa")
        logger.handlers.clear()
        logger.propagate = True


@contextmanager
def without_backbone_weights() -> Iterator[None]:
    """timm and torchvision build without their ImageNet weights: the metric's checkpoint brings them.

    pyiqa's networks ask for them whatever their own ``pretrained`` says: ``timm.create_model(…, pretrained=True)`` in
    ``pyiqa/archs/hypernet_arch.py`` and ``maniqa_arch.py``, ``weights="IMAGENET1K_V1"`` in ``dbcnn_arch.py``,
    ``unique_arch.py`` and ``tres_arch.py``. Can go when ``pretrained=None`` reaches the backbone.
    """
    builder = importlib.import_module("timm.models._builder")
    models = importlib.import_module("torchvision.models")
    with ExitStack() as stack:
        stack.enter_context(_replaced(builder, "load_pretrained", _nothing))
        for name in BACKBONES:
            stack.enter_context(_replaced(models, name, _without_weights(getattr(models, name))))
        yield


def _without_weights(constructor: Any) -> Any:
    return lambda **options: constructor(**{**options, "weights": None})


@contextmanager
def only_local_weights(name: str) -> Iterator[None]:
    """Keep the network of metric ``name`` from adding, on its own, to what a local file says.

    ``DBCNN`` and ``UNIQUE`` fetch a part of their weights whatever they are told (``pyiqa/archs/dbcnn_arch.py``,
    ``unique_arch.py``). ``LIQE`` keeps text features beside its weights and would take those of other weights for its
    own (``liqe_arch.py``). Can go when ``pretrained=None`` is followed, and when the cached file says of which weights
    it is.
    """
    with ExitStack() as stack:
        if name in {"dbcnn", "unique"}:
            arch = importlib.import_module(f"pyiqa.archs.{name}_arch")
            stack.enter_context(_replaced(arch, "load_pretrained_network", _nothing))
        if name.startswith("liqe"):
            arch = importlib.import_module("pyiqa.archs.liqe_arch")
            folder = stack.enter_context(TemporaryDirectory(prefix="stillwatch-"))
            stack.enter_context(_replaced(arch, "DEFAULT_CACHE_DIR", folder))
        yield


@contextmanager
def only_tensors(name: str, local: Path | None = None) -> Iterator[None]:
    """Let torch load tensors, arrays of numbers and plain values alone: no file runs code when it is read.

    pyiqa loads with ``weights_only=False`` (``pyiqa/archs/arch_util.py``, ``brisque_arch.py``). Raises ScorerError
    (WEIGHTS) for a file that holds more, ``local`` or fetched. Can go when pyiqa loads so itself.
    """
    load = torch.load

    def load_tensors(*arguments: Any, **options: Any) -> Any:
        try:
            with torch.serialization.safe_globals(_numbers()):
                return load(*arguments, **{**options, "weights_only": True})
        except pickle.UnpicklingError as error:
            raise _holds_more(name, local) from error

    with _replaced(torch, "load", load_tensors):
        yield


def _numbers() -> list[Any]:
    """What NumPy's numbers and arrays of them are unpickled by, also by the names that NumPy 1 gave them."""
    scalar, array = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
    named = [
        (one, f"numpy.{core}.multiarray.{called}")
        for core in ("core", "_core")
        for one, called in ((scalar, "scalar"), (array, "_reconstruct"))
    ]
    return [np.ndarray, np.dtype, *{type(np.dtype(code)) for code in np.typecodes["AllInteger"] + "efd?"}, *named]


def _holds_more(name: str, local: Path | None) -> ScorerError:
    if local is not None:
        return ScorerError(
            Kind.WEIGHTS,
            f"{local} does not fit {name}, or holds more than tensors, which could run code when it is loaded:"
            " set score.weights to a file that torch.save made of tensors alone, or leave it empty",
        )
    return ScorerError(
        Kind.WEIGHTS,
        f"a file of the weights of {name} that were fetched is damaged, or holds more than tensors, which could run"
        " code when it is loaded: use another metric",
    )


@contextmanager
def network(online: bool) -> Iterator[None]:
    """Downloads that stall give up; without ``online`` nothing leaves this host, and nothing waits.

    pyiqa fetches what it misses by torch.hub, huggingface_hub and CLIP's own code, none of which takes both an offline
    switch and a time limit. Can go when all three do.
    """
    if online:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(DOWNLOAD_STALL_SECONDS)
        try:
            yield
        finally:
            socket.setdefaulttimeout(before)
        return

    import huggingface_hub.constants

    builder, look_up = threading.get_ident(), socket.getaddrinfo

    def refuse(*arguments: Any, **options: Any) -> Any:
        if threading.get_ident() == builder:
            raise OSError("weights that should be here are not, and nothing is fetched while a scorer starts")
        return look_up(*arguments, **options)

    with (
        _replaced(huggingface_hub.constants, "HF_HUB_OFFLINE", True),
        _replaced(socket, "getaddrinfo", refuse),
    ):
        yield


def keep_constants_on_device(net: torch.nn.Module, device: torch.device) -> None:
    """Keep networks of pyiqa from copying small constants to ``device`` in every call.

    Each such copy makes the host wait until the device has done all that was queued before, and so the next batch
    could not be prepared in the meantime. Moved is what ``Module.to`` does not know: tensors that are plain attributes
    of modules. ``dist_to_mos`` (``pyiqa/archs/arch_util.py``) makes its constant on the host and is replaced. Can go
    when pyiqa registers its constants as buffers and makes this one on the device of its argument.
    """
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
