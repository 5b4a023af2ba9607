"""The scorer: pictures in batches through one metric of pyiqa, one number back for each.

A batch goes to the device in one copy and its results come back in one, which is all that is waited for.
"""

from __future__ import annotations

import functools
import gc
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import torch

from daemon.config.score import ScoreConfig
from daemon.errors import Kind, ScorerError, VideoError
from daemon.logs import setup
from daemon.media.scorable import Scorable
from daemon.model import GrayPicture, Outcome, Picture
from daemon.scoring.batch_size import BatchLimit, frames_in_memory, frames_in_time, scaled_size, smoothed
from daemon.scoring.catalog import pyiqa_version
from daemon.scoring.metric_table import Metric
from daemon.scoring.pyiqa_backend.build import build
from daemon.scoring.pyiqa_backend.device import find_device, free_memory, use_every_core
from daemon.scoring.pyiqa_backend.failures import device_lost, out_of_memory, short
from daemon.scoring.pyiqa_backend.forward import Forward
from daemon.scoring.pyiqa_backend.precision import name_of, settle
from daemon.scoring.pyiqa_backend.transfer import BUFFERS, CudaTransfer, HostTransfer, PendingNumbers, Transfer
from daemon.scoring.unscorable import why_not

log = setup.get(__name__)

MIB = 1024 * 1024
CUDA_RESERVE_SHARE = 0.2
# The rest of the host lives in the same memory, and running out of it kills instead of raising.
CPU_RESERVE_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class _PendingBatch:
    """A batch under way: notes for those whose call failed, by index, and the numbers of the others."""

    count: int
    shape: tuple[int, ...]
    notes: dict[int, str]
    numbers: PendingNumbers | None


