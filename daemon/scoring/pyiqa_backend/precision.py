"""Which number format a network computes in, and the check that it ranks pictures as float32 does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from daemon.config.score import ScoreConfig
from daemon.errors import Kind, ScorerError
from daemon.logs import setup
from daemon.model import Picture
from daemon.scoring.metric_table import Metric
from daemon.scoring.pyiqa_backend.device import fast_dtype
from daemon.scoring.pyiqa_backend.failures import device_lost, out_of_memory, short
from daemon.scoring.pyiqa_backend.forward import Forward

log = setup.get(__name__)

LEAST_AGREEMENT = 0.999
# What works on many crops of a picture takes up to two minutes for one on a CPU: the check would take hours.
_TOO_SLOW_MIB = 512
SCENES, QUALITIES = 8, 4
HEIGHT, WIDTH = 192, 256
_NAMES = {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A number format, None for float32, and why; ``spearman`` is None where nothing was compared."""

    dtype: torch.dtype | None
    reason: str
    spearman: float | None = None


def name_of(dtype: torch.dtype | None) -> str:
    """As in a scorer's identity: ``fp32``, ``bf16`` or ``fp16``."""
    return _NAMES[dtype]


def settle(metric: Metric, forward: Forward, device: torch.device, config: ScoreConfig) -> None:
    """Set ``forward.reduced`` to what ``score.precision`` means for this metric here, and say so in the log.

    Depends on nothing but the metric, its weights, the device and the setting. Raises ScorerError when
    the device fails.
    """
    forward.reduced = None
    if not metric.deep or config.precision == "fp32":
        return
    choice = _choose(metric, forward, device, checked=config.precision == "auto")
    forward.reduced = choice.dtype
    log.info(
        "scorer.precision",
        metric=metric.name,
        device=str(device),
        precision=name_of(choice.dtype),
        spearman=None if choice.spearman is None else round(choice.spearman, 6),
        reason=choice.reason,
    )


def _choose(metric: Metric, forward: Forward, device: torch.device, *, checked: bool) -> Choice:
    reduced = fast_dtype(device)
    if reduced is None:
        return Choice(None, f"nothing is faster than fp32 on this {device.type}")
    if not checked:
        return Choice(reduced, "score.precision is amp")
    if device.type == "cpu" and metric.frame_mib >= _TOO_SLOW_MIB:
        return Choice(None, f"comparing takes hours here: set score.precision to amp for {name_of(reduced)} unchecked")
    try:
        pictures = samples()
        exact, quick = (_scores(forward, device, dtype, pictures) for dtype in (None, reduced))
    except Exception as error:
        if device_lost(error):
            raise ScorerError(
                Kind.DEVICE, f"{device} has failed ({short(error)}): look at the kernel log, then start again"
            ) from error
        if out_of_memory(error):
            raise ScorerError(
                Kind.OUT_OF_MEMORY,
                f"a picture of {WIDTH}x{HEIGHT} does not fit into the memory of {device}: free memory there,"
                " or set score.device or score.metric",
            ) from error
        return Choice(None, f"the sample pictures cannot be compared: {short(error)}")
    agreement = spearman(exact, quick)
    if agreement >= LEAST_AGREEMENT:
        return Choice(reduced, f"ranks the sample pictures as fp32 does, at least {LEAST_AGREEMENT}", agreement)
    return Choice(None, f"{name_of(reduced)} ranks the sample pictures differently, below {LEAST_AGREEMENT}", agreement)


def _scores(
    forward: Forward, device: torch.device, dtype: torch.dtype | None, pictures: Sequence[Picture]
) -> NDArray[np.float64]:
    """The score of each picture, one by one, as a batch may change the last digits."""
    forward.reduced = dtype
    with forward.mode():
        scores = [forward(torch.from_numpy(picture[None]).to(device)) for picture in pictures]
        return torch.cat(scores).double().cpu().numpy()


def spearman(exact: Sequence[float] | NDArray[Any], quick: Sequence[float] | NDArray[Any]) -> float:
    """Spearman's rank correlation, -1 to 1; equal values share their mean rank.

    -1 when a value is not finite or when either side ranks nothing at all: nothing was shown to agree.
    """
    pair = np.asarray([exact, quick], dtype=np.float64)
    if not np.isfinite(pair).all() or (np.ptp(pair, axis=1) == 0).any():
        return -1.0
    return float(spearmanr(*pair).statistic)


def samples() -> list[Picture]:
    """Synthetic pictures, always the same: several scenes, each sharp, blurred, blurred more, and noisy.

    A scene is a sum of coloured patterns of all sizes, whose strength falls with the frequency as it does
    in nature.
    """
    random = np.random.default_rng(20240229)
    pictures: list[Picture] = []
    for index in range(SCENES):
        scene = _scene(random, slope=0.4 + 0.12 * index, contrast=18.0 + 6.0 * index)
        noisy = scene + random.normal(0.0, 3.0 + 4.0 * index, scene.shape)
        versions = (scene, _blurred(scene, 1 + index % 3), _blurred(scene, 3 + index), noisy)
        pictures += [np.clip(np.rint(version), 0, 255).astype(np.uint8) for version in versions]
    return pictures


def _scene(random: np.random.Generator, *, slope: float, contrast: float) -> NDArray[np.float64]:
    scene = np.zeros((HEIGHT, WIDTH, 3))
    for cells in (2, 4, 8, 16, 32, 64):
        pattern = random.normal(size=(cells * 3, cells * 4, 3)) * cells**-slope
        factor = HEIGHT // (cells * 3)
        scene += np.kron(pattern, np.ones((factor, factor, 1)))
    brightness = random.uniform(80.0, 170.0, size=3)
    scene *= contrast / scene.std()
    return scene + brightness


def _blurred(scene: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    for axis in (0, 1):
        scene = np.mean([np.roll(scene, step, axis) for step in range(-radius, radius + 1)], axis=0)
    return scene
