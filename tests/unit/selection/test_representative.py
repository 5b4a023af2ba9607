"""What the greedy choice does with differences, details, auto and posters, on small films that show it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daemon.analysis.features import SKETCH
from daemon.selection.best import Choice
from daemon.selection.moments import moments, with_room
from daemon.selection.quality import Film
from daemon.selection.representative import represent
from daemon.selection.terms import Terms

RATE = 25


def chosen(
    looks: np.ndarray, shot: np.ndarray, terms: Terms, *, seconds: float = 2.0, details: np.ndarray | None = None
) -> Choice:
    """Of a film that shows each of ``looks`` for so many seconds, in the shot given for it."""
    length = int(seconds * RATE)
    total = len(looks) * length
    film = Film(
        frame=np.arange(total),
        time_s=np.arange(total) / RATE,
        score=np.random.default_rng(1).normal(5, 1, total),
        good=np.ones(total, bool),
        shot=np.repeat(shot, length),
        lower_better=True,
    )
    found = moments(film)
    scene = {int(number): int(number) for number in shot}
    picture = found.position // length
    fine = None if details is None else details[picture]
    return represent(film, found, looks[picture], scene, terms, fine)


def shown(choice: Choice, seconds: float = 2.0) -> list[int]:
    return sorted({frame // int(seconds * RATE) for frame in choice.frames})


BASE = np.random.default_rng(2).normal(60, 30, SKETCH).astype(np.float32)


def pages(count: int, codes: float) -> np.ndarray:
    """Pictures that differ by so much, root mean square."""
    off = np.random.default_rng(3).normal(0, codes / 2**0.5, (count, SKETCH)).astype(np.float32)
    return BASE + off


def test_the_wish_for_difference_gives_way_while_fewer_are_found() -> None:
    one = np.zeros(8, np.int64)
    strict = chosen(pages(8, 5.0), one, Terms(8, 0.5, 9.0))
    lenient = chosen(pages(8, 5.0), one, Terms(8, 0.5, 9.0, noise=0.3))
    assert len(strict.frames) == 1
    assert shown(lenient) == list(range(8))
    assert lenient.difference == 4.5


def test_who_asks_for_no_difference_gets_what_looks_alike_as_the_shortfall_says() -> None:
    one = np.zeros(8, np.int64)
    alike = chosen(pages(8, 0.5), one, Terms(8, 0.5, 9.0, noise=0.01))
    assert len(alike.frames) == 1
    assert "(select.min_difference: 0 gives such ones, too)" in (alike.shortfall or "")
    whatever = chosen(pages(8, 0.5), one, Terms(8, 0.5, 0.0))
    assert (len(whatever.frames), whatever.shortfall) == (8, None)


def test_noise_is_no_difference() -> None:
    choice = chosen(pages(8, 5.0), np.zeros(8, np.int64), Terms(8, 0.5, 9.0, noise=5.0))
    assert len(choice.frames) == 1
    assert choice.shortfall is not None


def test_what_differs_plainly_is_given_however_much_the_camera_shakes() -> None:
    choice = chosen(pages(8, 7.5), np.zeros(8, np.int64), Terms(8, 0.5, 9.0, noise=3.0))
    assert shown(choice) == list(range(8))
    assert choice.difference == 6.0


def test_lettering_tells_pages_apart() -> None:
    details = np.random.default_rng(4).choice([0, 90], (8, 144)).astype(np.float32)
    choice = chosen(pages(8, 0.5), np.zeros(8, np.int64), Terms(8, 0.5, 9.0), details=details)
    assert shown(choice) == list(range(8))


def test_auto_gives_one_of_a_view_in_which_nothing_happens() -> None:
    assert len(chosen(pages(8, 0.5), np.zeros(8, np.int64), Terms(None, 0.5, 9.0)).frames) == 1


def test_auto_gives_each_scene_and_each_page() -> None:
    scenes = np.random.default_rng(5).normal(60, 40, (6, SKETCH)).astype(np.float32)
    assert shown(chosen(scenes, np.arange(6), Terms(None, 0.5, 9.0))) == list(range(6))
    details = np.random.default_rng(4).choice([0, 90], (8, 144)).astype(np.float32)
    choice = chosen(pages(8, 0.5), np.zeros(8, np.int64), Terms(None, 0.5, 9.0), details=details)
    assert shown(choice) == list(range(8))


def test_the_first_is_not_the_view_with_the_least_in_it() -> None:
    looks = np.random.default_rng(6).normal(60, 40, (4, SKETCH)).astype(np.float32)
    looks[1:] = BASE.mean() + 0.02 * looks[1:]
    for poster in (False, True):
        choice = chosen(looks, np.zeros(4, np.int64), Terms(2, 0.5, 0.0, poster=poster))
        assert choice.frames[0] // 50 == 0


def of_times(
    times_s: list[float], count: int, gap_s: float = 1.0, *, seed: int = 5, poster: bool = False
) -> list[float]:
    """What is chosen of single frames, each unlike the others and in a shot of its own; the later, the better."""
    total = len(times_s)
    film = Film(
        frame=np.arange(total),
        time_s=np.array(times_s),
        score=-np.arange(total, dtype=np.float64),
        good=np.ones(total, bool),
        shot=np.arange(total),
        lower_better=True,
    )
    looks = np.random.default_rng(seed).normal(60, 30, (total, SKETCH)).astype(np.float32)
    found, terms = moments(film), Terms(count, gap_s, 4.0, poster=poster)
    choice = represent(film, found, looks[found.position], {n: n for n in range(total)}, terms)
    return sorted(times_s[frame] for frame in choice.frames)


def test_where_only_the_gap_stands_against_the_count_each_leaves_room_for_the_others() -> None:
    pairs = [0.0, 0.6, 1.2, 4.0, 4.6, 5.2, 9.0, 9.6, 10.2]
    # The middle one of three takes the room of the other two.
    for count in range(1, 7):
        assert len(of_times(pairs, count)) == count
    assert of_times(pairs, 6) == of_times(pairs, 9) == [0.0, 1.2, 4.0, 5.2, 9.0, 10.2]


def test_room_is_left_also_where_some_look_alike() -> None:
    """Of six that are far enough apart the last two look the same, so all other room is needed for five."""
    times_s = [0.0, 0.6, 1.2, 3.0, 4.2, 8.0, 9.5]
    looks = np.random.default_rng(6).normal(60, 30, (7, SKETCH)).astype(np.float32)
    looks[6] = looks[5]
    for best in range(3):
        film = Film(
            frame=np.arange(7),
            time_s=np.array(times_s),
            score=np.where(np.arange(7) == best, 1.0, 2.0),
            good=np.ones(7, bool),
            shot=np.array([0, 0, 0, 1, 2, 3, 4]),
            lower_better=True,
        )
        found, _ = with_room(film, 6, 1.0)
        choice = represent(film, found, looks[found.position], {n: n for n in range(5)}, Terms(6, 1.0, 4.0))
        assert sorted(choice.frames)[:4] == [0, 2, 3, 4]
        assert len(choice.frames) == 5
        assert choice.shortfall is not None
        assert "looks like" in choice.shortfall


@pytest.mark.parametrize("poster", [False, True])
def test_the_first_leaves_room_too(poster: bool) -> None:
    """Whichever of them is worth most by itself."""
    firsts = set()
    for seed in range(12):
        firsts.update(of_times([0.0, 0.6, 1.2], 1, seed=seed, poster=poster))
        assert of_times([0.0, 0.6, 1.2], 2, seed=seed, poster=poster) == [0.0, 1.2]
    assert 0.6 in firsts


def test_takes_of_one_length_have_as_many_stills_each() -> None:
    """Also where what is seen in one of them is plainer, so that each of its pictures is worth less."""
    rng = np.random.default_rng(7)
    takes = [rng.normal(60, 40, (1, SKETCH)) + rng.normal(0, 14, (6, SKETCH)) for _ in range(3)]
    takes[2] = takes[2].mean() + 0.9 * (takes[2] - takes[2].mean())
    looks = np.concatenate(takes).astype(np.float32)
    choice = chosen(looks, np.repeat([0, 1, 2], 6), Terms(9, 0.5, 4.0))
    assert np.bincount(np.array(shown(choice)) // 6).tolist() == [3, 3, 3]


def test_a_take_that_lasts_longer_has_more_stills() -> None:
    rng = np.random.default_rng(8)
    looks = np.concatenate([rng.normal(60, 40, (1, SKETCH)) + rng.normal(0, 14, (n, SKETCH)) for n in (12, 4)])
    choice = chosen(looks.astype(np.float32), np.repeat([0, 1], [12, 4]), Terms(8, 0.5, 4.0))
    first = sum(picture < 12 for picture in shown(choice))
    assert first == 6


def test_a_smeared_picture_stands_for_nothing() -> None:
    """Of two pictures of a scene the sharp one is taken, whatever the metric says of them."""
    looks = np.random.default_rng(9).normal(60, 40, (4, SKETCH)).astype(np.float32)
    film = Film(
        frame=np.arange(200),
        time_s=np.arange(200) / RATE,
        score=np.where(np.arange(200) // 25 % 2, 2.0, 5.0),
        good=np.ones(200, bool),
        shot=np.repeat(np.arange(4), 50),
        lower_better=True,
        sharp=np.where(np.arange(200) // 25 % 2, 0.2, 1.0),
    )
    found = moments(film)
    choice = represent(film, found, looks[found.position // 50], {n: n for n in range(4)}, Terms(4, 0.5, 9.0))
    assert all(frame // 25 % 2 == 0 for frame in choice.frames)


def test_the_first_still_may_lie_between_two_dissolves_and_the_others_stand_back() -> None:
    """Four pictures in turn, each in its scene: whichever is beside a mix, the first still is of the same picture."""
    looks = np.stack([BASE * part for part in (1.0, 0.6, 1.5, 0.3)])
    length = 2 * RATE
    film = Film(
        frame=np.arange(4 * length),
        time_s=np.arange(4 * length) / RATE,
        score=np.random.default_rng(1).normal(5, 1, 4 * length),
        good=np.ones(4 * length, bool),
        shot=np.repeat(np.arange(4), length),
        lower_better=True,
    )

    def picture(one: Film) -> list[int]:
        found = moments(one)
        choice = represent(one, found, looks[found.position // length], {n: n for n in range(4)}, Terms(4, 0.5, 0.0))
        return [frame // length for frame in choice.frames]

    usual = picture(film)
    beside = np.where(np.arange(4 * length) // length == usual[0], 0.6, 1.0)
    assert picture(replace(film, away=beside))[0] == usual[0]
    second = np.where(np.arange(4 * length) // length == usual[1], 0.6, 1.0)
    assert picture(replace(film, away=second)).index(usual[1]) > 1


def test_what_is_seen_for_a_moment_comes_before_one_more_view_of_what_is_seen_for_long() -> None:
    """A window behind somebody who talks: its frames are none of the best, and stand for little of the film."""
    looks, window = pages(20, 10.0), 13
    looks[window] = np.random.default_rng(8).normal(60, 40, SKETCH)
    picture = np.repeat(np.arange(20), 2 * RATE)
    film = Film(
        frame=np.arange(len(picture)),
        time_s=np.arange(len(picture)) / RATE,
        score=np.random.default_rng(1).normal(5, 1, len(picture)) + (picture == window),
        good=np.ones(len(picture), bool),
        shot=np.zeros(len(picture), np.int64),
        lower_better=True,
    )
    found = moments(film)
    choice = represent(film, found, looks[picture[found.position]], {0: 0}, Terms(3, 1.0, 4.0))
    assert window in shown(choice)


@pytest.mark.parametrize("apart", [False, True], ids=["of the same shot", "of another shot"])
def test_what_has_writing_over_it_comes_after_what_looks_alike_but_for_another_shot(apart: bool) -> None:
    """A caption makes a picture unlike those without; one of a shot that has no others is shown before two alike."""
    looks, lettered = pages(8, 5.0), np.arange(8) >= 4
    looks[lettered, :60] += 60
    picture = np.repeat(np.arange(8), 2 * RATE)
    film = Film(
        frame=np.arange(len(picture)),
        time_s=np.arange(len(picture)) / RATE,
        score=np.random.default_rng(1).normal(5, 1, len(picture)),
        good=np.ones(len(picture), bool),
        shot=(lettered[picture] & apart).astype(np.int64),
        lower_better=True,
        spared=lettered[picture],
    )
    found = moments(film)
    choice = represent(film, found, looks[picture[found.position]], {0: 0, 1: 1}, Terms(8, 0.5, 9.0, noise=0.3))
    order = [bool(lettered[frame // (2 * RATE)]) for frame in choice.frames]
    assert len(order) == 8
    assert order.index(True) == (1 if apart else 4)
    few = represent(film, found, looks[picture[found.position]], {0: 0, 1: 1}, Terms(3, 0.5, 9.0, noise=0.3))
    assert few.frames == choice.frames[:3]
