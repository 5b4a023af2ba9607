"""Arithmetic compiled by numba: without the interpreter's lock, and kept on disk between runs.

Compiled code is kept in ``NUMBA_CACHE_DIR``, else in ``numba`` below ``$XDG_CACHE_HOME/stillwatch`` (or
``~/.cache/stillwatch``), else where numba itself would; where nothing may be written it is compiled anew.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from daemon.runtime import compiling

F = TypeVar("F", bound=Callable[..., Any])


class _NoScipy:
    """Tells the import system that this thread finds no scipy."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, *_: object) -> None:
        """Of ``sys.meta_path``. Raises ModuleNotFoundError for scipy; of everything else it knows nothing."""
        if name.partition(".")[0] == "scipy" and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{name} is not needed", name=name)


@contextmanager
def _without_scipy() -> Iterator[None]:
    """numba looks for scipy's linear algebra, which our code has no need of; half of its loading would be that."""
    finder: Any = _NoScipy()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


with _without_scipy():
    numba: Any = importlib.import_module("numba")
    intrinsic: Any = importlib.import_module("numba.extending").intrinsic
    _event: Any = importlib.import_module("numba.core.event")

# https://numba.readthedocs.io/en/stable/developer/event_api.html
_listener: Any = type(
    "_Listener", (_event.Listener,), {"on_start": lambda *_: compiling.begins(), "on_end": lambda *_: None}
)
_event.register("numba:compile", _listener())
_settings: Any = numba.config


def part(*, fastmath: Collection[str] = (), inline: bool = False) -> Callable[[F], F]:
    """A piece that compiled code calls; every rounding stays where it is written, unless ``fastmath`` takes liberties.

    Its callers are kept on disk by the time of their own files: where they are in others, these must change with it.
    ``inline`` puts it into them as it is written, before anything else is done to it.
    """
    decorate: Any = numba.njit(
        nogil=True, error_model="numpy", fastmath=set(fastmath) or False, inline="always" if inline else "never"
    )
    return lambda function: decorate(function)


class Compiled:
    """Compiled code that Python calls, kept on disk where that is possible."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._cached = True
        self._loaded = False
        before = _settings.CACHE_DIR
        _settings.CACHE_DIR = before or _cache_folder()
        try:
            self._run: Any = numba.njit(nogil=True, error_model="numpy", cache=True)(function)
        except RuntimeError:  # no folder that may be written
            self._uncache()
        finally:
            _settings.CACHE_DIR = before

    def __call__(self, *arguments: Any) -> Any:
        """What the function gives."""
        if not self._loaded:
            _load()
            self._loaded = True
        try:
            return self._run(*arguments)
        except Exception:
            # A full disk, a damaged file: nothing here needs the cache.
            if not self._cached:
                raise
        self._uncache()
        return self._run(*arguments)

    def _uncache(self) -> None:
        self._cached = False
        self._run = numba.njit(nogil=True, error_model="numpy")(self._function)


def _load() -> None:
    """What numba loads when code is compiled, or read, for the first time."""
    with _without_scipy():
        importlib.import_module("numba.np.arraymath")


def _cache_folder() -> str:
    """The folder for compiled code when NUMBA_CACHE_DIR is not set, or "" when there is no home."""
    folder = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(folder) if Path(folder).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return ""
    return str(base / "stillwatch" / "numba")
