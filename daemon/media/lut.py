"""A filter as FFmpeg is told it, and the one that all conversions share: a table for red, green and blue."""

from __future__ import annotations

Filter = tuple[str, str]
"""A filter's name and its arguments in FFmpeg's syntax."""


def table(expression: str) -> Filter:
    """``lutrgb``: each sample becomes what ``expression`` says of it, which is ``val`` there."""
    quoted = f"'{expression}'"
    return "lutrgb", f"r={quoted}:g={quoted}:b={quoted}"
