"""Batches, memory, time and failures of the torch scorer, with small networks in place of metrics."""

from collections.abc import Callable

import numpy as np
import pytest
import structlog
import torch

from daemon.config.score import ScoreConfig
from daemon.errors import Kind, ScorerError, VideoError
from daemon.media.scorable import is_flat
from daemon.model import Outcome, Picture
from daemon.scoring.metric_table import Local, Metric
from daemon.scoring.pyiqa_backend.device import find_device
from daemon.scoring.pyiqa_backend.forward import Forward
from daemon.scoring.pyiqa_backend.scorer import PyiqaScorer
from daemon.scoring.pyiqa_backend.transfer import Staging
from tests.integration.scoring.test_far_device import CUDA, FarGpu

CPU = torch.device("cpu")
GIB = 2**30


def noise(height: int = 64, width: int = 80, seed: int = 0, dtype: type = np.uint8) -> Picture:
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, (height, width, 3), dtype=dtype, endpoint=True)


class Mean(torch.nn.Module):
    """The mean of each picture; ``refuse`` is called with the batch first."""

    def __init__(self, refuse: Callable[[torch.Tensor], None] = lambda _: None) -> None:
        super().__init__()
        self.refuse = refuse
        self.sizes: list[int] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(batch))
        self.refuse(batch)
        return batch.mean(dim=(1, 2, 3)).squeeze()


def scorer_of(
    net: torch.nn.Module,
    device: torch.device = CPU,
    *,
    max_batch: int = 16,
    side: int = 1,
    solo: bool = False,
    free_bytes: int = 64 * GIB,
    clock: Callable[[], float] = lambda: 0.0,
) -> PyiqaScorer:
    metric = Metric("mean", False, side, 1.0, solo=solo, local=Local.NONE)
    config = ScoreConfig(max_batch=max_batch)
    forward = Forward(metric, net, device)
    return PyiqaScorer(metric, forward, device, config, identity="mean", free_bytes=lambda: free_bytes, clock=clock)


def fails_above(limit: int, error: Exception) -> Callable[[torch.Tensor], None]:
    def refuse(batch: torch.Tensor) -> None:
        if len(batch) > limit:
            raise error

    return refuse


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "cpu", "python"])
def test_out_of_memory_halves_the_batch_and_loses_no_frame(error: Exception) -> None:
    net = Mean(fails_above(3, error))
    pictures = [np.full((8, 8, 3), level, np.uint8) for level in range(16)]
    for picture in pictures:
        picture[0, 0] += 100
    with structlog.testing.capture_logs() as logs, FarGpu():
        outcomes = scorer_of(net, CUDA).score(pictures)
    assert [outcome.score for outcome in outcomes] == pytest.approx([float(p.mean()) / 255 for p in pictures])
    assert net.sizes == [16, 8, 4, *[2] * 8]
    events = [(entry["event"], entry["old"], entry["new"]) for entry in logs]
    assert events == [("scorer.batch_resized", 16, 8), ("scorer.batch_resized", 8, 4), ("scorer.batch_resized", 4, 2)]
    assert all(entry["reason"] for entry in logs)


def test_the_batch_grows_back_when_memory_is_there_again() -> None:
    crowded = True

    def refuse(batch: torch.Tensor) -> None:
        if crowded and len(batch) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with FarGpu():
        scorer = scorer_of(Mean(refuse), CUDA, max_batch=4)
        pictures = [noise(8, 8, seed) for seed in range(4)]
        scorer.score(pictures)
        assert scorer.batch_size(8, 8, 1) == 1
        crowded = False
        for _ in range(64):
            scorer.score(pictures)
        assert scorer.batch_size(8, 8, 1) == 4


def test_a_single_frame_that_does_not_fit_fails_its_video_and_not_the_scorer() -> None:
    def refuse(batch: torch.Tensor) -> None:
        if batch.shape[2] > 8:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    scorer = scorer_of(Mean(refuse))
    with pytest.raises(VideoError, match="one frame of 20x16 does not fit") as caught:
        scorer.score([noise(16, 20)])
    assert caught.value.kind is Kind.OUT_OF_MEMORY
    assert scorer.score([noise(8, 8)])[0].score is not None


def test_free_memory_bounds_the_batch() -> None:
    # One picture is computed (8 bytes per sample), all of them wait in the buffer; 3/4 of the host are left alone.
    samples = 1000 * 1000 * 3
    scorer = scorer_of(Mean(), free_bytes=samples * 4 * (8 + 4))
    scorer.score([noise(8, 8)])
    assert scorer.batch_size(1000, 1000, 1) == 4
    assert scorer.batch_size(1000, 1000, 2) == 2
    assert scorer_of(Mean(), free_bytes=0).batch_size(1000, 1000, 1) == 1


def test_a_batch_takes_about_the_configured_time() -> None:
    ticks = iter(range(1000))
    scorer = scorer_of(Mean(), clock=lambda: next(ticks) * 0.25)
    assert scorer.batch_size(8, 8, 1) == 1
    scorer.score([noise(8, 8)])
    assert scorer.batch_size(8, 8, 1) == 4
    assert scorer.batch_size(16, 16, 1) == 1


def test_sizes_and_depths_may_be_mixed() -> None:
    net = Mean()
    pictures = [noise(8, 8), noise(8, 8, 1), noise(8, 9, 2), noise(8, 8, 3, np.uint16), noise(8, 8, 4)]
    scores = [outcome.score for outcome in scorer_of(net).score(pictures)]
    assert net.sizes == [1] * 5
    assert scores == pytest.approx([float(p.mean()) / np.iinfo(p.dtype).max for p in pictures], rel=1e-5)


