"""The scorer: pictures in batches through one metric of pyiqa, one number back for each.

Nothing waits for the device but the one copy of a batch's results to the host.
"""

from __future__ import annotations

import gc
import itertools
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import psutil
import torch

from daemon import logs
from daemon.batching import BatchLimit, frames_in_memory, frames_in_time, scaled_size, smoothed
from daemon.config import ScoreConfig
from daemon.errors import Kind, ScorerError, VideoError
from daemon.model import Outcome, Picture
from daemon.score.build import build
from daemon.score.catalog import pyiqa_version
from daemon.score.failures import device_lost, out_of_memory, short
from daemon.score.staging import Staging, is_flat
from daemon.score.table import Metric

log = logs.get(__name__)

MIB = 1024 * 1024
CUDA_RESERVE_SHARE = 0.2
# The rest of the host lives in the same memory, and running out of it kills instead of raising.
CPU_RESERVE_SHARE = 0.75


class PyiqaScorer:
    """A ``Scorer`` (see ``daemon.score``) around one network of pyiqa."""

    def __init__(
        self,
        metric: Metric,
        net: torch.nn.Module,
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
        self._net: torch.nn.Module | None = net
        self._device = device
        self._amp = precision(metric, device, config) == "amp"
        self._batch_seconds = config.batch_seconds
        self._limit = BatchLimit.start(config.max_batch)
        self._free_bytes = free_bytes or (lambda: free_memory(device))
        self._clock = clock
        self._staging = Staging(pinned=device.type == "cuda")
        self._seconds_per_pixel: float | None = None
        self._proven: set[tuple[int, ...]] = set()

    @classmethod
    def open(cls, metric: Metric, config: ScoreConfig, *, online: bool = False) -> PyiqaScorer:
        """Build ``metric`` as configured; ``online`` allows a download. Raises ScorerError."""
        device = find_device(config.device)
        if device.type == "cpu":
            leave_a_core()
        built = build(metric, device, local=config.weights, online=online)
        weights = f"sha256:{built.digest[:16]}" if built.digest else "none"
        size = f"size native,min {metric.side}"
        parts = (metric.name, f"pyiqa {pyiqa_version()}", f"weights {weights}", size, precision(metric, device, config))
        return cls(metric, built.net, device, config, identity="|".join(parts))

    def batch_size(self, height: int, width: int, itemsize: int) -> int:
        """Pictures for the next ``score``: bounded by memory, by ``score.batch_seconds`` and by the settings."""
        pace = self._seconds_per_pixel
        seconds = None if pace is None else pace * height * width
        return frames_in_time(seconds, self._batch_seconds, ceiling=self._fitting(height, width, itemsize))

    def score(self, pictures: Sequence[Picture]) -> list[Outcome]:
        """One outcome per picture, in order. Raises VideoError, ScorerError; see the protocol."""
        if self._net is None:
            raise ScorerError(Kind.SCORE, "the scorer is closed: open another one")
        outcomes: list[Outcome] = []
        for _, alike in itertools.groupby(pictures, key=lambda picture: (picture.shape, picture.dtype)):
            outcomes += self._score_alike(list(alike))
        return outcomes

    def close(self) -> None:
        """Free the model and the buffers."""
        self._net = None
        self._staging.free()
        self._give_back()

    def _score_alike(self, pictures: list[Picture]) -> list[Outcome]:
        """Flat pictures are answered here, the others go through the metric in batches that fit."""
        height, width, _ = pictures[0].shape
        outcomes = [Outcome(None, "flat") if is_flat(picture) else None for picture in pictures]
        waiting = [index for index, outcome in enumerate(outcomes) if outcome is None]
        while waiting:
            size = min(len(waiting), self._fitting(height, width, pictures[0].itemsize))
            results = self._attempt([pictures[index] for index in waiting[:size]])
            if results is None:
                continue
            for index, result in zip(waiting[:size], results, strict=True):
                outcomes[index] = result
            waiting = waiting[size:]
        return [outcome for outcome in outcomes if outcome is not None]

    def _attempt(self, pictures: list[Picture]) -> list[Outcome] | None:
        """One batch; None when it did not fit into memory and a smaller one should be tried."""
        started = self._clock()
        try:
            outcomes = self._run(pictures, 1 if self._spec.solo else len(pictures))
            seconds = self._clock() - started
            self._check_metric(pictures[0], outcomes)
        except Exception as error:
            if device_lost(error):
                fix = "look at the kernel log, then start again"
                raise ScorerError(Kind.DEVICE, f"{self.device} has failed ({short(error)}): {fix}") from error
            if not out_of_memory(error):
                raise
            reason = short(error)
        else:
            self._learn(pictures, seconds)
            return outcomes
        # Past the handler, as the traceback holds on to the tensors of the failed call.
        self._shrink(pictures, reason)
        return None

    def _run(self, pictures: list[Picture], step: int) -> list[Outcome]:
        """Score ``pictures``, ``step`` at a time; one copy to the device, one copy of the results back.

        A picture on its own that makes the metric raise gets a note; a batch that does is run again one by
        one. Errors of the device and of memory pass through.
        """
        notes: dict[int, str] = {}
        results: list[torch.Tensor] = []
        with torch.inference_mode(), self._exact():
            frames = self._staging.fill(pictures).to(self._device, non_blocking=True)
            for start in range(0, len(pictures), step):
                try:
                    results.append(self._call(frames[start : start + step]))
                except Exception as error:
                    if out_of_memory(error) or device_lost(error):
                        raise
                    notes[start] = f"error: {short(error)}"
            numbers = iter(self._fetch(results))
        if notes and step > 1:
            return self._run(pictures, 1)
        return [Outcome(None, notes[i]) if i in notes else _outcome(next(numbers)) for i in range(len(pictures))]

    def _call(self, frames: torch.Tensor) -> torch.Tensor:
        """The metric's raw numbers, ``(n,)`` on the device, for ``frames``, ``(n, height, width, 3)``."""
        net: Any = self._net
        white = 65535.0 if frames.dtype == torch.uint16 else 255.0
        planes = frames.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(white)
        size = (planes.shape[2], planes.shape[3])
        wanted = scaled_size(*size, self._spec.side)
        if wanted != size:
            planes = torch.nn.functional.interpolate(planes, size=wanted, mode="bicubic", align_corners=False)
            planes.clamp_(0.0, 1.0)
        if self._spec.deep:
            # A network that cuts crops at random gives one picture one score, in any batch.
            torch.manual_seed(0)
            np.random.seed(0)
        with torch.autocast("cuda", dtype=torch.float16) if self._amp else nullcontext():
            answer: torch.Tensor = net(planes)
        if hasattr(net, "results"):
            # PIQE would keep the masks of its last pictures alive.
            net.results = None
        scores = answer.detach().reshape(-1)
        if len(scores) != len(frames):
            raise ValueError(f"{self.metric} gave {len(scores)} numbers for {len(frames)} pictures")
        return scores

    def _fetch(self, results: list[torch.Tensor]) -> list[float]:
        """All results of a batch in one copy to the host, which is where the device is waited for."""
        if not results:
            return []
        numbers: list[float] = torch.cat([result.float() for result in results]).cpu().tolist()
        return numbers

    def _exact(self) -> AbstractContextManager[None]:
        """Repeatable kernels in full precision; pyiqa's own wrapper would allow TF32."""
        context: AbstractContextManager[None] = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        return context

    def _check_metric(self, sample: Picture, outcomes: list[Outcome]) -> None:
        """When every picture of a size failed, tell a broken metric from pictures that cannot be scored.

        The judge is a picture of noise of the same size, which every working metric can score.
        """
        if sample.shape in self._proven:
            return
        if all(outcome.score is None for outcome in outcomes):
            noise = np.random.default_rng(0).integers(0, 256, sample.shape, dtype=np.uint8)
            verdict = self._run([noise], 1)[0]
            if verdict.score is None:
                reason = (verdict.note or "").removeprefix("error: ")
                raise ScorerError(
                    Kind.SCORE,
                    f"{self.metric} fails on every picture of {sample.shape[1]}x{sample.shape[0]} ({reason}):"
                    " use another score.metric",
                )
        self._proven.add(sample.shape)

    def _fitting(self, height: int, width: int, itemsize: int) -> int:
        """Pictures at once that memory and the limit allow."""
        spec = self._spec
        height, width = scaled_size(height, width, spec.side)
        frame_bytes = spec.frame_mib * MIB
        once = int(height * width * 12 * spec.overhead) + frame_bytes
        return frames_in_memory(
            self._free_bytes(),
            height,
            width,
            itemsize,
            overhead=0.0 if spec.solo else spec.overhead,
            ceiling=self._limit.limit,
            reserve_share=CUDA_RESERVE_SHARE if self._device.type == "cuda" else CPU_RESERVE_SHARE,
            frame_bytes=0 if spec.solo else frame_bytes,
            fixed_bytes=once if spec.solo else 0,
        )

    def _learn(self, pictures: list[Picture], seconds: float) -> None:
        height, width, _ = pictures[0].shape
        self._seconds_per_pixel = smoothed(self._seconds_per_pixel, seconds / (len(pictures) * height * width))
        self._resize(self._limit.after_clean(len(pictures)), "full batches fit")

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


def precision(metric: Metric, device: torch.device, config: ScoreConfig) -> str:
    """``amp`` where it is asked for and means something: networks on a CUDA device; ``fp32`` elsewhere."""
    return "amp" if config.precision == "amp" and metric.deep and device.type == "cuda" else "fp32"


def find_device(setting: str) -> torch.device:
    """The device for ``score.device``. Raises ScorerError when it is not there."""
    count = torch.cuda.device_count() if setting != "cpu" and torch.cuda.is_available() else 0
    if setting == "cpu" or (setting == "auto" and count == 0):
        return torch.device("cpu")
    index = int(setting.partition(":")[2] or 0)
    if index >= count:
        have = f"torch sees {count} CUDA devices" if count else "torch sees no CUDA device"
        raise ScorerError(Kind.DEVICE, f"score.device is {setting}, but {have}: set it to auto or cpu")
    return torch.device("cuda", index)


def leave_a_core() -> None:
    """Leave one core to the decoder, unless OMP_NUM_THREADS says otherwise.

    Metrics are chains of small operations that all threads of torch wait for each other after: with one
    thread more than there are idle cores they run at less than half the speed of one thread fewer.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) - 1))


def free_memory(device: torch.device) -> int:
    """Bytes that a batch could take: unused on the device and in torch's own pool, or on the host."""
    if device.type != "cuda":
        return psutil.virtual_memory().available
    unused, _ = torch.cuda.mem_get_info(device)
    return unused + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
