"""The torch scorer with real metrics of pyiqa, as far as weights are at hand. Nothing is fetched."""

import importlib.metadata
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from daemon.config.score import ScoreConfig
from daemon.errors import Kind, ScorerError, StillwatchError
from daemon.model import Picture
from daemon.scoring import catalog
from daemon.scoring.open_scorer import open_scorer
from daemon.scoring.protocol import Scorer
from daemon.scoring.pyiqa_backend import patches
from daemon.scoring.pyiqa_backend.build import Built, build, digest, load_state
from daemon.scoring.pyiqa_backend.deferred_imports import deferred_imports
from daemon.scoring.pyiqa_backend.forward import Forward
from daemon.scoring.pyiqa_backend.scorer import PyiqaScorer
from tests.pyiqa_modules import pyiqa_module

CPU = torch.device("cpu")
GIB = 2**30

CALIBRATION = {
    "niqe": {"I03": 15.6558, "I04": 3.6549, "I06": 3.2342, "I08": 3.1917, "I19": 9.0727},
    "piqe": {"I03": 100.0, "I04": 21.6242, "I06": 35.8646, "I08": 41.1471, "I19": 76.9485},
}


def noise(height: int = 64, width: int = 80, seed: int = 0, dtype: type = np.uint8) -> Picture:
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, (height, width, 3), dtype=dtype, endpoint=True)


@pytest.fixture(scope="module")
def calibration() -> dict[str, Picture]:
    files = [file for file in importlib.metadata.files("pyiqa") or [] if "ResultsCalibra/dist_dir" in str(file)]
    return {file.stem: np.asarray(Image.open(str(file.locate())).convert("RGB")) for file in files}


@pytest.fixture
def opened() -> Iterator[Callable[..., Scorer]]:
    scorers: list[Scorer] = []

    def open_one(**settings: Any) -> Scorer:
        scorers.append(open_scorer(ScoreConfig(device="cpu", **settings)))
        return scorers[-1]

    yield open_one
    for scorer in scorers:
        scorer.close()


# ---- real metrics


@pytest.mark.model
@pytest.mark.parametrize("metric", ["niqe", "piqe"])
def test_calibration_pictures_get_the_published_figures(
    metric: str, calibration: dict[str, Picture], opened: Callable[..., Scorer]
) -> None:
    scorer = opened(metric=metric)
    assert len(calibration) == 5
    for name, picture in calibration.items():
        (outcome,) = scorer.score([picture])
        assert outcome.score is not None
        assert abs(outcome.score - CALIBRATION[metric][name]) <= 0.001, name


@pytest.mark.model
@pytest.mark.parametrize("metric", ["niqe", "piqe"])
def test_a_score_is_exactly_the_same_alone_and_among_sixteen(
    metric: str, calibration: dict[str, Picture], opened: Callable[..., Scorer]
) -> None:
    scorer = opened(metric=metric)
    three = [picture[:192, :192] for picture in calibration.values()][:3]
    batch = [three[index % 3] for index in range(16)]
    alone = [scorer.score([picture])[0] for picture in three]
    assert None not in {outcome.score for outcome in alone}
    assert scorer.score(batch) == [alone[index % 3] for index in range(16)]


@pytest.mark.model
def test_sixteen_bits_of_the_same_picture_give_the_same_score(
    calibration: dict[str, Picture], opened: Callable[..., Scorer]
) -> None:
    picture = calibration["I06"]
    one, other = opened(metric="niqe", implementation="pyiqa").score([picture, picture.astype(np.uint16) * 257])
    assert one.score == pytest.approx(other.score, abs=1e-3)


@pytest.mark.model
# NIQE takes the covariance of the blocks that are not flat, and warns that there are none.
@pytest.mark.filterwarnings(r"ignore:cov\(\):UserWarning")
def test_niqe_scores_small_and_letterboxed_pictures_and_survives_degenerate_ones(
    calibration: dict[str, Picture], opened: Callable[..., Scorer]
) -> None:
    picture = calibration["I06"]
    boxed = picture.copy()
    boxed[:100] = 0
    blank = np.zeros_like(picture)
    blank[:, -8:] = picture[:, -8:]
    good, small, letterbox, degenerate, again = opened(metric="niqe", implementation="pyiqa").score(
        [picture, picture[:120, :160], boxed, blank, picture]
    )
    assert good == again
    assert good.score == pytest.approx(3.2342, abs=1e-3)
    assert small.score is not None
    assert letterbox.score is not None
    assert degenerate.score is None
    assert (degenerate.note or "").startswith("error: linalg")


@pytest.mark.model
def test_the_identity_names_what_changes_a_number(opened: Callable[..., Scorer]) -> None:
    scorer = opened(metric="niqe", implementation="pyiqa", precision="amp")
    metric, version, weights, size, precision = scorer.identity.split("|")
    assert metric == scorer.metric == "niqe"
    assert version == f"pyiqa {importlib.metadata.version('pyiqa')}"
    assert weights.startswith("weights sha256:")
    assert (size, precision) == ("size native,min 192", "fp32")
    assert scorer.identity == opened(metric="niqe", implementation="pyiqa").identity
    assert "weights none" in opened(metric="piqe").identity
    assert scorer.lower_better
    assert scorer.device == "cpu"