class PyiqaScorer:
    """A ``Scorer`` (see ``daemon.scoring.protocol``) around one network of pyiqa."""

    gray_from: int | None = None

    def __init__(
        self,
        metric: Metric,
        forward: Forward,
        device: torch.device,
        config: ScoreConfig,
        *,
        identity: str,
        free_bytes: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.identity = identity
        self.metric = metric.name
        self.lower_better = metric.lower_better
        self.device = str(device)
        self._spec = metric
        self._forward: Forward | None = forward
        self._device = device
        self._reduced = forward.reduced is not None
        # One by one is fastest on the CPU, where a picture fills every core and two do not fit its cache,
        # and the last digits, which depend on the size of the batch, are always the same.
        self._one_by_one = metric.solo or device.type == "cpu"
        self._batch_seconds = config.batch_seconds
        self._limit = BatchLimit.start(config.max_batch)
        self._free_bytes = free_bytes or (lambda: free_memory(device))
        self._transfer: Transfer = CudaTransfer(device) if device.type == "cuda" else HostTransfer(clock)
        self._seconds_per_pixel: float | None = None
        self._proven: set[tuple[int, ...]] = set()

    @classmethod
    def open(cls, metric: Metric, config: ScoreConfig, *, online: bool = False) -> PyiqaScorer:
        """Build ``metric`` as configured; ``online`` allows a download. Raises ScorerError."""
        device = find_device(config.device)
        if device.type == "cpu":
            use_every_core()
        built = build(metric, device, local=config.weights, online=online)
        forward = Forward(metric, built.net, device)
        settle(metric, forward, device, config)
        weights = f"sha256:{built.digest[:16]}" if built.digest else "none"
        size = f"size native,min {metric.side}"
        parts = (metric.name, f"pyiqa {pyiqa_version()}", f"weights {weights}", size, name_of(forward.reduced))
        return cls(metric, forward, device, config, identity="|".join(parts))

    def batch_size(self, height: int, width: int, itemsize: int) -> int:
        """Pictures for the next ``score``: bounded by memory, by ``score.batch_seconds`` and by the settings."""
        pace = self._seconds_per_pixel
        seconds = None if pace is None else pace * height * width
        with self._watched():
            fitting = self._fitting(height, width, itemsize)
        return frames_in_time(seconds, self._batch_seconds, ceiling=fitting)

    def submit(self, pictures: Sequence[Scorable]) -> Callable[[], list[Outcome]]:
        """Start to score on a GPU; on the CPU the work is done when the outcomes are asked for."""
        self._opened()
        coloured = [picture for picture in pictures if not isinstance(picture, GrayPicture)]
        if len(coloured) < len(pictures):
            raise ValueError(f"{self.metric} needs RGB")
        if self._device.type == "cpu":
            return lambda: self._start_all(coloured)()
        return self._start_all(coloured)

    def score(self, pictures: Sequence[Scorable]) -> list[Outcome]:
        """One outcome per picture, in order. Raises VideoError, ScorerError; see the protocol."""
        return self.submit(pictures)()

    def close(self) -> None:
        """Free the model and the buffers."""
        self._forward = None
        self._transfer.free()
        # A device that was lost has nothing to give back.
        with suppress(RuntimeError):
            self._give_back()

    def _opened(self) -> Forward:
        if self._forward is None:
            raise ScorerError(Kind.SCORE, "the scorer is closed: open another one")
        return self._forward

    def _start_all(self, pictures: Sequence[Picture]) -> Callable[[], list[Outcome]]:
        alike = itertools.groupby(pictures, key=lambda picture: (picture.shape, picture.dtype))
        pending = [self._start_alike(list(group)) for _, group in alike]
        return lambda: [outcome for collect in pending for outcome in collect()]

    def _start_alike(self, pictures: list[Picture]) -> Callable[[], list[Outcome]]:
        """What cannot be scored is answered here, the others go through the metric in batches that fit."""
        height, width, _ = pictures[0].shape
        notes = [why_not(picture, self._spec.side) for picture in pictures]
        waiting = [picture for picture, note in zip(pictures, notes, strict=True) if note is None]
        itemsize, batches = pictures[0].itemsize, list[_PendingBatch]()
        while waiting:
            with self._watched():
                size = min(len(waiting), self._fitting(height, width, itemsize))
            batch = self._attempt(waiting[:size])
            if batch is not None:
                batches.append(batch)
                waiting = waiting[size:]
        return functools.partial(self._collect_alike, notes, batches)

    def _collect_alike(self, notes: list[str | None], batches: list[_PendingBatch]) -> list[Outcome]:
        scored = (outcome for batch in batches for outcome in self._collect(batch))
        return [next(scored) if note is None else Outcome(None, note) for note in notes]

    def _attempt(self, pictures: list[Picture]) -> _PendingBatch | None:
        """One batch on its way; None when it did not fit into memory and a smaller one should be tried."""
        try:
            with self._watched():
                batch = self._start(pictures, 1 if self._one_by_one else len(pictures))
        except Exception as error:
            if not out_of_memory(error):
                raise
            reason = short(error)
        else:
            self._resize(self._limit.after_clean(len(pictures)), "full batches fit")
            return batch
        # Past the handler, as the traceback holds on to the tensors of the failed call.
        with self._watched():
            self._shrink(pictures, reason)
        return None

    def _start(self, pictures: list[Picture], step: int) -> _PendingBatch:
        """Queue ``pictures``, ``step`` at a time; one copy to the device, one copy of the results back.

        A picture on its own that makes the metric raise gets a note; a batch that does is run again one by
        one. Errors of the device and of memory pass through.
        """
        forward, notes, results = self._opened(), dict[int, str](), list[torch.Tensor]()
        with forward.mode():
            frames = self._transfer.upload(pictures)
            for start in range(0, len(pictures), step):
                try:
                    results.append(forward(frames[start : start + step]))
                except Exception as error:
                    if out_of_memory(error) or device_lost(error):
                        raise
                    notes[start] = f"error: {short(error)}"
            numbers = self._transfer.download(torch.cat(results)) if results else None
        if notes and step > 1:
            return self._start(pictures, 1)
        return _PendingBatch(len(pictures), pictures[0].shape, notes, numbers)

    def _collect(self, batch: _PendingBatch) -> list[Outcome]:
        """The outcomes of a batch, which is where the device is waited for."""
        with self._watched():
            outcomes, seconds = self._arrive(batch)
            self._check_metric(batch.shape, outcomes)
        height, width, _ = batch.shape
        if seconds is not None:
            self._seconds_per_pixel = smoothed(self._seconds_per_pixel, seconds / (batch.count * height * width))
        return outcomes

    def _arrive(self, batch: _PendingBatch) -> tuple[list[Outcome], float | None]:
        scores, seconds = batch.numbers() if batch.numbers is not None else ([], None)
        remaining, notes = iter(scores), batch.notes
        outcomes = [Outcome(None, notes[i]) if i in notes else _outcome(next(remaining)) for i in range(batch.count)]
        return outcomes, seconds

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """A device that fails for another reason than memory is lost, wherever it says so."""
        try:
            yield
        except Exception as error:
            if not device_lost(error):
                raise
            fix = "look at the kernel log, then start again"
            raise ScorerError(Kind.DEVICE, f"{self.device} has failed ({short(error)}): {fix}") from error

    def _check_metric(self, shape: tuple[int, ...], outcomes: list[Outcome]) -> None:
        """When every picture of a size failed, tell a broken metric from pictures that cannot be scored.

        The test is a picture of noise of the same size, which every working metric can score.
        """
        if shape in self._proven:
            return
        if all(outcome.score is None for outcome in outcomes):
            noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            (outcome,), _ = self._arrive(self._start([noise], 1))
            if outcome.score is None:
                reason = (outcome.note or "").removeprefix("error: ")
                raise ScorerError(
                    Kind.SCORE,
                    f"{self.metric} fails on every picture of {shape[1]}x{shape[0]} ({reason}):"
                    " use another score.metric",
                )
        self._proven.add(shape)

    def _fitting(self, height: int, width: int, itemsize: int) -> int:
        """Pictures at once that memory and the limit allow."""
        spec = self._spec
        on_cuda = self._device.type == "cuda"
        return frames_in_memory(
            self._free_bytes(),
            *scaled_size(height, width, spec.side),
            itemsize,
            overhead=spec.overhead,
            ceiling=self._limit.limit,
            reserve_share=CUDA_RESERVE_SHARE if on_cuda else CPU_RESERVE_SHARE,
            frame_bytes=spec.frame_mib * MIB,
            buffers=BUFFERS if on_cuda else 1,
            one_by_one=self._one_by_one,
            reduced=self._reduced,
        )

    def _shrink(self, pictures: list[Picture], reason: str) -> None:
        self._give_back()
        smaller = self._limit.after_out_of_memory(len(pictures))
        if smaller is None:
            height, width, _ = pictures[0].shape
            raise VideoError(
                Kind.OUT_OF_MEMORY,
                f"one frame of {width}x{height} does not fit into the memory of {self.device} with {self.metric}:"
                " free memory there, or set score.device or score.metric",
            )
        self._resize(smaller, reason)

    def _resize(self, limit: BatchLimit, reason: str) -> None:
        if limit.limit != self._limit.limit:
            old, self._limit = self._limit.limit, limit
            log.warning("scorer.batch_resized", device=self.device, old=old, new=limit.limit, reason=reason)
        self._limit = limit

    def _give_back(self) -> None:
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _outcome(number: float) -> Outcome:
    return Outcome(number) if math.isfinite(number) else Outcome(None, "nan")
