"""What fades in or out where it stands, over a picture that stays."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.analysis.overlays import faded_over
from daemon.model import Shot, ShotKind
from tests.unit.analysis.test_gates import in_file, judge, records

COUNT, FADE = 300, 20
TITLE = np.s_[3:6, 4:11]


def picture(edges: int = 85) -> np.ndarray:
    """A still view of some seconds, 25 frames each."""
    found = records((COUNT, {"edges": edges}))
    found["luma"] = np.random.default_rng(3).integers(40, 120, found["luma"].shape[1:])
    return found


def lay_over(found: np.ndarray, share: np.ndarray, gain: np.ndarray | None = None, edges: int = 30) -> np.ndarray:
    """Cells that have so much more of light, and of edges, by so large a share of it in each frame."""
    cells = found["luma"][0][TITLE].shape
    gain = np.random.default_rng(4).integers(60, 120, cells) if gain is None else gain
    level = found["luma"][:, 3:6, 4:11] + share.reshape(-1, *([1] * (share.ndim == 1) * 2)) * gain
    found["luma"][:, 3:6, 4:11] = np.clip(level, 0, 255)
    found["edges"][:, 3:6, 4:11] += np.round(share.reshape(-1, 1, 1, 1) * edges).astype(np.uint8)
    return found


def fade(first: int, last: int | None) -> np.ndarray:
    """The share of a title that comes at one frame, and goes at another."""
    at = np.arange(COUNT)
    share = np.clip((at - first) / FADE, 0, 1)
    return share if last is None else share * np.clip((last - at) / FADE, 0, 1)


def over(found: np.ndarray, time_s: np.ndarray | None = None, among: np.ndarray | None = None) -> np.ndarray:
    time_s, spans = np.arange(COUNT) / 25 if time_s is None else time_s, [Shot(ShotKind.SHOT, 0, COUNT - 1)]
    among = np.ones(COUNT, bool) if among is None else among
    mask = faded_over(found, time_s, spans, among)
    assert np.array_equal(mask, faded_over(in_file(found), time_s, spans, among))
    return mask


@pytest.mark.parametrize(("first", "last"), [(100, 200), (100, None), (-FADE, 100)], ids=["both", "comes", "goes"])
def test_a_title_is_over_the_picture_from_where_it_comes_to_where_it_goes(first: int, last: int | None) -> None:
    share = fade(first, last)
    mask = over(lay_over(picture(), share))
    assert mask[share >= 0.5].all()
    assert not mask[share == 0].any()


def test_dark_letters_are_seen_too() -> None:
    found = picture()
    found["luma"][:, 3:6, 4:11] += 100
    share = fade(100, 200)
    gain = -np.random.default_rng(4).integers(60, 120, (3, 7))
    assert over(lay_over(found, share, gain))[share >= 0.5].all()


def moving(found: np.ndarray) -> np.ndarray:
    """Somebody walks in: one column after the other."""
    for column in range(7):
        found["luma"][100 + 4 * column :, 3:6, 4 + column] += 90
        found["edges"][100 + 4 * column :, 3:6, 4 + column] += 30
    return found


def lit() -> np.ndarray:
    """An even ground on which light falls, more in the middle; its steps grow as it does."""
    found = picture()
    found["luma"] = 70
    rows, columns = np.mgrid[-1:2, -3:4]
    gain = np.round(60 * (1 - 0.05 * (rows**2 + columns**2)))
    found = lay_over(found, fade(100, None), gain, edges=0)
    found["edges"][:, 3:6, 4:11] += np.round(32 * np.log2(found["luma"][:, 3:6, 4:11, None] / 70)).astype(np.uint8)
    return found


@pytest.mark.parametrize(
    "found",
    [
        moving(picture()),
        lay_over(picture(), fade(100, None), gain=picture()["luma"][0][TITLE]),
        lay_over(picture(), np.arange(COUNT) / COUNT * 3),
        lay_over(picture(edges=20), fade(100, 200)),
        lay_over(picture(), fade(100, 200), edges=0),
        lay_over(picture(), fade(100, 200), gain=np.eye(3, 7) * 90),
        lay_over(picture(), np.where(np.arange(COUNT) >= 100, 1.0, 0.0)),
        lit(),
    ],
    ids=[
        "somebody walks in",
        "what reflects as much as it did",
        "a camera turns",
        "on a plain ground",
        "no letters",
        "no block",
        "a thing at once",
        "a lamp on a lawn",
    ],
)
def test_what_is_none_says_nothing(found: np.ndarray) -> None:
    assert not over(found).any()


def test_a_change_of_all_of_the_picture_is_none() -> None:
    found = lay_over(picture(), fade(100, None))
    found["luma"] += np.clip(np.arange(COUNT) - 100, 0, 15).astype(np.uint8).reshape(-1, 1, 1)
    assert not over(found).any()


def test_of_a_shot_that_has_it_nearly_throughout_nothing_is_taken() -> None:
    assert not over(lay_over(picture(), fade(20, None))).any()


def test_a_film_of_a_picture_a_second_has_no_fades() -> None:
    assert not over(lay_over(picture(), fade(100, 200)), np.arange(COUNT) * 1.0).any()


def test_the_frames_are_titled() -> None:
    share = fade(100, 200)
    verdicts = np.array(judge(lay_over(picture(), share), views=np.zeros(COUNT, np.int64)))
    assert set(verdicts[share >= 0.5]) <= {"titled", "spared"}
    assert "titled" not in judge(picture())


def test_where_time_is_missing_or_damage_ends_nothing_fades() -> None:
    found, time_s = lay_over(picture(), fade(100, None)), np.arange(COUNT) / 25
    time_s[110:] += 3600
    assert not over(found, time_s).any()
    assert not over(found, among=np.arange(COUNT) >= 110).any()


def test_of_two_titles_that_overlap_each_is_followed_to_its_end() -> None:
    found = lay_over(picture(), fade(60, 180))
    found["luma"][:, 6:8, 3:9] += np.round(fade(110, None).reshape(-1, 1, 1) * 80).astype(np.uint8)
    found["edges"][:, 6:8, 3:9] += np.round(fade(110, None).reshape(-1, 1, 1, 1) * 60).astype(np.uint8)
    assert over(found)[90:].all()