@pytest.mark.model
def test_building_prints_nothing_and_leaves_pyiqas_logger_to_ours(
    opened: Callable[..., Scorer], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    opened(metric="cnniqa", weights=cnniqa_file(tmp_path / "cnniqa.pth"), precision="fp32")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("pyiqa").handlers == []
    assert logging.getLogger("pyiqa").propagate


@pytest.mark.model
def test_piqe_does_not_keep_the_masks_of_its_last_pictures() -> None:
    built = build(catalog.find("piqe"), CPU)
    metric = catalog.find("piqe")
    scorer = PyiqaScorer(metric, Forward(metric, built.net, CPU), CPU, ScoreConfig(), identity="x")
    assert scorer.score([noise()])[0].score is not None
    assert built.net.results is None


@pytest.mark.model
def test_pyiqas_wrapper_says_that_it_is_training_and_what_we_run_is_not() -> None:
    inference = pyiqa_module("models.inference_model")
    with deferred_imports():
        assert inference.InferenceModel("piqe", device=CPU).training
    assert not build(catalog.find("piqe"), CPU).net.training


# ---- local weights


def cnniqa_file(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    torch.save({"params": pyiqa_module("archs.cnniqa_arch").CNNIQA(pretrained=None).state_dict()}, path)
    return path


@pytest.mark.model
def test_a_network_scores_the_same_alone_and_among_sixteen(tmp_path: Path, opened: Callable[..., Scorer]) -> None:
    scorer = opened(metric="cnniqa", weights=cnniqa_file(tmp_path / "cnniqa.pth"))
    pictures = [noise(seed=seed) for seed in range(16)]
    alone = [scorer.score([picture])[0].score for picture in pictures]
    together = [outcome.score for outcome in scorer.score(pictures)]
    assert len(set(alone)) > 1
    assert together == pytest.approx(alone, abs=1e-6)


@pytest.mark.model
def test_other_weights_are_another_identity(tmp_path: Path, opened: Callable[..., Scorer]) -> None:
    one = opened(metric="cnniqa", weights=cnniqa_file(tmp_path / "one.pth"))
    same = opened(metric="cnniqa", weights=cnniqa_file(tmp_path / "same.pth"))
    other = opened(metric="cnniqa", weights=cnniqa_file(tmp_path / "other.pth", seed=1))
    assert one.identity == same.identity != other.identity


class Program:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self._canary,)


@pytest.mark.model
@pytest.mark.parametrize("metric", ["brisque", "cnniqa", "liqe"])
@pytest.mark.parametrize("wrap", [lambda program: program, lambda program: {"params": {"weight": program}}])
def test_a_weights_file_runs_no_code(tmp_path: Path, metric: str, wrap: Callable[[Any], Any]) -> None:
    path, canary = tmp_path / "weights.pth", tmp_path / "canary"
    torch.save(wrap(Program(canary)), path)
    with pytest.raises(ScorerError) as caught:
        open_scorer(ScoreConfig(metric=metric, weights=path, device="cpu"))
    assert caught.value.kind is Kind.WEIGHTS
    assert not canary.exists()


def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any) -> None:
    """Weights of brisque as if `pull` had been here."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = catalog.locate("pyiqa/brisque_svm_weights.pth")
    path.parent.mkdir(parents=True)
    torch.save(content, path)
    module = pyiqa_module("archs.brisque_arch")
    # It has read the place of its cache when it was imported.
    monkeypatch.setattr(module, "load_file_from_url", lambda _: str(path))


@pytest.mark.model
@pytest.mark.parametrize("wrap", [lambda program: program, lambda program: (torch.zeros(1, 774), program)])
def test_weights_that_were_fetched_run_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrap: Callable[[Any], Any]
) -> None:
    canary = tmp_path / "canary"
    fetched(tmp_path, monkeypatch, wrap(Program(canary)))
    with pytest.raises(ScorerError, match=r"more than tensors.*use another metric") as caught:
        open_scorer(ScoreConfig(metric="brisque", device="cpu"))
    assert caught.value.kind is Kind.WEIGHTS
    assert not canary.exists()


@pytest.mark.model
@pytest.mark.parametrize("extra", [np.float64(1.5), np.arange(5.0), np.zeros((2, 3), np.float32), np.int64(3)])
def test_weights_that_were_fetched_may_hold_numbers_of_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: Any
) -> None:
    fetched(tmp_path, monkeypatch, (torch.zeros(1, 774), torch.zeros(774, 36)))
    open_scorer(ScoreConfig(metric="brisque", device="cpu"))
    path = tmp_path / "numbers.pth"
    torch.save({"value": extra}, path)
    with patches.only_tensors("brisque"):
        assert np.array_equal(torch.load(path, weights_only=False)["value"], extra)


@pytest.mark.model
def test_an_array_of_objects_is_no_number(tmp_path: Path) -> None:
    path, canary = tmp_path / "objects.pth", tmp_path / "canary"
    torch.save({"value": np.array([Program(canary)], object)}, path)
    with patches.only_tensors("brisque"), pytest.raises(ScorerError, match="more than tensors"):
        torch.load(path, weights_only=False)
    assert not canary.exists()


@pytest.mark.model
def test_brisque_takes_a_file_of_tensors(tmp_path: Path) -> None:
    torch.save((torch.zeros(1, 774), torch.zeros(774, 36)), tmp_path / "brisque.pth")
    open_scorer(ScoreConfig(metric="brisque", weights=tmp_path / "brisque.pth", device="cpu"))


@pytest.mark.model
@pytest.mark.parametrize("content", [b"not weights", {"weight": torch.zeros(1)}, [1, 2]])
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "wrong.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ScorerError, match="does not fit cnniqa") as caught:
        open_scorer(ScoreConfig(metric="cnniqa", weights=path, device="cpu"))
    assert caught.value.kind is Kind.WEIGHTS


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize(("name", "arch"), [("hyperiqa", "HyperNet"), ("unique", "UNIQUE"), ("dbcnn", "DBCNN")])
def test_a_full_checkpoint_needs_no_backbone_from_elsewhere(name: str, arch: str, tmp_path: Path) -> None:
    bare = catalog.find(name)
    first = tmp_path / "empty.pth"
    torch.save({}, first)
    with pytest.raises(ScorerError, match="it lacks"):
        build(bare, CPU, local=first)

    module = sys.modules[pyiqa_module("archs").ARCH_REGISTRY.get(arch).__module__]
    with patches.without_backbone_weights(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_pretrained_network", lambda *_, **__: None)
        torch.manual_seed(0)
        network = getattr(module, arch)()
    full = tmp_path / "full.pth"
    torch.save(network.state_dict(), full)
    built = build(bare, CPU, local=full)
    assert built.digest == digest(network)


@pytest.mark.model
def test_building_never_reaches_for_the_network_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    download = pyiqa_module("utils.download_util")
    monkeypatch.setattr(download, "DEFAULT_CACHE_DIR", str(tmp_path))
    look_up = socket.getaddrinfo
    with pytest.raises(ScorerError, match=r"weights of cnniqa cannot be loaded .*nothing is fetched") as caught:
        build(catalog.find("cnniqa"), CPU)
    assert caught.value.kind is Kind.WEIGHTS
    assert socket.getaddrinfo is look_up


def test_a_checkpoint_may_come_from_parallel_training(tmp_path: Path) -> None:
    net = torch.nn.Linear(2, 1)
    path = tmp_path / "state.pth"
    torch.save({"state_dict": {f"module.{key}": value + 1 for key, value in net.state_dict().items()}}, path)
    before = net.bias.item()
    load_state(net, path)
    assert net.bias.item() == pytest.approx(before + 1)


def test_the_digest_sees_parameters_outside_the_state_dict() -> None:
    net = torch.nn.Module()
    assert digest(net) is None
    digests = set()
    for value in (torch.zeros(2), torch.zeros(2, dtype=torch.float64), [np.ones(2)], [torch.nn.Linear(1, 1)]):
        net.hidden = value
        digests.add(digest(net))
    assert len(digests) == 4
    assert None not in digests


@pytest.mark.model
def test_weights_in_pyiqas_cache_are_the_same_as_a_local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    download = pyiqa_module("utils.download_util")
    metric = catalog.find("cnniqa")
    monkeypatch.setattr(download, "DEFAULT_CACHE_DIR", str(tmp_path))
    file = cnniqa_file(tmp_path / Path(metric.weights[0]).name)
    assert build(metric, CPU).digest == build(metric, CPU, local=file).digest


def test_declaring_operators_again_changes_nothing() -> None:
    patches.make_torchvision_importable()
    patches.declare_operators()
    patches.declare_operators()
    assert hasattr(torch.ops.torchvision, "nms")


def test_a_metric_that_cannot_be_built_is_a_metric_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import daemon.scoring.pyiqa_backend.build as module

    def broken(*_: object) -> Built:
        raise TypeError("unexpected keyword")

    monkeypatch.setattr(module, "_network_of", broken)
    with pytest.raises(StillwatchError, match=r"piqe cannot be built \(unexpected keyword") as caught:
        build(catalog.find("piqe"), CPU)
    assert caught.value.kind is Kind.METRIC


@pytest.mark.cuda
@pytest.mark.model
def test_cuda_gives_the_numbers_of_the_cpu(calibration: dict[str, Picture], opened: Callable[..., Scorer]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    picture = calibration["I06"]
    scorer = open_scorer(ScoreConfig(metric="niqe", device="cuda"))
    try:
        assert scorer.score([picture])[0].score == pytest.approx(3.2342, abs=5e-3)
    finally:
        scorer.close()
