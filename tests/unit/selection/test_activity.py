"""What happens in a view that stands still stands out; what changes everywhere does not."""

from __future__ import annotations

import numpy as np

from daemon.analysis.features import SKETCH
from daemon.selection.activity import activity, appeal, typicality, uncovered, written_over

VIEW = np.random.default_rng(2).normal(110, 40, 144).astype(np.float32)


def moments(count: int = 20, seed: int = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.5, (count, 144))
    return (VIEW + noise).astype(np.float32)


def test_somebody_small_who_crosses_a_steady_view_stands_out() -> None:
    luma = moments()
    luma[12, 40:44] += 60
    found = activity(luma, np.zeros(20, np.int64))[0]
    assert found.argmax() == 12
    assert found[12] > 0.9
    assert np.delete(found, 12).max() < 0.1


def test_light_and_a_moving_camera_are_no_event() -> None:
    lit = moments()
    lit[12] += 40
    assert activity(lit, np.zeros(20, np.int64))[0].max() < 0.1
    moving = np.random.default_rng(4).normal(110, 40, (20, 144)).astype(np.float32)
    assert activity(moving, np.zeros(20, np.int64))[0].max() == 0


def test_each_shot_has_its_own_background() -> None:
    luma = np.concatenate([moments(10), 255 - moments(10)])
    assert activity(luma, np.repeat([0, 1], 10))[0].max() < 0.1


def test_a_plain_view_has_the_least_to_see() -> None:
    looks = np.random.default_rng(5).normal(0, 30, (4, 168)).astype(np.float32)
    looks[2] *= 0.1
    looks[3] *= 3
    assert appeal(looks).argmin() == 2
    assert appeal(looks).argmax() == 3
    assert appeal(looks[:1]).tolist() == [1.0]


def test_the_most_typical_view_is_the_one_that_the_film_is_like() -> None:
    looks = np.random.default_rng(5).normal(110, 30, (12, SKETCH)).astype(np.float32)
    looks[3] *= 0.3
    looks[7] += 90
    found = typicality(looks, np.ones(12))
    assert {int(found.argmin()), int(np.argsort(found)[1])} == {3, 7}
    assert (found.min(), found.max()) == (0, 1)


def test_what_lasts_is_typical() -> None:
    looks = np.repeat([[60.0], [140.0]], SKETCH, axis=1).astype(np.float32)
    assert typicality(looks, np.array([9.0, 1.0])).tolist() == [1, 0]
    assert typicality(looks, np.array([1.0, 9.0])).tolist() == [0, 1]
    assert typicality(looks[:1], np.ones(1)).tolist() == [1]


def test_writing_covers_a_picture_unless_it_is_part_of_a_long_shot() -> None:
    shot, seconds = np.repeat([0, 1, 2], [11, 7, 2]), np.ones(20)
    lettering = np.repeat([0.0, 12.0, 15.0], [11, 7, 2])
    clear = uncovered(lettering, shot, seconds)
    assert clear[:18].tolist() == [1] * 18, "toy blocks with letters, for a third of the film"
    assert clear[18:].tolist() == [0, 0], "a title"


def test_a_caption_lies_over_a_picture_where_the_film_has_bare_ones() -> None:
    lettering = np.repeat([0.0, 50.0], [5, 15])
    assert written_over(lettering, np.ones(20)).tolist() == [0] * 5 + [1] * 15
    assert not written_over(lettering, np.repeat([1.0, 9.0], [5, 15])).any(), "too little of it is bare"
    assert not written_over(lettering + 8, np.ones(20)).any(), "of a screen"
    assert not written_over(np.repeat([6.0, 13.0], [5, 15]), np.ones(20)).any(), "figures at the edge of a game"
    assert written_over(np.zeros(0), np.zeros(0)).tolist() == []


def test_what_the_edges_cut_off_is_told_from_what_is_seen_whole() -> None:
    luma = moments().reshape(20, 9, 16)
    luma[3, 3:6, 0] += 60
    luma[8, 0, 4:8] += 60
    luma[12, 4:6, 6:8] += 60
    luma[16, 7:9, 6:8] += 60
    found, cut = activity(luma.reshape(20, 144), np.zeros(20, np.int64))
    assert found[[3, 8, 12, 16]].min() > 0.5
    assert cut[[3, 8]].min() > 0.9
    assert cut[[12, 16]].max() < 0.1
    mirrored = activity(luma[:, :, ::-1].reshape(20, 144), np.zeros(20, np.int64))[1]
    assert np.allclose(mirrored, cut)
