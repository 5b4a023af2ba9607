"""Without torch and pyiqa the default metric is usable, and everything else says what it needs."""

from __future__ import annotations

import importlib.util

import pytest

from daemon.config.score import ScoreConfig
from daemon.errors import Kind, ScorerError
from daemon.scoring import catalog
from daemon.scoring.metric_table import METRICS
from daemon.scoring.open_scorer import check, open_scorer


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name in catalog.FULL_PACKAGES else find_spec(name, *more),
    )
    monkeypatch.setattr(catalog, "configs", lambda: pytest.fail("pyiqa's table is not there"))


def test_niqe_is_the_only_usable_metric() -> None:
    assert [metric.name for metric in catalog.usable()] == ["niqe"]
    assert catalog.find("niqe") is METRICS["niqe"]
    check("niqe")


def test_niqe_is_opened() -> None:
    scorer = open_scorer(ScoreConfig())
    assert scorer.identity.startswith("niqe|fused")
    scorer.close()


@pytest.mark.parametrize(
    "config",
    [
        ScoreConfig(metric="piqe"),
        ScoreConfig(metric="topiq_nr"),
        ScoreConfig(implementation="pyiqa"),
        ScoreConfig(device="cuda"),
    ],
    ids=["classic", "network", "implementation", "device"],
)
def test_what_needs_more_says_so_with_the_fix(config: ScoreConfig) -> None:
    with pytest.raises(ScorerError, match=r"needs torch, torchvision, pyiqa.*`pip install \.`.*niqe") as caught:
        open_scorer(config)
    assert caught.value.kind is Kind.METRIC


def test_an_unknown_name_is_no_matter_of_the_install() -> None:
    with pytest.raises(ScorerError, match="there is no metric 'nique': did you mean niqe"):
        catalog.find("nique")
    with pytest.raises(ScorerError, match="whole set of pictures"):
        catalog.find("fid")


def test_the_table_lists_all_and_says_which_need_more() -> None:
    states = {row["metric"]: row["weights"] for row in catalog.table()}
    assert states.keys() == METRICS.keys()
    assert states.pop("niqe") == "shipped"
    assert set(states.values()) == {"needs torch, torchvision, pyiqa: not in the light install"}
