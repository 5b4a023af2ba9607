"""Arithmetic compiled by numba: without the interpreter's lock, and kept on disk between runs.

Compiled code is kept in ``NUMBA_CACHE_DIR``, else in ``numba`` below ``$XDG_CACHE_HOME/stillwatch`` (or
``~/.cache/stillwatch``), else where numba itself would; where nothing may be written it is compiled anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

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


def _cache_folder() -> str:
    """The folder for compiled code when NUMBA_CACHE_DIR is not set, or "" when there is no home."""
    folder = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(folder) if Path(folder).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return ""
    return str(base / "stillwatch" / "numba")
