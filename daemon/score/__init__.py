"""Scoring: the only room that knows torch and pyiqa, behind one small protocol.

Importing this package imports neither; ``open_scorer`` does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from daemon import logs
from daemon.config import ScoreConfig
from daemon.model import Outcome, Picture

__all__ = ["Scorer", "open_scorer"]


class Scorer(Protocol):
    """Gives every picture the number of one metric. Used from one thread only.

    ``identity`` names everything that changes a number: scores with different identities are never ranked
    together. ``lower_better`` is the metric's direction, ``device`` where it runs (``cpu``, ``cuda:0``).
    """

    @property
    def identity(self) -> str:
        """Metric, implementation, weights, scoring size and precision in one stable, readable line."""

    @property
    def metric(self) -> str:
        """The metric's name, as in the configuration."""

    @property
    def lower_better(self) -> bool:
        """True when a lower score is a better picture."""

    @property
    def device(self) -> str:
        """Where it runs: ``cpu`` or ``cuda:N``."""

    def batch_size(self, height: int, width: int, itemsize: int) -> int:
        """Pictures to pass to the next ``score``, at least 1: what memory, time and the settings allow.

        ``height`` and ``width`` in pixels, ``itemsize`` in bytes per sample (1 or 2).
        """

    def score(self, pictures: Sequence[Picture]) -> list[Outcome]:
        """One outcome per picture, in their order; sizes and depths may be mixed.

        Pictures are RGB, ``(height, width, 3)``, uint8 or uint16. A picture that cannot be scored gets
        None and a note (``flat``, ``nan``, ``error: …``). Raises VideoError when a single picture does not
        fit into memory, and ScorerError when the metric or the device has stopped working.
        """

    def close(self) -> None:
        """Free the model and the buffers; a second call does nothing."""


def open_scorer(config: ScoreConfig) -> Scorer:
    """The scorer that the configuration asks for.

    Raises ScorerError when the metric cannot score single frames, its weights are not to be had, or the
    device is not there.
    """
    from daemon.score import catalog, weights

    # MKL picks its code by processor, and niqe's third decimal with it. Set before torch loads MKL,
    # this makes the same picture give the same number on every x86 machine, and costs nothing measurable.
    os.environ.setdefault("MKL_CBWR", "COMPATIBLE")

    metric = catalog.find(config.metric)
    online = weights.require(metric, config.weights)

    from daemon.score.pyiqa_scorer import PyiqaScorer

    logs.adopt("torch")

    return PyiqaScorer.open(metric, config, online=online)
