"""The scorer on a CUDA device, as far as that can be shown without one: see test_score_far.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
import torch

from daemon.config.score import ScoreConfig
from daemon.errors import Kind, ScorerError, VideoError
from daemon.model import Outcome, Picture
from daemon.scoring import catalog
from daemon.scoring.metric_table import Local, Metric
from daemon.scoring.pyiqa_backend import patches
from daemon.scoring.pyiqa_backend.build import build
from daemon.scoring.pyiqa_backend.failures import device_lost
from daemon.scoring.pyiqa_backend.forward import Forward
from daemon.scoring.pyiqa_backend.precision import samples
from daemon.scoring.pyiqa_backend.scorer import PyiqaScorer
from daemon.scoring.pyiqa_backend.transfer import BUFFERS, CudaTransfer
from tests.integration.scoring.test_far_device import CUDA, Far, FarEvent, FarGpu
from tests.pyiqa_modules import pyiqa_module

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def noise(height: int = 8, width: int = 8, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def batches(count: int, size: int = 4) -> list[list[Picture]]:
    return [[noise(seed=index * size + one) for one in range(size)] for index in range(count)]


def means(pictures: list[Picture]) -> Any:
    return pytest.approx([float(picture.mean()) / 255 for picture in pictures], rel=1e-5)


class Mean(torch.nn.Module):
    """The mean of each picture, which keeps a copy of the batch while it works."""

    def __init__(self, look: Callable[[torch.Tensor], None] = lambda _: None) -> None:
        super().__init__()
        self.look = look
        self.sizes: list[int] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(batch))
        self.look(batch)
        kept = batch + 0.0
        return kept.mean(dim=(1, 2, 3))


def scorer_of(net: torch.nn.Module, *, max_batch: int = 16, solo: bool = False) -> PyiqaScorer:
    metric = Metric("mean", False, 1, 1.0, solo=solo, local=Local.NONE)
    forward = Forward(metric, net, CUDA)
    return PyiqaScorer(metric, forward, CUDA, ScoreConfig(max_batch=max_batch), identity="mean")


def one_behind(scorer: PyiqaScorer, work: list[list[Picture]]) -> list[list[Outcome]]:
    """As the pipeline does it: the next batch is under way before the last one is fetched."""
    outcomes, behind = [], None
    for pictures in work:
        result = scorer.submit(pictures)
        if behind is not None:
            outcomes.append(behind())
        behind = result
    assert behind is not None
    return [*outcomes, behind()]


# ---- copies and waiting


@pytest.mark.parametrize("solo", [True, False])
def test_a_batch_goes_and_comes_back_in_one_copy_each_and_nothing_blocks(solo: bool) -> None:
    work = batches(6)
    with FarGpu(copy_seconds=0.5, costs={"mean": 1.0}) as gpu:
        outcomes = one_behind(scorer_of(Mean(), solo=solo), work)
    for pictures, found in zip(work, outcomes, strict=True):
        assert [outcome.score for outcome in found] == means(pictures)
    assert (gpu.uploads, gpu.downloads, gpu.blocking) == (6, 6, [])
    # One for the numbers of each batch, and one for each buffer that is used again, which is over by then.
    assert gpu.waits == 6 + (6 - BUFFERS)
    assert gpu.recorded == 6


def test_a_network_that_makes_the_host_wait_is_noticed() -> None:
    def look(batch: torch.Tensor) -> None:
        assert batch.max().item() <= 1.0

    with FarGpu() as gpu:
        scorer_of(Mean(look)).score([noise()])
    assert gpu.blocking == ["aten.item.default"]


def test_every_tensor_is_where_it_should_be() -> None:
    seen: list[torch.Tensor] = []
    with FarGpu():
        scorer_of(Mean(seen.append)).score([noise(), noise(seed=1)])
    assert [(type(batch), batch.device, batch.dtype) for batch in seen] == [(Far, CUDA, torch.float32)]


def test_a_tensor_left_on_the_host_is_noticed() -> None:
    constant = torch.ones(3, 1, 1)

    def look(batch: torch.Tensor) -> None:
        batch * constant

    with FarGpu(), pytest.raises(ScorerError, match="same device"):
        scorer_of(Mean(look)).score([noise()])


# ---- overlap


def elapsed(run: Callable[[PyiqaScorer, list[list[Picture]]], object], count: int) -> float:
    with FarGpu(copy_seconds=1.0, costs={"mean": 4.0}) as gpu:
        run(scorer_of(Mean()), batches(count))
        return gpu.now


def test_the_next_batch_is_copied_while_one_is_computed() -> None:
    # The first copy comes first, the last numbers come last; between them the device always computes,
    # but for the way of a batch's numbers back.
    assert elapsed(one_behind, 10) == 1.0 + 10 * (4.0 + 1.0)


def test_one_batch_after_the_other_takes_longer() -> None:
    assert elapsed(lambda scorer, work: [scorer.score(pictures) for pictures in work], 10) == 10 * (1.0 + 4.0 + 1.0)


def test_no_more_than_two_batches_are_under_way() -> None:
    with FarGpu(copy_seconds=1.0, costs={"mean": 4.0}) as gpu:
        scorer = scorer_of(Mean())
        pending = [scorer.submit(pictures) for pictures in batches(5)]
        # The fifth needs the buffer of the third, which is over after three of ten seconds each.
        assert gpu.now == 1.0 + 3 * 5.0
        assert all(len(result()) == 4 for result in pending)


def test_a_buffer_that_did_not_wait_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with FarGpu(copy_seconds=1.0, costs={"mean": 4.0}):
        scorer = scorer_of(Mean())
        monkeypatch.setattr(FarEvent, "synchronize", lambda _: None)
        first, second, third = batches(3)
        scorer.submit(first)
        scorer.submit(second)
        with pytest.raises(AssertionError, match="filled again"):
            scorer.submit(third)


def test_results_may_be_asked_for_in_any_order_or_never() -> None:
    work = batches(4)
    with FarGpu(copy_seconds=1.0):
        scorer = scorer_of(Mean())
        first, second = scorer.submit(work[0]), scorer.submit(work[1])
        scorer.submit(work[2])
        assert [outcome.score for outcome in second()] == means(work[1])
        assert [outcome.score for outcome in first()] == means(work[0])
        assert [outcome.score for outcome in scorer.score(work[3])] == means(work[3])


def test_the_pace_is_the_devices_own_and_not_how_late_it_was_asked() -> None:
    with FarGpu(copy_seconds=0.05, costs={"mean": 0.2}) as gpu:
        scorer = scorer_of(Mean())
        result = scorer.submit([noise()])
        gpu.reach(1000.0)
        result()
        assert scorer.batch_size(8, 8, 1) == 3


def test_the_host_does_nothing_before_its_result_is_asked_for_on_a_cpu() -> None:
    metric = Metric("mean", False, 1, 1.0, local=Local.NONE)
    net = Mean()
    scorer = PyiqaScorer(metric, Forward(metric, net, CPU), CPU, ScoreConfig(), identity="mean")
    work = batches(2)
    pending = [scorer.submit(pictures) for pictures in work]
    assert net.sizes == []
    for result, pictures in zip(pending, work, strict=True):
        assert [outcome.score for outcome in result()] == means(pictures)
    scorer.close()
    with pytest.raises(ScorerError, match="closed"):
        pending[0]()


# ---- memory


def test_batches_shrink_to_what_the_device_holds_while_another_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = [*batches(1), *batches(5, size=8)]
    # Eight pictures are 1536 bytes on the way and, in float32, two times 6144.
    with FarGpu(limit=13_000) as gpu, structlog.testing.capture_logs() as logs:
        # Something else takes the memory between the look at it and its use.
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (2**40, 2**40))
        net = Mean()
        outcomes = one_behind(scorer_of(net), work)
    assert [outcome.score for found in outcomes for outcome in found] == means([p for one in work for p in one])
    assert net.sizes == [4, 8, *[4] * 10]
    assert [(entry["event"], entry["new"]) for entry in logs] == [("scorer.batch_resized", 4)]
    assert gpu.live == 0


def test_the_free_memory_of_the_device_bounds_the_batch() -> None:
    # Per sample: one byte in each of two buffers, four as float32, four in the metric; a fifth is left alone.
    with FarGpu(limit=int(1000 * 1000 * 3 * (2 + 4 + 4) * 5 / 0.8) + 100):
        scorer = scorer_of(Mean())
        scorer.score([noise()])
        assert scorer.batch_size(1000, 1000, 1) == 5


def test_one_frame_that_does_not_fit_fails_its_video_and_not_the_batch_before() -> None:
    with FarGpu(limit=30_000):
        scorer = scorer_of(Mean())
        small = [noise(), noise(seed=1)]
        result = scorer.submit(small)
        with pytest.raises(VideoError, match="one frame of 64x64 does not fit") as caught:
            scorer.submit([noise(64, 64)])
        assert caught.value.kind is Kind.OUT_OF_MEMORY
        assert [outcome.score for outcome in result()] == means(small)
        assert [outcome.score for outcome in scorer.score(small)] == means(small)


# ---- a lost device


@pytest.mark.parametrize("moment", ["launch", "wait"])
def test_a_device_that_is_lost_in_mid_run_surfaces(moment: str) -> None:
    with FarGpu() as gpu:
        scorer = scorer_of(Mean())
        work = batches(3)
        assert len(scorer.score(work[0])) == 4
        behind = scorer.submit(work[1])
        gpu.lost = moment

        def go_on() -> None:
            scorer.submit(work[2])
            behind()

        with pytest.raises(ScorerError, match="unspecified launch failure") as caught:
            go_on()
        assert caught.value.kind is Kind.DEVICE
        scorer.close()


def test_a_device_that_is_lost_is_noticed_wherever_it_is_asked_first() -> None:
    """While the next batch is measured out, or by the outcomes of the one before."""
    with FarGpu() as gpu:
        scorer = scorer_of(Mean())
        work = batches(2)
        scorer.score(work[0])
        behind = scorer.submit(work[1])
        gpu.lost = "wait"
        with pytest.raises(ScorerError) as caught:
            behind()
        assert caught.value.kind is Kind.DEVICE
        gpu.lost = "launch"
        with pytest.raises(ScorerError) as caught:
            scorer.batch_size(8, 8, 1)
        assert caught.value.kind is Kind.DEVICE
        scorer.close()


def test_what_torch_raises_for_a_lost_device_is_known() -> None:
    error = getattr(torch, "AcceleratorError", RuntimeError)
    assert device_lost(error("CUDA error: unspecified launch failure"))
    assert not device_lost(error("CUDA error: out of memory"))


# ---- real networks


@pytest.fixture(scope="module")
def topiq_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_topiq(tmp_path_factory.mktemp("weights") / "topiq.pth")


def random_topiq(path: Path) -> Path:
    from daemon.scoring.pyiqa_backend import patches

    patches.make_torchvision_importable()
    with patches.quiet(), patches.without_backbone_weights():
        torch.manual_seed(0)
        net = pyiqa_module("archs.topiq_arch").CFANet(semantic_model_name="resnet50", use_ref=False, pretrained=None)
    torch.save({"params": net.state_dict()}, path)
    return path


@pytest.mark.model
@pytest.mark.parametrize("reduced", [None, torch.float16])
def test_a_real_network_keeps_to_the_device(topiq_file: Path, reduced: torch.dtype | None) -> None:
    metric = catalog.find("topiq_nr")
    net = build(metric, CPU, local=topiq_file).net
    work = [[picture[:64, :64] for picture in samples()[index : index + 2]] for index in (0, 2)]
    expected = []
    with Forward(metric, net, CPU).mode():
        for pictures in work:
            expected += Forward(metric, net, CPU)(torch.from_numpy(np.stack(pictures))).tolist()
    with FarGpu() as gpu:
        gpu.move(net)
        patches.keep_constants_on_device(net, CUDA)
        scorer = PyiqaScorer(metric, Forward(metric, net, CUDA, reduced), CUDA, ScoreConfig(), identity="x")
        before = (gpu.uploads, gpu.downloads, len(gpu.blocking))
        outcomes = [outcome.score for found in one_behind(scorer, work) for outcome in found]
        assert (gpu.uploads, gpu.downloads, len(gpu.blocking)) == (before[0] + 2, before[1] + 2, before[2])
    assert outcomes == pytest.approx(expected, abs=1e-5 if reduced is None else 5e-3)


@pytest.mark.model
def test_a_network_that_brings_its_constants_along_is_noticed(topiq_file: Path) -> None:
    metric = catalog.find("topiq_nr")
    net = build(metric, CPU, local=topiq_file).net
    with FarGpu() as gpu:
        gpu.move(net)
        scorer = PyiqaScorer(metric, Forward(metric, net, CUDA), CUDA, ScoreConfig(), identity="x")
        scorer.score([samples()[0][:64, :64]])
    assert gpu.uploads > 1
    assert "copy" in gpu.blocking


@pytest.mark.model
def test_our_mean_opinion_is_pyiqas() -> None:
    import importlib

    shares = torch.rand(3, 10)
    source = importlib.reload(pyiqa_module("archs.arch_util")).dist_to_mos
    assert torch.equal(patches.mean_opinion(shares), source(shares))


def test_buffers_are_given_back() -> None:
    with FarGpu():
        transfer = CudaTransfer(CUDA)
        transfer.upload([noise()])
        transfer.free()
        assert transfer.upload([noise(seed=1)]).shape == (1, 8, 8, 3)
