"""Which number format a network computes in: the check on sample pictures, the identity, the log, the speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
import torch

from daemon.config.score import ScoreConfig
from daemon.errors import Kind, ScorerError
from daemon.scoring import catalog
from daemon.scoring.metric_table import Local, Metric
from daemon.scoring.pyiqa_backend import precision as room
from daemon.scoring.pyiqa_backend.build import build
from daemon.scoring.pyiqa_backend.device import fast_dtype
from daemon.scoring.pyiqa_backend.forward import Forward
from daemon.scoring.pyiqa_backend.precision import LEAST_AGREEMENT, samples, settle, spearman
from tests.integration.scoring.test_cuda import random_topiq
from tests.integration.scoring.test_far_device import CUDA, FarGpu

CPU = torch.device("cpu")
METRIC = Metric("net", False, 1, 1.0, local=Local.NONE)

pytestmark = pytest.mark.usefixtures("one_torch_thread")


class Contrast(torch.nn.Module):
    """How much each picture varies, after a convolution; ``spoil`` changes what it says in reduced precision."""

    def __init__(self, spoil: Callable[[torch.Tensor], torch.Tensor] = lambda scores: scores) -> None:
        super().__init__()
        self.spoil = spoil
        self.conv = torch.nn.Conv2d(3, 4, 3)
        torch.nn.init.constant_(self.conv.weight, 0.1)
        self.formats: list[torch.dtype] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        convolved = self.conv(batch)
        self.formats.append(convolved.dtype)
        scores = convolved.float().std(dim=(1, 2, 3))
        return scores if convolved.dtype is torch.float32 else self.spoil(scores)


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "fast_dtype", lambda _: torch.bfloat16)


def settled(
    net: torch.nn.Module, metric: Metric = METRIC, device: torch.device = CPU, precision: str = "auto"
) -> tuple[torch.dtype | None, list[Any]]:
    forward = Forward(metric, net, device)
    with structlog.testing.capture_logs() as logs:
        settle(metric, forward, device, ScoreConfig(precision=precision))
    return forward.reduced, logs


# ---- the choice


@pytest.mark.usefixtures("bfloat16")
def test_auto_takes_what_ranks_the_samples_as_float32_does_and_says_so() -> None:
    dtype, logs = settled(Contrast())
    assert dtype is torch.bfloat16
    (entry,) = logs
    assert (entry["event"], entry["precision"], entry["device"], entry["metric"]) == (
        "scorer.precision", "bf16", "cpu", "net",
    )  # fmt: skip
    assert entry["spearman"] >= LEAST_AGREEMENT
    assert "ranks the sample pictures as fp32 does" in entry["reason"]


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize(
    ("spoil", "least"),
    [
        (lambda scores: -scores, -1.0),
        (lambda scores: (scores * 20).round() / 20, 0.5),
        (lambda scores: scores * torch.nan, -1.0),
        (lambda scores: scores * 0.0, -1.0),
    ],
    ids=["turned", "coarse", "nan", "all the same"],
)
def test_auto_stays_with_float32_where_the_ranking_changes(
    spoil: Callable[[torch.Tensor], torch.Tensor], least: float
) -> None:
    dtype, ((entry),) = settled(Contrast(spoil))
    assert dtype is None
    assert entry["precision"] == "fp32"
    assert least <= entry["spearman"] < LEAST_AGREEMENT
    assert "bf16 ranks the sample pictures differently" in entry["reason"]


@pytest.mark.usefixtures("bfloat16")
def test_the_same_pictures_give_the_same_choice() -> None:
    assert all(np.array_equal(one, other) for one, other in zip(samples(), samples(), strict=True))
    assert settled(Contrast()) == settled(Contrast())


@pytest.mark.usefixtures("bfloat16")
def test_a_network_that_cannot_do_it_stays_with_float32() -> None:
    def refuse(scores: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("not implemented for 'BFloat16'")

    dtype, ((entry),) = settled(Contrast(refuse))
    assert dtype is None
    assert "not implemented" in entry["reason"]


@pytest.mark.usefixtures("bfloat16")
def test_settings_decide_without_a_check() -> None:
    net = Contrast(lambda scores: -scores)
    assert settled(net, precision="fp32") == (None, [])
    dtype, (entry,) = settled(net, precision="amp")
    assert (dtype, entry["spearman"], net.formats) == (torch.bfloat16, None, [])


@pytest.mark.usefixtures("bfloat16")
def test_a_start_does_not_take_hours() -> None:
    net, metric = Contrast(), Metric("crops", False, 1, 1.0, 1500, local=Local.NONE)
    dtype, (entry,) = settled(net, metric)
    assert (dtype, net.formats) == (None, [])
    assert "set score.precision to amp" in entry["reason"]
    assert settled(net, metric, precision="amp")[0] is torch.bfloat16


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("precision", ["auto", "amp"])
def test_what_is_not_a_network_stays_as_it_is(precision: str) -> None:
    metric = Metric("classic", True, 1, 1.0, solo=True, deep=False, local=Local.NONE)
    assert settled(Contrast(), metric, precision=precision) == (None, [])


@pytest.mark.parametrize("precision", ["auto", "amp"])
def test_where_nothing_is_faster_it_stays_with_float32(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "fast_dtype", lambda _: None)
    net = Contrast()
    dtype, ((entry),) = settled(net, precision=precision)
    assert (dtype, net.formats) == (None, [])
    assert entry["reason"] == "nothing is faster than fp32 on this cpu"


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize(
    ("text", "kind"),
    [("CUDA error: unspecified launch failure", Kind.DEVICE), ("CUDA out of memory", Kind.OUT_OF_MEMORY)],
)
def test_a_device_that_fails_meanwhile_is_no_choice(text: str, kind: Kind) -> None:
    def fail(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(text)

    with pytest.raises(ScorerError) as caught:
        settled(Contrast(fail))
    assert caught.value.kind is kind


def test_a_cuda_device_takes_float16() -> None:
    net = Contrast()
    with FarGpu() as gpu:
        dtype, (entry,) = settled(gpu.move(net), device=CUDA)
    assert dtype is torch.float16
    assert entry["precision"] == "fp16"
    assert net.formats == [torch.float32] * len(samples()) + [torch.float16] * len(samples())


@pytest.mark.parametrize(
    ("line", "dtype"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile", torch.bfloat16),
        ("flags\t\t: fpu avx2 amx_bf16", torch.bfloat16),
        ("Features\t: fp asimd i8mm bf16", torch.bfloat16),
        ("flags\t\t: fpu avx2 avx512f avx512_vnni", None),
        ("", None),
    ],
)
def test_the_processor_says_whether_it_has_bfloat16(line: str, dtype: torch.dtype | None, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{line}\n\nprocessor\t: 1\n{line}\n")
    assert fast_dtype(CPU, cpuinfo) is dtype
    assert fast_dtype(CPU, tmp_path / "nothing") is None


def test_an_old_cuda_device_stays_with_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    with FarGpu():
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (6, 1))
        assert fast_dtype(CUDA) is None


# ---- the parts


@pytest.mark.parametrize(
    ("one", "other", "rho"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 400], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.9486832980505138),
        ([1, 1, 1], [1, 2, 3], -1.0),
        ([1, 2, float("nan")], [1, 2, 3], -1.0),
    ],
)
def test_spearman(one: list[float], other: list[float], rho: float) -> None:
    assert spearman(one, other) == pytest.approx(rho)


def test_the_samples_are_pictures_of_several_qualities() -> None:
    pictures = samples()
    assert len(pictures) == 32
    assert {(picture.shape, str(picture.dtype)) for picture in pictures} == {((192, 256, 3), "uint8")}
    sharpness = [float(np.abs(np.diff(picture.astype(np.int64), axis=1)).mean()) for picture in pictures]
    for sharp, blurred, more, noisy in zip(*[iter(sharpness)] * 4, strict=True):
        assert more < blurred < sharp < noisy


def test_layers_that_see_one_vector_per_picture_stay_exact() -> None:
    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.head = torch.nn.Linear(3, 3), torch.nn.Linear(3, 1)
            self.formats: list[torch.dtype] = []

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            tokens = self.tokens(batch.flatten(2).transpose(1, 2))
            score = self.head(tokens.mean(dim=1))
            self.formats += [tokens.dtype, score.dtype]
            return score.squeeze(1)

    net = Head()
    forward = Forward(METRIC, net, CPU, torch.bfloat16)
    with forward.mode():
        forward(torch.zeros(1, 4, 4, 3, dtype=torch.uint8))
    assert net.formats == [torch.bfloat16, torch.float32]


def test_a_network_on_the_cpu_gets_a_pixels_channels_side_by_side() -> None:
    seen: list[bool] = []
    net = torch.nn.Conv2d(3, 1, 3)
    net.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    forward = Forward(METRIC, torch.nn.Sequential(net, torch.nn.AdaptiveAvgPool2d(1)), CPU)
    with forward.mode():
        forward(torch.zeros(2, 8, 8, 3, dtype=torch.uint8))
    assert seen == [True]
    assert net.weight.is_contiguous(memory_format=torch.channels_last)


# ---- a real network, with random weights


@pytest.fixture(scope="module")
def topiq_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_topiq(tmp_path_factory.mktemp("weights") / "topiq.pth")


MEASURE = """
import json, sys, time
from pathlib import Path

