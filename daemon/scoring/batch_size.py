"""How many frames go through the metric at once: memory, time, and what to do after running out.

Pure arithmetic. Sizes are pixels, memory is bytes, time is seconds; every answer is at least one frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FLOAT32_BYTES = 4
CHANNELS = 3
REDUCED_SHARE = 0.6
"""What a network keeps is half as large then, but for a copy here and there (topiq_nr at 720p: 0.52)."""
CLEAN_BATCHES = 64
"""After this many full batches without trouble, a reduced limit is tried one step higher."""


def scaled_size(height: int, width: int, side: int) -> tuple[int, int]:
    """The size ``(height, width)`` at which a picture is scored by a metric that needs ``side`` pixels.

    Pictures whose shorter side is below ``side`` grow until it is ``side``, keeping the aspect; the longer
    side is rounded to the nearest pixel. All others stay as they are.

    >>> scaled_size(120, 160, 192)
    (192, 256)
    """
    short = min(height, width)
    if short >= side:
        return height, width
    return _rounded(height * side, short), _rounded(width * side, short)


def frames_in_memory(
    free_bytes: int,
    height: int,
    width: int,
    sample_bytes: int,
    *,
    overhead: float,
    ceiling: int,
    reserve_share: float = 0.0,
    frame_bytes: int = 0,
    buffers: int = 1,
    one_by_one: bool = False,
    reduced: bool = False,
) -> int:
    """Frames of ``height`` x ``width`` RGB pixels that fit into the memory of the device.

    A frame arrives with ``sample_bytes`` (1 or 2) per sample in each of ``buffers`` batches under way, becomes
    float32, and costs the metric ``overhead`` times that float32 picture and ``frame_bytes`` more whatever its
    size. All frames of a batch are computed at once, or ``one_by_one``. A metric that computes in ``reduced``
    precision needs REDUCED_SHARE of its overhead. The ``reserve_share`` (0 to 1) of the free memory is left
    alone. The answer lies between 1 and ``ceiling``: a single frame is always tried.
    """
    samples = height * width * CHANNELS
    arriving = samples * sample_bytes * buffers
    share = REDUCED_SHARE if reduced else 1.0
    computing = samples * FLOAT32_BYTES * (1.0 + overhead * share) + frame_bytes
    usable = free_bytes * (1.0 - reserve_share)
    if one_by_one:
        return _bounded((usable - computing) / arriving, ceiling)
    return _bounded(usable / (arriving + computing), ceiling)


def frames_in_time(seconds_per_frame: float | None, target_seconds: float, *, ceiling: int) -> int:
    """Frames that take about ``target_seconds``; one while nothing has been measured yet."""
    if seconds_per_frame is None:
        return 1
    if seconds_per_frame <= 0.0:
        return max(1, ceiling)
    return _bounded(target_seconds / seconds_per_frame, ceiling)


def smoothed(old: float | None, measured: float) -> float:
    """The next estimate of a duration: faster counts at once, slower by half.

    The first batch on a device carries its warm-up and must not hold the next ones down, and a single
    hiccup must not shrink them.
    """
    return measured if old is None else min(measured, (old + measured) / 2.0)


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _bounded(frames: float, ceiling: int) -> int:
    return max(1, int(min(frames, ceiling)))


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """The most frames that are tried at once, learnt from running out of memory.

    ``limit`` stays between 1 and ``ceiling``; ``clean`` counts full batches since it last changed.
    """

    ceiling: int
    limit: int
    clean: int = 0

    @classmethod
    def start(cls, ceiling: int) -> BatchLimit:
        """The limit before anything ran out of memory."""
        return cls(ceiling=max(1, ceiling), limit=max(1, ceiling))

    def after_out_of_memory(self, tried: int) -> BatchLimit | None:
        """Half of what was ``tried``, or None when that was a single frame: there is nothing to halve.

        The limit itself is then left as it was, so that one huge frame, or memory that something else
        holds, does not slow down what follows.
        """
        if tried <= 1:
            return None
        return replace(self, limit=max(1, min(tried // 2, self.limit)), clean=0)

    def after_clean(self, done: int, patience: int = CLEAN_BATCHES) -> BatchLimit:
        """Count a batch of ``done`` frames that went well; the ``patience``-th full one doubles the limit."""
        if self.limit >= self.ceiling or done < self.limit:
            return self
        if self.clean + 1 < patience:
            return replace(self, clean=self.clean + 1)
        return replace(self, limit=min(self.ceiling, self.limit * 2), clean=0)
