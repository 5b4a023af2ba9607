"""What a choice of representative frames is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked for: ``count`` stills (None: auto), the least gap and difference, one per scene or more.

    ``noise`` is how much neighbouring frames differ, in codes of their sketches: while fewer than ``count`` are
    found, ``min_difference`` gives way down to what is plainly more, or plain by itself; None: not at all.
    ``detail_noise`` is the same of their details. ``poster``: all are chosen as the first one is.
    """

    count: int | None
    min_gap_seconds: float
    min_difference: float
    one_per_scene: bool = False
    noise: float | None = None
    detail_noise: float = 0.0
    poster: bool = False
