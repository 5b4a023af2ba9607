"""What a moment is worth by itself, as the first still."""

from __future__ import annotations

import numpy as np

from daemon.selection.likeness import LUMA_CELLS, LUMA_WEIGHT
from daemon.selection.moments import Moments
from daemon.selection.worth import worth


def test_a_thing_that_the_edge_cuts_off_is_no_first_still() -> None:
    """A hand before the camera, beside the same thing seen whole, and the view without it."""
    count = 20
    view = np.random.default_rng(2).normal(110, 40, LUMA_CELLS)
    luma = np.tile(view, (count, 1)).reshape(count, 9, 16)
    luma[5, 2:6, 0:3] += 70
    luma[12, 2:6, 6:9] += 70
    sketches = np.zeros((count, 168), np.float32)
    sketches[:, :LUMA_CELLS] = luma.reshape(count, -1) * LUMA_WEIGHT
    ones = np.ones(count)
    same = Moments(np.arange(count), ones, ones, ones.astype(int), ones, np.zeros(count, int), np.zeros(count, bool))
    *_, value, alone = worth(same, sketches, None, None, 9.0, 24.0)
    assert alone[12] > alone[0]
    assert alone[12] - alone[5] > 1
    assert value[12] > value[5]


def test_a_picture_with_a_caption_is_no_first_still_and_worth_as_much_beside_others() -> None:
    """A demonstration: most of the film has a line of writing under it, and it is one of its shots that has none."""
    count = 20
    sketches = np.random.default_rng(3).normal(110, 40, (count, 168)).astype(np.float32)
    ones, shot = np.ones(count), np.repeat([0, 1], [5, 15])
    film = Moments(np.arange(count), ones, ones, shot, ones, np.zeros(count, int), np.zeros(count, bool))
    *_, value, alone = worth(film, sketches, None, np.repeat([0.0, 50.0], [5, 15]), 9.0, 24.0)
    *_, value_bare, alone_bare = worth(film, sketches, None, np.zeros(count), 9.0, 24.0)
    assert alone[:5].tolist() == alone_bare[:5].tolist()
    assert (alone[5:] < 0.5 * alone_bare[5:]).all()
    assert value.tolist() == value_bare.tolist()