def test_small_pictures_are_scaled_up_and_stay_in_range() -> None:
    seen: list[torch.Tensor] = []
    scorer_of(Mean(seen.append), side=32).score([noise(10, 20), noise(40, 40)])
    assert [tuple(batch.shape) for batch in seen] == [(1, 3, 32, 64), (1, 3, 40, 40)]
    assert all(bool(((batch >= 0.0) & (batch <= 1.0)).all()) for batch in seen)


@pytest.mark.parametrize(("dtype", "unit"), [(np.uint8, 1), (np.uint16, 257)])
def test_flat_pictures_are_noted_without_asking_the_metric(dtype: type, unit: int) -> None:
    flat = np.full((40, 40, 3), 100 * unit, dtype)
    flat[..., 1] = 20 * unit
    flat[5, 5] += 3 * unit
    logo = flat.copy()
    logo[17, 19, 2] += 4 * unit
    assert is_flat(flat)
    assert not is_flat(logo)
    net = Mean()
    dull, fine = scorer_of(net).score([flat, logo])
    assert dull == Outcome(None, "flat")
    assert fine.score is not None
    assert net.sizes == [1]


@pytest.mark.parametrize("solo", [True, False])
def test_one_bad_picture_leaves_its_neighbours_their_scores(solo: bool) -> None:
    def refuse(batch: torch.Tensor) -> None:
        if bool((batch.mean(dim=(1, 2, 3)) < 0.1).any()):
            raise torch.linalg.LinAlgError("svd: did not converge\nsecond line")

    dark = noise(8, 8) // 12
    good, bad, also_good = scorer_of(Mean(refuse), solo=solo).score([noise(8, 8, 1), dark, noise(8, 8, 2)])
    assert good.score is not None
    assert bad == Outcome(None, "error: svd: did not converge")
    assert also_good.score is not None


def test_what_is_not_a_number_is_noted() -> None:
    net = torch.nn.Module()
    net.forward = lambda batch: torch.where(batch.mean(dim=(1, 2, 3)) < 0.1, torch.nan, 1.0)
    assert scorer_of(net).score([noise(8, 8), noise(8, 8) // 12]) == [Outcome(1.0), Outcome(None, "nan")]


def test_a_metric_that_fails_on_everything_is_said_to_be_broken() -> None:
    scorer = scorer_of(Mean(fails_above(0, TypeError("expected Float but found Double"))))
    with pytest.raises(ScorerError, match=r"mean fails on every picture of 8x8 \(expected Float") as caught:
        scorer.score([noise(8, 8), noise(8, 8, 1)])
    assert caught.value.kind is Kind.SCORE


def test_a_metric_that_never_gives_a_number_is_said_to_be_broken() -> None:
    net = torch.nn.Module()
    net.forward = lambda batch: batch.mean(dim=(1, 2, 3)) * torch.nan
    with pytest.raises(ScorerError, match=r"fails on every picture of 8x8 \(nan"):
        scorer_of(net).score([noise(8, 8)])


def test_a_film_that_starts_with_degenerate_pictures_does_not_condemn_the_metric() -> None:
    def refuse(batch: torch.Tensor) -> None:
        if float(batch.mean()) < 0.1:
            raise ValueError("degenerate")

    scorer = scorer_of(Mean(refuse), solo=True)
    dark = noise(8, 8) // 12
    assert scorer.score([dark, dark]) == [Outcome(None, "error: degenerate")] * 2


@pytest.mark.parametrize("solo", [True, False])
def test_a_lost_device_is_not_hidden(solo: bool) -> None:
    error = RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors")
    with pytest.raises(ScorerError, match="an illegal memory access") as caught:
        scorer_of(Mean(fails_above(0, error)), solo=solo).score([noise(8, 8), noise(8, 8, 1)])
    assert caught.value.kind is Kind.DEVICE


def test_a_wrong_count_of_answers_is_an_error() -> None:
    net = torch.nn.Module()
    net.forward = lambda _: torch.ones(3)
    with pytest.raises(ScorerError, match="gave 3 numbers for 1 pictures"):
        scorer_of(net).score([noise(8, 8)])


def test_random_crops_are_the_same_for_the_same_picture() -> None:
    net = torch.nn.Module()
    net.forward = lambda batch: batch[:, 0, np.random.randint(8), int(torch.randint(8, ()))]
    scorer = scorer_of(net)
    picture = noise(8, 8)
    alone = scorer.score([picture])
    assert scorer.score([picture, noise(8, 8, 1)])[0] == alone[0]


# ---- buffers


def test_the_staging_buffer_is_reused_and_grows() -> None:
    staging = Staging(pinned=False)
    first = staging.fill([noise(8, 8), noise(8, 8, 1)])
    place = first.data_ptr()
    assert first.dtype is torch.uint8
    assert np.array_equal(first[1].numpy(), noise(8, 8, 1))
    wide = staging.fill([noise(8, 8, 2, np.uint16)])
    assert wide.data_ptr() == place
    assert wide.dtype is torch.uint16
    assert np.array_equal(wide[0].numpy(), noise(8, 8, 2, np.uint16))
    assert len(staging.fill([noise(8, 8)] * 5)) == 5


# ---- life


def test_a_closed_scorer_says_so() -> None:
    scorer = scorer_of(Mean())
    scorer.close()
    scorer.close()
    with pytest.raises(ScorerError, match="closed"):
        scorer.score([noise(8, 8)])


def test_a_device_that_is_not_there_is_refused() -> None:
    assert find_device("cpu") == CPU
    with pytest.raises(ScorerError, match="cuda:63") as caught:
        find_device("cuda:63")
    assert caught.value.kind is Kind.DEVICE
