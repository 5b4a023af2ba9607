"""How long the moments of a film are."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.selection import moments as moments_module
from daemon.selection.moments import MOMENT_SECONDS, moments, with_room
from daemon.selection.quality import Film


def test_of_a_film_whose_moments_are_long_none_are_cut_to_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter ones than its length allows are not to be had: nothing is tried, and the length that is told is true."""
    monkeypatch.setattr(moments_module, "MOST_MOMENTS", 4)
    score = np.random.default_rng(2).random(200)
    number = np.arange(200)
    cut = Film(number, number / 25, score, good=score > 0, shot=np.zeros(200, np.int64), lower_better=True)
    found, moment_seconds = with_room(cut, 12, 0.5)
    assert moment_seconds == MOMENT_SECONDS
    assert found.same(moments(cut))
