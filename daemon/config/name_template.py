"""Templates for the names of stills and of their folders: checked when the configuration is read."""

from __future__ import annotations

import re
from collections.abc import Mapping

MOST_BYTES = 240
"""A file system takes 255; the draft beside a file has some more letters than the file."""
LONGEST = {
    "stem": 120,
    "rank": 8,
    "n": 8,
    "frame": 13,
    "time_ms": 15,
    "score": 20,
    "shot": 8,
    "fingerprint": 16,
    "date": 10,
}
"""The fields, and the most bytes that each takes."""
NAME_FIELDS = tuple(LONGEST)
FOLDER_FIELDS = ("stem", "fingerprint", "date")
TELLING = ("rank", "n", "frame")
"""Each tells the stills of a selection apart."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_REFUSED = re.compile(r"[/\\{}<>:\"|?*%\x00-\x1f\x7f]|[^\x00-\U0010ffff]|[\ud800-\udfff]")


def checked_name(template: str) -> str:
    """The template of a still's name, without its ending. Raises ValueError with the reason."""
    fields = _checked(template, NAME_FIELDS)
    if not set(TELLING) & set(fields):
        raise ValueError("two stills would have one name: it needs {rank}, {n} or {frame}")
    return template


def checked_folder(template: str) -> str:
    """The template of the name of a film's folder. Raises ValueError with the reason."""
    if "fingerprint" not in _checked(template, FOLDER_FIELDS):
        raise ValueError("two films would have one folder: it needs {fingerprint}")
    return template


def fill(template: str, values: Mapping[str, str]) -> str:
    """The name that a checked template gives. One that would begin with a dash begins with ``_-``."""
    text = _FIELD.sub(lambda field: values[field[1]], template)
    return f"_{text}" if text.startswith("-") else text


def _checked(template: str, known: tuple[str, ...]) -> list[str]:
    """The fields of a template in their order, once all else is right with it."""
    fields: list[str] = _FIELD.findall(template)
    words = _FIELD.split(template)[::2]
    allowed = ", ".join(f"{{{name}}}" for name in known)
    for field in fields:
        if field not in known:
            raise ValueError(f"{{{field}}} is no field: there are {allowed}")
    for word in words:
        if found := _REFUSED.search(word):
            raise ValueError(f"{found[0]!r} cannot stand in a name: fields are {allowed}")
    if any(not word or word[0].isdigit() for word in words[1:-1]):
        raise ValueError("between two fields there has to be something that is no digit, such as _")
    if template[:1] in (".", "-", "~", " ") or template[-1:] in (".", " "):
        raise ValueError("a name cannot begin with a dot, a dash, ~ or a space, nor end in a dot or a space")
    longest = sum(len(word.encode()) for word in words) + sum(LONGEST[field] for field in fields)
    if longest > MOST_BYTES:
        raise ValueError(f"names could have {longest} bytes, more than {MOST_BYTES}: shorten it")
    return fields
