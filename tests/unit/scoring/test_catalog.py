import subprocess
import sys
from pathlib import Path

import pytest

from daemon.errors import Kind, ScorerError
from daemon.scoring import catalog
from daemon.scoring.metric_table import METRICS, REFUSED

LOWER_IS_BETTER = {"brisque", "brisque_matlab", "ilniqe", "niqe", "niqe_matlab", "pi", "piqe"}


def test_directions_are_those_of_the_papers() -> None:
    assert {name for name, metric in METRICS.items() if metric.lower_better} == LOWER_IS_BETTER


def test_pyiqa_has_not_turned_a_metric_round() -> None:
    for metric in catalog.usable():
        assert catalog.configs()[metric.name].get("lower_better", False) is metric.lower_better, metric.name


def test_every_single_picture_metric_of_pyiqa_is_usable_or_refused_with_a_reason() -> None:
    blind = {name for name, entry in catalog.configs().items() if entry["metric_mode"] == "NR"}
    assert blind <= METRICS.keys() | REFUSED.keys()
    assert not METRICS.keys() & REFUSED.keys()
    assert {metric.name for metric in catalog.usable()} == METRICS.keys()


def test_weights_are_named_as_in_pyiqas_code() -> None:
    import importlib.util

    spec = importlib.util.find_spec("pyiqa")
    assert spec is not None
    assert spec.origin is not None
    code = "".join(path.read_text(encoding="utf-8") for path in Path(spec.origin).parent.glob("archs/*_arch.py"))
    names = {name for metric in METRICS.values() for name in metric.weights if name.startswith("pyiqa/")}
    assert names
    assert not [name for name in names if name.removeprefix("pyiqa/") not in code]


@pytest.mark.parametrize(
    ("name", "side"),
    [("niqe", 192), ("pi", 200), ("liqe", 224), ("hyperiqa", 225), ("maniqa", 225), ("wadiqam_nr", 33)],
)
def test_least_sides(name: str, side: int) -> None:
    assert catalog.find(name).side == side


def test_statistics_of_one_picture_never_share_a_batch() -> None:
    for name in ("niqe", "niqe_matlab", "ilniqe", "piqe", "brisque", "brisque_matlab", "nrqm", "pi"):
        assert catalog.find(name).solo
    assert not catalog.find("topiq_nr").solo


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("psnr", "reference"),
        ("topiq_fr", "reference"),
        ("fid", "whole set"),
        ("inception_score", "whole set"),
        ("clipscore", "text"),
        ("compare2score", "anchor"),
        ("fgresq_pair", "two pictures"),
        ("topiq_nr-face", "face"),
        ("qalign", "language model"),
    ],
)
def test_metrics_that_cannot_score_a_frame_are_refused_with_an_alternative(name: str, why: str) -> None:
    with pytest.raises(ScorerError, match=why) as caught:
        catalog.find(name)
    assert caught.value.kind is Kind.METRIC
    assert caught.value.sentence.startswith(name)
    assert ": use " in caught.value.sentence


@pytest.mark.parametrize(("typed", "meant"), [("nique", "niqe"), ("NIQE", "niqe"), ("topiq-nr", "topiq_nr")])
def test_unknown_names_get_suggestions(typed: str, meant: str) -> None:
    with pytest.raises(ScorerError, match=f"did you mean .*{meant}") as caught:
        catalog.find(typed)
    assert caught.value.kind is Kind.METRIC


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(ScorerError, match="there is no metric 'zzzzzzzz': `stillwatch metrics`"):
        catalog.find("zzzzzzzz")


def test_a_metric_that_nobody_has_checked_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "configs", lambda: {"brandnew": {"metric_mode": "NR"}})
    with pytest.raises(ScorerError, match="has not been checked"):
        catalog.find("brandnew")


def test_weights_are_looked_for_where_torch_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert catalog.hub_folder() == tmp_path / "xdg" / "torch" / "hub"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    metric = catalog.find("clipiqa+")
    assert catalog.missing(metric) == metric.weights
    for name in metric.weights:
        catalog.locate(name).parent.mkdir(parents=True, exist_ok=True)
        catalog.locate(name).write_bytes(b"weights")
    assert catalog.locate("clip/RN50.pt") == tmp_path / "torch" / "hub" / "clip" / "RN50.pt"
    assert catalog.missing(metric) == ()


def test_hugging_face_repositories_count_once_a_snapshot_has_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    name = "hf:openai/clip-vit-base-patch16"
    folder = catalog.locate(name)
    assert folder == tmp_path / "hub" / "models--openai--clip-vit-base-patch16"
    assert name in catalog.missing(catalog.find("fgresq"))
    (folder / "snapshots" / "abc").mkdir(parents=True)
    assert name in catalog.missing(catalog.find("fgresq"))
    (folder / "snapshots" / "abc" / "config.json").touch()
    assert name not in catalog.missing(catalog.find("fgresq"))


def test_a_local_file_stands_for_the_checkpoint_and_its_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert catalog.missing(catalog.find("dbcnn"), local=True) == ()
    assert catalog.missing(catalog.find("liqe"), local=True) == ("clip/ViT-B-32.pt",)
    assert catalog.missing(catalog.find("niqe")) == ()


def test_the_catalogue_imports_neither_torch_nor_pyiqa() -> None:
    code = (
        "import sys, daemon.scoring.open_scorer, daemon.scoring.catalog as c\n"
        "[c.missing(m) for m in c.usable()]\n"
        "heavy = {'torch', 'pyiqa', 'torchvision', 'timm', 'scipy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
