"""Which scorer the configuration asks for. Importing this module imports neither torch nor pyiqa."""

from __future__ import annotations

import os

from daemon.config.score import ScoreConfig
from daemon.errors import Kind, ScorerError
from daemon.logs import setup
from daemon.scoring.protocol import Scorer


def open_scorer(config: ScoreConfig, threads: int = 0) -> Scorer:
    """The scorer that the configuration asks for, on so many threads of the CPU where it has a say in that; 0: all.

    Raises ScorerError when the metric cannot score single frames, its weights are not to be had, or the
    device is not there.
    """
    from daemon.scoring import catalog, weights

    metric = catalog.find(config.metric)
    if config.implementation == "fused" and not _fits_fused(config):
        raise ScorerError(
            Kind.METRIC,
            "score.implementation: fused is for niqe on the CPU with the shipped model: choose auto or pyiqa",
        )
    if config.implementation != "pyiqa" and _fits_fused(config):
        # Also beside a GPU: the work is in the decoding then, and nothing has to be copied there and back.
        from daemon.scoring.niqe.scorer import FusedScorer

        return FusedScorer(metric, config, threads=threads)
    catalog.require_full(f"{config.metric} on {config.device} with score.implementation: {config.implementation}")
    if not metric.deep:
        # MKL picks its code by processor, and niqe's third decimal with it. Set before torch loads MKL,
        # this makes the same picture give the same number on every x86 machine, and costs nothing measurable.
        # Networks would take twice as long, and their convolutions do not go through MKL.
        os.environ.setdefault("MKL_CBWR", "COMPATIBLE")
    # Threads of torch that wait for each other would keep the core that the decoder, or another thread of
    # torch, is waiting for: on a busy host networks run four times as fast when they sleep instead.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    online = weights.require(metric, config.weights)

    from daemon.scoring.pyiqa_backend.scorer import PyiqaScorer

    setup.adopt("torch")
    return PyiqaScorer.open(metric, config, online=online)


def check(metric: str) -> None:
    """Raise ScorerError when a metric cannot score single frames or its weights are not to be had."""
    from daemon.scoring import catalog, weights

    weights.require(catalog.find(metric), None)


def _fits_fused(config: ScoreConfig) -> bool:
    return config.metric == "niqe" and config.weights is None and not config.device.startswith("cuda")
