"""Scoring: the only room that knows torch and pyiqa, behind one small protocol.

Importing this package imports neither; ``open_scorer`` does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol

from daemon import logs
from daemon.config import ScoreConfig
from daemon.errors import Kind, ScorerError
from daemon.model import Outcome, Picture

__all__ = ["Scorer", "Ticket", "check", "open_scorer"]

Ticket = Callable[[], list[Outcome]]
"""What ``Scorer.submit`` gives: call it once, on the scorer's thread, for the outcomes."""


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

    def submit(self, pictures: Sequence[Picture]) -> Ticket:
        """Start what the device can do by itself and return at once; the ticket waits for the outcomes.

        Submit the next pictures before calling a ticket, and a GPU copies them while it computes. On a CPU
        nothing is done before the ticket is called, and ``pictures`` stay as they are until then. Errors are
        those of ``score``, here or from the ticket. A ticket that is never called does no harm.
        """

    def score(self, pictures: Sequence[Picture]) -> list[Outcome]:
        """``submit`` and the ticket at once: one outcome per picture, in their order.

        Sizes and depths may be mixed. Pictures are RGB, ``(height, width, 3)``, uint8 or uint16. A picture that
        cannot be scored gets None and a note (``flat``, ``nan``, ``error: …``). Raises VideoError when a single
        picture does not fit into memory, and ScorerError when the metric or the device has stopped working.
        """

    def close(self) -> None:
        """Free the model and the buffers; a second call does nothing."""


def open_scorer(config: ScoreConfig) -> Scorer:
    """The scorer that the configuration asks for.

    Raises ScorerError when the metric cannot score single frames, its weights are not to be had, or the
    device is not there.
    """
    from daemon.score import catalog, weights

    metric = catalog.find(config.metric)
    if config.implementation == "fused" and not _fits_fused(config):
        raise ScorerError(
            Kind.METRIC,
            "score.implementation: fused is for niqe on the CPU with the shipped model: choose auto or pyiqa",
        )
    if config.implementation != "pyiqa" and _fits_fused(config):
        # Also beside a GPU: the work is in the decoding then, and nothing has to be copied there and back.
        from daemon.score.fused_scorer import FusedScorer

        return FusedScorer(metric, config)
    if not metric.deep:
        # MKL picks its code by processor, and niqe's third decimal with it. Set before torch loads MKL,
        # this makes the same picture give the same number on every x86 machine, and costs nothing measurable.
        # Networks would take twice as long, and their convolutions do not go through MKL.
        os.environ.setdefault("MKL_CBWR", "COMPATIBLE")
    # Threads of torch that wait for each other would keep the core that the decoder, or another thread of
    # torch, is waiting for: on a busy host networks run four times as fast when they sleep instead.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    online = weights.require(metric, config.weights)

    from daemon.score.pyiqa_scorer import PyiqaScorer

    logs.adopt("torch")
    return PyiqaScorer.open(metric, config, online=online)


def check(metric: str) -> None:
    """Raise ScorerError when a metric cannot score single frames or its weights are not to be had."""
    from daemon.score import catalog, weights

    weights.require(catalog.find(metric), None)


def _fits_fused(config: ScoreConfig) -> bool:
    return config.metric == "niqe" and config.weights is None and not config.device.startswith("cuda")
