"""A scored film's rows as the choice has them."""

from __future__ import annotations

import numpy as np

from daemon.model import Shot, ShotKind
from daemon.pipeline.film import film_of
from daemon.store.frames import ScoreTable


def spared_of(spared: np.ndarray, good: np.ndarray, shots: list[Shot]) -> np.ndarray:
    """Which frames are chosen after all others."""
    count = len(spared)
    none = np.zeros(count, bool)
    table = ScoreTable(np.arange(count), np.arange(count) / 25, np.ones(count), none, good, spared, none, None)
    found = film_of(table, shots, lower_better=True).spared
    return none if found is None else found


def test_what_a_gate_says_of_nearly_all_of_a_shot_is_how_the_shot_looks() -> None:
    shots = [Shot(ShotKind.SHOT, 0, 99), Shot(ShotKind.SHOT, 100, 199)]
    spared = np.zeros(200, bool)
    spared[:95] = True
    spared[150:] = True
    last = spared_of(spared, ~spared, shots)
    assert not last[:100].any(), "a table of toys, all of which looks like blocks of the coder"
    assert last[150:].all(), "half of the other shot is out of focus"
