"""The worked examples in the docstrings hold."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "daemon.selection.best",
        "daemon.selection.quality",
        "daemon.shots",
        "daemon.picture",
        "daemon.tone",
        "daemon.headline",
        "daemon.export.names",
        "daemon.export.commands",
        "daemon.export.disk",
        "daemon.hooks",
        "daemon.web",
    ],
)
def test_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0
