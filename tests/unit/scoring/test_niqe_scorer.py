"""The default scorer: `niqe` without a network, in any mixture of pictures."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.config.score import ScoreConfig
from daemon.errors import ScorerError
from daemon.model import Picture
from daemon.scoring import catalog
from daemon.scoring.niqe.scorer import FusedScorer
from daemon.scoring.open_scorer import open_scorer


@pytest.fixture
def scorer() -> Iterator[FusedScorer]:
    made = FusedScorer(catalog.find("niqe"), ScoreConfig())
    yield made
    made.close()


def noise(height: int = 200, width: int = 260, seed: int = 1) -> Picture:
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((4, 4, 1), np.uint8))[:height, :width]


def test_it_is_the_default_for_niqe_on_the_cpu() -> None:
    made = open_scorer(ScoreConfig(device="cpu"))
    assert isinstance(made, FusedScorer)
    assert (made.metric, made.lower_better, made.device) == ("niqe", True, "cpu")
    made.close()


def test_it_is_refused_for_what_it_does_not_know() -> None:
    with pytest.raises(ScorerError, match="fused is for niqe"):
        open_scorer(ScoreConfig(metric="piqe", implementation="fused"))


def test_a_batch_of_all_kinds_keeps_its_order(scorer: FusedScorer) -> None:
    pictures = [noise(seed=1), np.zeros((200, 260, 3), np.uint8), noise(60, 80), noise(seed=2)]
    alone = [scorer.score([one])[0] for one in pictures]
    assert scorer.score(pictures) == alone
    assert [one.note for one in alone] == [None, "flat", None, None]
    assert alone[0] != alone[3]


def test_a_deep_picture_scores_like_its_8_bit_twin(scorer: FusedScorer) -> None:
    shallow = noise()
    deep = shallow.astype(np.uint16) * 257
    assert scorer.score([deep]) == scorer.score([shallow])


@pytest.mark.parametrize("codes", [0, 3])
def test_what_is_flat_has_no_score(scorer: FusedScorer, codes: int) -> None:
    picture = np.full((200, 200, 3), 128, np.uint8)
    picture[::2] += np.uint8(codes)
    assert scorer.score([picture])[0].note == "flat"


def test_a_batch_is_bounded_by_bytes_settings_and_never_empty(scorer: FusedScorer) -> None:
    assert scorer.batch_size(108, 192, 1) <= ScoreConfig().max_batch
    assert 1 <= scorer.batch_size(4320, 7680, 2) <= max(2, scorer._threads)


def test_a_closed_scorer_says_so() -> None:
    made = FusedScorer(catalog.find("niqe"), ScoreConfig())
    made.close()
    made.close()
    with pytest.raises(ScorerError, match="closed"):
        made.score([noise()])


def test_what_is_too_thin_has_no_score_and_takes_no_memory(scorer: FusedScorer) -> None:
    """A strip of 3000 x 4 would be a hundred times as large at the least size that NIQE takes."""
    rng = np.random.default_rng(0)
    strip, wide = rng.integers(0, 256, (4, 3000, 3), np.uint8), rng.integers(0, 256, (40, 900, 3), np.uint8)
    found = scorer.score([strip, wide, strip.swapaxes(0, 1)])
    assert [outcome.note for outcome in found] == ["thin", None, "thin"]


def test_pictures_are_enlarged_one_at_a_time_on_each_thread(scorer: FusedScorer) -> None:
    niqe = scorer._niqe
    assert niqe is not None
    alive: list[int] = []
    held: list[weakref.ref[NDArray[np.uint8]]] = []

    def grown(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        made = np.ascontiguousarray(np.tile(picture, (4, 4, 1)))
        held.append(weakref.ref(made))
        alive.append(sum(one() is not None for one in held))
        return made

    small = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
    niqe.score_all([small] * 40, grown)
    assert max(alive) <= 2 * len(niqe._workers)


def test_small_pictures_are_scored_where_torch_is_not_installed() -> None:
    code = (
        "import sys\nsys.modules['torch'] = None\nimport numpy as np\n"
        "from daemon.config.score import ScoreConfig\nfrom daemon.scoring import catalog\n"
        "from daemon.scoring.niqe.scorer import FusedScorer\n"
        "scorer = FusedScorer(catalog.find('niqe'), ScoreConfig())\n"
        "picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)\n"
        "print(scorer.score([picture])[0].score is not None)\nscorer.close()\n"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "True"), run.stderr
