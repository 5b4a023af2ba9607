"""Shots: cuts, fades and dissolves are found in thumbnails; light and movement are no cut."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from daemon.analysis import mixes
from daemon.analysis.features import GRID
from daemon.analysis.light import light_alone, same_view
from daemon.analysis.shots import ShotFinder, assemble, fades, united
from daemon.config.selection import ShotsConfig
from daemon.model import Shot, ShotKind
from daemon.selection.scenes import scenes

Thumbnails = np.ndarray


def footage(seed: int, frames: int = 60, drift: float = 0.02) -> Thumbnails:
    """A camera that moves over large patches with detail on them, by ``drift`` cells a frame; as float, to be mixed."""
    rng = np.random.default_rng(seed)
    fine, height, width = 16, GRID[0] * 16, (GRID[1] + 30) * 16
    layers = [
        np.asarray(Image.fromarray(rng.integers(10, 120, (*size, 3), dtype=np.uint8)).resize((width, height), 3))
        for size in ((3, 12), (36, 184))
    ]
    scene = layers[0].astype(float) + layers[1]
    found = []
    for number in range(frames):
        left = round(number * drift * fine)
        cells = scene[:, left : left + GRID[1] * fine].reshape(GRID[0], fine, GRID[1], fine, 3)
        found.append(cells.mean(axis=(1, 3)))
    return np.stack(found)


def find(
    film: Thumbnails, chunk: int = 4096, rate: float = 25.0, held: tuple[int, ...] = ()
) -> list[tuple[str, int, int]]:
    finder = ShotFinder(ShotsConfig())
    film = np.clip(film, 0, 255).astype(np.uint8)
    time_s = np.arange(len(film)) / rate + sum(60.0 * (np.arange(len(film)) > frame) for frame in held)
    for start in range(0, len(film), chunk):
        finder.feed(film[start : start + chunk])
    return [(shot.kind.value, shot.first, shot.last) for shot in finder.found(time_s)]


def mix(one: Thumbnails, other: Thumbnails) -> Thumbnails:
    share = (np.arange(len(one)) + 1)[:, None, None, None] / (len(one) + 1)
    return one * (1 - share) + other * share


def test_a_film_without_frames_has_no_shots() -> None:
    assert find(np.zeros((0, *GRID, 3))) == []


def test_dusk_is_no_fade_to_black() -> None:
    """A camera that takes a picture now and then sees it get dark in twenty of them."""
    day = footage(1)
    dusk = np.concatenate([day[:40], day[40:60] * np.linspace(1, 0, 20)[:, None, None, None], 0 * day[:10]])
    assert [kind for kind, *_ in find(dusk)] == ["shot", "fade", "shot"]
    assert [kind for kind, *_ in find(dusk, rate=1 / 30)] == ["shot"]


def test_a_slide_that_is_held_before_it_dissolves_makes_the_dissolve_no_longer() -> None:
    one, other = footage(1)[:20], footage(2)[:20]
    film = np.concatenate([one, mix(one[:8], other[:8]), other])
    whole = find(film)
    assert [kind for kind, *_ in whole] == ["shot", "dissolve", "shot"]
    assert find(film, held=(19, 27)) == whole


def test_one_view_is_one_shot() -> None:
    assert find(footage(1)) == [("shot", 0, 59)]


def test_cuts_divide() -> None:
    film = np.concatenate([footage(1), footage(2, 40), footage(3)])
    assert find(film) == [("shot", 0, 59), ("shot", 60, 99), ("shot", 100, 159)]


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_how_frames_are_handed_in_makes_no_difference(chunk: int) -> None:
    film = np.concatenate([footage(1), mix(footage(1, 16), footage(2, 16)), footage(2), footage(3)])
    assert find(film, chunk) == find(film)


@pytest.mark.parametrize("gain", [0.2, 0.5, 1.6, 2.0])
def test_a_step_in_exposure_is_no_cut(gain: float) -> None:
    film = footage(1, 90)
    film[30:60] = np.clip(film[30:60] * gain, 0, 255)
    assert find(film) == [("shot", 0, 89)]


def test_a_cut_beside_a_step_in_exposure_is_seen() -> None:
    film = np.concatenate([footage(1), footage(2)])
    film[30:57] *= 0.3
    film[62:90] *= 0.3
    assert find(film) == [("shot", 0, 59), ("shot", 60, 119)]


def test_fast_movement_is_neither_a_cut_nor_a_dissolve() -> None:
    assert find(footage(1, 80, drift=0.3)) == [("shot", 0, 79)]


@pytest.mark.parametrize("length", [10, 20, 50])
def test_a_dissolve_belongs_to_no_shot(length: int) -> None:
    one, other = footage(1, 60 + length), footage(2, 60 + length)
    found = find(np.concatenate([one[:60], mix(one[60:], other[:length]), other[length:]]))
    assert [kind for kind, _, _ in found] == ["shot", "dissolve", "shot"]
    _, first, last = found[1]
    assert abs(first - 60) <= 3 + length // 6
    assert abs(last - (59 + length)) <= 3 + length // 6


def test_exposure_that_steps_up_and_down_makes_no_dissolve() -> None:
    film = footage(1, 160)
    film[20:45] = np.clip(film[20:45] * 2.2, 0, 255)
    film[70:95] *= 0.6
    film[110:140] *= 0.3
    assert [kind for kind, _, _ in find(film)] == ["shot"]


def detailed(seed: int, frames: int, speed: int) -> tuple[np.ndarray, int]:
    """A camera that moves over fine detail, all in the same light: dark below and bright above, as rooms are."""
    rng = np.random.default_rng(seed)
    fine = 8
    height, width = GRID[0] * fine, (GRID[1] + 60) * fine
    coarse = np.asarray(Image.fromarray(rng.integers(0, 90, (3, 12), dtype=np.uint8)).resize((width, height), 3))
    light = np.linspace(110, 20, height)[:, None]
    scene = np.clip(light + coarse + rng.normal(0, 16, (height, width)), 0, 255)
    return np.stack([scene[:, step * speed : step * speed + GRID[1] * fine] for step in range(frames)]), fine


def small(pictures: np.ndarray, fine: int) -> tuple[np.ndarray, np.ndarray]:
    """Thumbnails and edges of pictures of luma, as records have them."""
    parts = (len(pictures), GRID[0], fine, GRID[1], fine)
    thumbnails = pictures.reshape(parts).mean(axis=(2, 4))[..., None].repeat(3, axis=-1)
    energy = []
    for axis in (2, 1):
        step = np.diff(pictures, axis=axis, append=pictures[:, :, -1:] if axis == 2 else pictures[:, -1:]) ** 2
        energy.append(step.reshape(parts).mean(axis=(2, 4)))
    edges = np.minimum(16 * np.log2(1 + np.stack(energy, axis=-1)) + 0.5, 255)
    return np.clip(thumbnails, 0, 255).astype(np.uint8), edges.astype(np.uint8)


def transitions(pictures: np.ndarray, fine: int, *, known: bool = True) -> list[Shot]:
    finder = ShotFinder(ShotsConfig())
    thumbnails, edges = small(pictures, fine)
    finder.feed(thumbnails, edges if known else None)
    return [shot for shot in finder.found(np.arange(len(pictures)) / 25) if shot.kind is not ShotKind.SHOT]


def test_a_dissolve_between_pictures_of_like_light_is_told_by_its_weak_detail() -> None:
    one, fine = detailed(1, 80, 1)
    other, _ = detailed(2, 80, 1)
    share = (np.arange(20) + 1)[:, None, None] / 21
    film = np.concatenate([one[:60], one[60:] * (1 - share) + other[:20] * share, other[20:]])
    assert transitions(film, fine, known=False) == []
    (found,) = transitions(film, fine)
    assert abs(found.first - 60) <= 6
    assert abs(found.last - 79) <= 6


def mixes_found(weights: list[float], dips: int = 0, off_line: float = 0.0) -> list[Shot]:
    """What is found of neighbouring mixes with these weights, the first of which have the weak detail of a mix."""
    no = np.zeros(len(mixes.REACHES), np.bool_)
    seen = [
        mixes._Mixed(60 + at, no + weight + off_line * (at % 2), no if at >= dips else ~no, no, empty=False)
        for at, weight in enumerate(weights)
    ]
    return mixes._spans(seen, [], 200, ShotsConfig())


def test_a_mix_that_is_seen_in_part_is_known_by_its_weak_detail_and_its_straight_line() -> None:
    """A step of detail may end all windows, so that its weight rises but little."""
    part = np.linspace(0.5, 0.7, 8).tolist()
    assert mixes_found(part) == []
    assert mixes_found(part, dips=3) == []
    (found,) = mixes_found(part, dips=4)
    assert found.first <= 60
    assert found.last >= 67
    assert mixes_found(part, dips=4, off_line=0.04) == []
    assert mixes_found(part, dips=8, off_line=0.04) != []


def test_a_mix_ends_where_its_weight_falls() -> None:
    """After a dissolve, windows see another one, which goes back to what was there before."""
    (found,) = mixes_found([*np.linspace(0.3, 0.8, 16), *np.linspace(0.7, 0.1, 8)])
    assert abs(found.first - 60) <= 6
    assert abs(found.last - 75) <= 6


@pytest.mark.parametrize("speed", [1, 3, 6])
def test_a_camera_that_moves_over_detail_makes_no_dissolve(speed: int) -> None:
    film, fine = detailed(3, 80, speed)
    assert transitions(film, fine) == []


@pytest.mark.parametrize("reach", [1, 4])
@pytest.mark.parametrize("length", [20, 30])
def test_blur_that_is_cut_in_while_the_camera_moves_makes_no_dissolve(reach: int, length: int) -> None:
    film, fine = detailed(3, 60, 4)
    soft = sum(np.roll(film[20 : 20 + length], shift, axis=2) for shift in range(-reach, reach + 1)) / (2 * reach + 1)
    film[20 : 20 + length] = soft
    assert transitions(film, fine) == []


@pytest.mark.parametrize("ground", [0, 255])
def test_fades_belong_to_no_shot(ground: int) -> None:
    one, other, empty = footage(1, 80), footage(2, 80), np.full((20, *GRID, 3), float(ground))
    film = np.concatenate([one[:60], mix(one[60:], empty), empty, mix(empty, other[:20]), other[20:]])
    found = find(film)
    assert [kind for kind, _, _ in found] == ["shot", "fade", "shot", "fade", "shot"]
    assert abs(found[1][1] - 60) <= 4
    assert abs(found[3][2] - 119) <= 4


def test_a_cut_from_black_is_no_fade() -> None:
    assert fades(np.array([0.0] * 10 + [50.0] * 30, np.float32)) == []
    (found,) = fades(np.array([0.0] * 10 + [5.0 * step for step in range(1, 11)] + [50.0] * 30, np.float32))
    assert found == Shot(ShotKind.FADE, 10, 19)


def test_the_same_view_in_another_light_is_known() -> None:
    one, other = (np.clip(footage(seed, 1), 0, 255) for seed in (1, 2))
    black = np.zeros_like(one)
    pairs = [(one, one * 0.3), (one, one * 2.4), (one, other), (one, black), (black, black)]
    first = np.concatenate([pair[0] for pair in pairs]).astype(np.uint8)
    second = np.concatenate([np.clip(pair[1], 0, 255) for pair in pairs]).astype(np.uint8)
    assert same_view(first, second).tolist() == [True, True, False, False, True]


def test_another_person_before_the_same_wall_is_more_than_light() -> None:
    wall = np.clip(footage(1, 1), 0, 255)[0]
    one, other = wall.copy(), wall.copy()
    one[2:, 6:10] = (20, 20, 30)
    other[2:, 6:10] = (230, 170, 20)
    assert not light_alone(one.astype(np.uint8), other.astype(np.uint8))
    for gain in (0.4, 0.7, 1.6):
        assert light_alone(one.astype(np.uint8), np.clip(one * gain, 0, 255).astype(np.uint8))


def test_transitions_that_overlap_are_one() -> None:
    parts = [Shot(ShotKind.DISSOLVE, 20, 30), Shot(ShotKind.DISSOLVE, 4, 9), Shot(ShotKind.FADE, 8, 12)]
    assert united(parts) == [Shot(ShotKind.FADE, 4, 12), Shot(ShotKind.DISSOLVE, 20, 30)]


def test_every_frame_lies_in_one_span() -> None:
    spans = assemble(50, [10, 22, 30], [Shot(ShotKind.FADE, 0, 4), Shot(ShotKind.DISSOLVE, 20, 25)])
    assert [frame for span in spans for frame in range(span.first, span.last + 1)] == list(range(50))


def test_a_shot_that_comes_back_is_the_same_scene() -> None:
    rng = np.random.default_rng(2)
    looks = rng.normal(size=(3, 168)).astype(np.float32)
    shot = np.repeat([0, 1, 2, 3], 10)
    views = looks[np.repeat([0, 1, 0, 2], 10)] + rng.normal(0, 0.05, (40, 168)).astype(np.float32)
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    assert scenes(shot, views, alike=0.9, share=0.5) == {0: 0, 1: 1, 2: 0, 3: 3}
    assert scenes(shot[:0], views[:0], alike=0.9, share=0.5) == {}


def test_opencv_is_not_loaded_before_shots_are_looked_for() -> None:
    code = "import sys, daemon.pipeline.reselect, daemon.cli.render, daemon.cli.main; print({'cv2', 'scenedetect'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "set()"


def test_dark_frames_after_a_fade_are_no_part_of_it() -> None:
    scene, empty = footage(1, 140, drift=0.0), np.zeros((20, *GRID, 3))
    film = np.concatenate([empty, mix(empty, scene[:20]), scene[20:]])
    film[70:100] *= 0.4
    assert [kind for kind, _, _ in find(film)] == ["shot", "fade", "shot"]
    assert find(film)[1][2] < 50
