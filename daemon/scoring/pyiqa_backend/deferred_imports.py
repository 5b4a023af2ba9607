"""Lets pyiqa be imported where OpenCV cannot be: cv2 and facexlib are imported when they are first used.

pyiqa imports cv2 at once, to read image files, and facexlib for its metrics of faces; facexlib in turn
requires ``opencv-python``, the build that needs the libraries of a screen (``libxcb.so.1``). No other
metric touches either of them. Can go when pyiqa imports both inside the functions that use them
(https://github.com/chaofengc/IQA-PyTorch: ``pyiqa/utils/img_util.py`` and ``pyiqa/archs/topiq_arch.py``).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from daemon.errors import Kind, ScorerError
from daemon.scoring.pyiqa_backend.failures import short

DEFERRED: dict[str, tuple[str, ...]] = {"cv2": (), "facexlib.utils.face_restoration_helper": ("FaceRestoreHelper",)}
"""Modules, each with the classes that pyiqa imports from it by name."""


@contextmanager
def deferred_imports() -> Iterator[None]:
    """While the context lasts, importing a module of DEFERRED gives a stand-in for it.

    A stand-in imports the real module when an attribute of it is used or a class of it called, also after the
    context. Modules that are imported already stay as they are. Using a stand-in raises ScorerError(METRIC)
    when the real module cannot be imported.
    """
    stand_ins = {name: _StandIn(name, classes) for name, classes in DEFERRED.items() if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        _remove_stand_ins()


class _StandIn(ModuleType):
    """A module that is not imported yet."""

    def __init__(self, name: str, classes: tuple[str, ...]) -> None:
        super().__init__(name)
        # Others ask with importlib.util.find_spec whether it is there, which refuses a module without a spec.
        self.__spec__ = ModuleSpec(name, None)
        for one in classes:
            setattr(self, one, _deferred_class(name, one))

    def __getattr__(self, attribute: str) -> Any:
        # Whoever looks through sys.modules (inspect, doctest) asks for these, and uses nothing.
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return getattr(_real_module(self.__name__), attribute)


def _deferred_class(module: str, name: str) -> Callable[..., Any]:
    """What makes an instance of a class of a module that is imported only then."""
    return lambda *arguments, **options: getattr(_real_module(module), name)(*arguments, **options)


def _real_module(name: str) -> ModuleType:
    """The module itself, without any stand-in in its own way."""
    _remove_stand_ins()
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise ScorerError(
            Kind.METRIC,
            f"{name.partition('.')[0]} cannot be imported ({short(error)}), and this metric needs it: where libraries"
            " of a screen are missing, `pip install --force-reinstall --no-deps opencv-python-headless` does without",
        ) from error


def _remove_stand_ins() -> None:
    for name in DEFERRED:
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
