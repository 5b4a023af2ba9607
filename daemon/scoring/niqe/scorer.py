"""The default scorer: ``niqe`` by the fused kernel, on every core, without a network."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence

from daemon.config.score import ScoreConfig
from daemon.errors import Kind, ScorerError
from daemon.media.scorable import Scorable, size_of
from daemon.model import GrayPicture, Outcome
from daemon.scoring.batch_size import frames_in_time, scaled_size, smoothed
from daemon.scoring.metric_table import Metric
from daemon.scoring.niqe.enlarge import enlarge
from daemon.scoring.niqe.niqe import FusedNiqe
from daemon.scoring.niqe.pristine import pristine_digest
from daemon.scoring.unscorable import why_not

VERSION = 2
"""Part of the identity: raised whenever the kernel's numbers change."""
BATCH_BYTES = 64 * 1024 * 1024
"""Pictures of a batch are held beside the queue; a few per core keep every core busy."""


class FusedScorer:
    """A ``Scorer`` (see ``daemon.scoring.protocol``) around ``FusedNiqe``."""

    def __init__(
        self,
        metric: Metric,
        config: ScoreConfig,
        *,
        threads: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        cores = len(os.sched_getaffinity(0))
        self._threads = min(threads or cores, cores)
        self._niqe: FusedNiqe | None = FusedNiqe.shipped(threads=self._threads)
        self._niqe.warm_up()
        self._side = metric.side
        self._max_batch = config.max_batch
        self._batch_seconds = config.batch_seconds
        self._clock = clock
        self._seconds_per_pixel: float | None = None
        self.metric = metric.name
        self.lower_better = metric.lower_better
        self.device = "cpu"
        self.gray_from = metric.side
        weights = f"weights sha256:{pristine_digest()[:16]}"
        self.identity = "|".join((metric.name, f"fused {VERSION}", weights, f"size native,min {metric.side}", "fp32"))

    def batch_size(self, height: int, width: int, itemsize: int) -> int:
        """Pictures for the next ``score``: a few per core, bounded by bytes, ``score.batch_seconds`` and settings."""
        fitting = max(self._threads, BATCH_BYTES // (height * width * 3 * itemsize))
        pace = self._seconds_per_pixel
        seconds = None if pace is None else pace * self._scored_pixels(height, width)
        return frames_in_time(seconds, self._batch_seconds, ceiling=min(fitting, self._max_batch))

    def submit(self, pictures: Sequence[Scorable]) -> Callable[[], list[Outcome]]:
        """Nothing runs in the background: the work is done when the outcomes are asked for."""
        return lambda: self.score(pictures)

    def score(self, pictures: Sequence[Scorable]) -> list[Outcome]:
        """One outcome per picture, in order; flat ones and those without any contrast have a note."""
        if self._niqe is None:
            raise ScorerError(Kind.SCORE, "the scorer is closed: open another one")
        started = self._clock()
        notes = [why_not(picture, self._side) for picture in pictures]
        waiting = [picture for picture, note in zip(pictures, notes, strict=True) if note is None]
        scores = iter(self._niqe.score_all(waiting, self._large_enough))
        outcomes = [_outcome(next(scores)) if note is None else Outcome(None, note) for note in notes]
        pixels = sum(self._scored_pixels(*size_of(picture)) for picture in waiting)
        if pixels:
            self._seconds_per_pixel = smoothed(self._seconds_per_pixel, (self._clock() - started) / pixels)
        return outcomes

    def close(self) -> None:
        """End the kernel's threads."""
        if self._niqe is not None:
            self._niqe.close()
            self._niqe = None

    def _scored_pixels(self, height: int, width: int) -> int:
        rows, columns = scaled_size(height, width, self._side)
        return rows * columns

    def _large_enough(self, picture: Scorable) -> Scorable:
        """Pictures below the least size are enlarged as pyiqa's scorer enlarges them."""
        size = scaled_size(*size_of(picture), self._side)
        if isinstance(picture, GrayPicture) or size == size_of(picture):
            return picture
        return enlarge(picture, *size)


def _outcome(score: float) -> Outcome:
    return Outcome(score) if math.isfinite(score) else Outcome(None, "nan")
