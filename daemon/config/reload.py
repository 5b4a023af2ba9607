"""Which settings change while the daemon runs, and which need a new start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daemon.config.schema import Config

LIVE = (
    "select",
    "log.level",
    "log.progress_seconds",
    "output.format",
    "output.jpeg_quality",
    "output.size",
    "output.keep_selections",
    "output.hdr",
    "export.select_batch",
    "export.timeout_seconds",
    "export.hwaccel",
    "export.disk_margin_bytes",
    "service.max_attempts",
    "service.max_retries",
    "service.retry_seconds",
)
"""Sections and keys that a reload takes over; everything else is read at the start only."""


@dataclass(frozen=True, slots=True)
class Reload:
    """The configuration to go on with, the keys that changed, and those that wait for a new start."""

    config: Config
    taken: tuple[str, ...]
    refused: tuple[str, ...]


def reload(now: Config, wanted: Config) -> Reload:
    """Take from ``wanted`` what can change."""
    before, after = now.model_dump(), wanted.model_dump()
    changed = [
        f"{section}.{key}"
        for section in before
        for key in before[section]
        if before[section][key] != after[section][key]
    ]
    taken = tuple(key for key in changed if key in LIVE or key.partition(".")[0] in LIVE)
    update: dict[str, dict[str, Any]] = {}
    for name in taken:
        section, _, key = name.partition(".")
        update.setdefault(section, {})[key] = getattr(getattr(wanted, section), key)
    merged = {section: getattr(now, section).model_copy(update=values) for section, values in update.items()}
    return Reload(now.model_copy(update=merged), taken, tuple(key for key in changed if key not in taken))
