"""A scorer that costs nothing, for tests that are about everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from daemon.config.score import ScoreConfig
from daemon.model import Outcome, Picture


class StubScorer:
    """The spread of some samples is the score: cheap, reproducible, different for most frames."""

    identity = "stub|1"
    metric = "stub"
    lower_better = False
    device = "cpu"
    gray_from = None

    def batch_size(self, height: int, width: int, itemsize: int) -> int:
        return 8

    def score(self, pictures: Sequence[Picture]) -> list[Outcome]:
        return [Outcome(float(picture[::7, ::7].std()) + float(picture[::5, ::3].mean()) / 1e3) for picture in pictures]

    def submit(self, pictures: Sequence[Picture]) -> Callable[[], list[Outcome]]:
        return lambda: self.score(pictures)

    def close(self) -> None:
        return


@pytest.fixture
def stub_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(config: ScoreConfig) -> StubScorer:
        return StubScorer()

    monkeypatch.setattr("daemon.pipeline.workers.open_scorer", opened)
