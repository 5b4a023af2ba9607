"""pyiqa's own modules for tests, also where OpenCV cannot be imported."""

from __future__ import annotations

import importlib
from typing import Any

from daemon.scoring.pyiqa_backend.deferred_imports import deferred_imports


def pyiqa_module(name: str) -> Any:
    """A module of pyiqa by its name below ``pyiqa``."""
    with deferred_imports():
        return importlib.import_module(f"pyiqa.{name}")
