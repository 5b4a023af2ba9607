"""Lets torchvision be imported where its compiled operators do not load.

A CPU build of torch beside a CUDA build of torchvision, or the other way round, is a common mix: the
operators' library does not load, and ``import torchvision`` then dies with "operator torchvision::nms
does not exist", because it registers shape functions for two operators without asking whether they are
there. Declaring these two is enough. Whatever really calls a compiled operator still fails, and says so.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch

# torch.library and torch.ops carry no types of their own.
_library: Any = torch.library
_ops: Any = torch.ops

SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

_declared: list[Any] = []


def ensure() -> bool:
    """Make ``import torchvision`` possible; True when the operators had to be declared.

    Does nothing where torchvision is missing, is imported already, or has operators that load.
    """
    if "torchvision" in sys.modules:
        return bool(_declared)
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _operators_load(Path(spec.origin).parent):
        return False
    declare()
    return True


def declare() -> None:
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
