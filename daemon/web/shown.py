"""What people read on the pages: names that may hold anything, times, sizes, and reasons as sentences."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

VERDICTS = {
    "": "not judged",
    "good": "good",
    "unscored": "could not be scored",
    "black": "black",
    "white": "white",
    "flat": "nothing on it",
    "title": "lettering",
    "titled": "lettering over the picture",
    "subtitled": "a subtitle over the picture: after the good ones",
    "transition": "at a cut, fade or dissolve",
    "burnt": "overexposed beside the frames around",
    "dark": "darker than the frames around",
    "blur": "blurred beside the frames around",
    "blocks": "blocks of the compression",
    "combed": "two moments in one picture",
    "bars": "test card",
    "snow": "noise without a picture",
    "leader": "countdown leader",
    "glitch": "unlike the frames right before and after",
    "spared": "spared: the best of a stretch without a good frame",
}
"""Verdicts in words."""


def shown_name(text: str) -> str:
    """A name on one line, in which everything that is not plainly visible is written out.

    >>> shown_name('a\\nb\\u202e.mp4')
    'a\\\\nb\\\\u202e.mp4'
    """
    # Undecodable bytes come as lone surrogates.
    return "".join(char if _visible(char) else _escape(char) for char in text)


def _visible(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] not in "CZ"


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def clock(seconds: float) -> str:
    """A time in a film.

    >>> clock(4.16), clock(3725.5)
    ('0:04.160', '1:02:05.500')
    """
    sign, millis = ("-", -seconds) if seconds < 0 else ("", seconds)
    total = round(millis * 1000)
    hours, rest = divmod(total, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{sign}{head}:{rest // 1000:02d}.{rest % 1000:03d}"


def size(count: int) -> str:
    """Bytes for people.

    >>> size(900), size(8_300_000)
    ('900 bytes', '8.3 MB')
    """
    if count < 1000:
        return f"{count} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        count_in_unit = count / 1000 ** (1 + ("kB", "MB", "GB", "TB").index(unit))
        if count_in_unit < 1000 or unit == "TB":
            break
    return f"{count_in_unit:.1f} {unit}"


def counted(count: int, word: str) -> str:
    """A number of things.

    >>> counted(1, "frame"), counted(2, "frame")
    ('1 frame', '2 frames')
    """
    return f"{count} {word}{'' if count == 1 else 's'}"


def why_chosen(reason: Mapping[str, Any] | None) -> str:
    """A still's stored reason as a sentence; empty where nothing is known.

    >>> why_chosen({"shot": 2, "percentile": 98.0, "frames": 120, "seconds": 4.8, "refined": None})
    'better than 98 % of shot 3; stands for 120 frames (4.8 s)'
    >>> why_chosen({"shot": 0, "percentile": 99.6})
    'better than 99 % of shot 1'
    """
    if not reason:
        return ""
    parts = []
    if reason.get("percentile") is not None and reason.get("shot") is not None:
        percent = reason["percentile"]
        place = "the best" if percent >= 100 else f"better than {int(percent)} %"
        parts.append(f"{place} of shot {reason['shot'] + 1}")
    if reason.get("frames"):
        parts.append(f"stands for {counted(reason['frames'], 'frame')} ({reason.get('seconds') or 0:.1f} s)")
    if reason.get("refined") is not None:
        parts.append(f"second metric {reason['refined']:.3f}")
    return "; ".join(parts)