import numpy as np

from daemon.config.score import ScoreConfig
from daemon.scoring.open_scorer import open_scorer
from daemon.scoring.pyiqa_backend.precision import samples, spearman

settings = {"metric": "topiq_nr", "device": "cpu", "weights": Path(sys.argv[1])}
exact, quick, same = (open_scorer(ScoreConfig(precision=one, **settings)) for one in ("fp32", "auto", "auto"))
frame = np.random.default_rng(0).integers(0, 256, (480, 854, 3), dtype=np.uint8)
seconds = {exact: [], quick: []}
for _ in range(5):
    for scorer, taken in seconds.items():
        started = time.process_time()
        scorer.score([frame])
        taken.append(time.process_time() - started)
scores = [[outcome.score for outcome in scorer.score(samples())] for scorer in (exact, quick)]
print(json.dumps({
    "identities": [scorer.identity for scorer in (exact, quick, same)],
    "seconds": [min(taken) for taken in seconds.values()],
    "spearman": spearman(*scores),
}))
"""


@pytest.mark.model
@pytest.mark.slow
def test_bfloat16_is_faster_keeps_the_ranking_and_is_in_the_identity(topiq_file: Path) -> None:
    if fast_dtype(CPU) is None:
        pytest.skip("this processor has no bfloat16")
    # In a process of its own, as the daemon starts it: MKL_CBWR and others are read when torch is loaded.
    # One thread and CPU seconds, as other work on the host disturbs these least.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MKL_", "OMP_"))}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", MEASURE, str(topiq_file)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=250, env=environment)
    found = json.loads(run.stdout.splitlines()[-1])
    exact, quick, same = found["identities"]
    assert (exact.rpartition("|")[2], quick.rpartition("|")[2]) == ("fp32", "bf16")
    assert quick == same
    assert found["spearman"] >= LEAST_AGREEMENT
    fp32, bf16 = found["seconds"]
    print(f"CPU seconds per frame of 480p: fp32 {fp32:.3f}, bf16 {bf16:.3f}, ratio {fp32 / bf16:.2f}")
    assert fp32 / bf16 >= 1.6


@pytest.mark.model
def test_a_score_in_bfloat16_is_exactly_the_same_in_any_batch(topiq_file: Path) -> None:
    metric = catalog.find("topiq_nr")
    if fast_dtype(CPU) is None:
        pytest.skip("this processor has no bfloat16")
    from daemon.scoring.pyiqa_backend.scorer import PyiqaScorer

    forward = Forward(metric, build(metric, CPU, local=topiq_file).net, CPU, torch.bfloat16)
    scorer = PyiqaScorer(metric, forward, CPU, ScoreConfig(), identity="x")
    pictures = [picture[:96, :128] for picture in samples()[:4]]
    assert scorer.score(pictures) == [scorer.score([picture])[0] for picture in pictures]
