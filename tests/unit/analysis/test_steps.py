"""Steps inside a shot: of two sides that show the same, the frames beside the step tell which is the worse one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from daemon.analysis import gates
from daemon.analysis.features import EARLIER, figures, unpack
from daemon.analysis.lettering import drawing
from daemon.analysis.measure import measure
from daemon.analysis.steps import stepped
from daemon.config.selection import GatesConfig
from daemon.model import Shot, ShotKind
from tests.edited import spoil
from tests.unit.analysis.test_features import scene
from tests.unit.analysis.test_gates import in_file, records

Picture = np.ndarray
WORDS = {"defocus": "blur", "motion": "blur", "overexposed": "burnt", "underexposed": "dark", "blocking": "blocks"}
GOOD, SPOILT = 12, 12


def move(frames: int, look: Callable[[Picture], Picture] = lambda picture: picture) -> list[Picture]:
    """A camera that moves slowly over a scene, as a lens and a light make it ``look``."""
    wide = look(scene(384, 216))
    return [np.ascontiguousarray(wide[20:200, 20 + step : 340 + step]) for step in range(frames)]


def passed_by(film: Sequence[Picture], lefts: Sequence[int], wide: int = 30) -> list[Picture]:
    """The film with somebody in it, by frame so far from the left."""
    found, other = [picture.copy() for picture in film], scene(320, 180, seed=9)
    for picture, left in zip(found, lefts, strict=True):
        picture[:, left : left + wide] = other[:, left : left + wide]
    return found


def likeness(film: Sequence[Picture], at: int) -> float:
    """How much a frame and the one before correlate, as steps see them."""
    seen = figures(unpack([measure(picture) for picture in film[at - 1 : at + 1]]))["luma"].reshape(2, -1)
    return float(np.corrcoef(seen)[0, 1])


def worse(film: Sequence[Picture], version: int = 3) -> dict[int, str]:
    """The frames that steps say are the worse ones, with the word."""
    blobs = [measure(picture) for picture in film]
    if version == 1:
        blobs = [_first_version(blob) for blob in blobs]
    whole, shots = figures(unpack(blobs)), [Shot(ShotKind.SHOT, 0, len(film) - 1)]
    found = stepped(whole, shots)
    assert found == stepped(in_file(whole), shots)
    return {row: one.step.word for one in found for row in range(one.first, one.last + 1)}


def _first_version(blob: bytes) -> bytes:
    whole, old = unpack([blob]), np.zeros(1, EARLIER[1])
    for name in EARLIER[1].names or ():
        old[name] = whole[name]
    old["version"] = 1
    return old.tobytes()


@pytest.mark.parametrize("strength", [0.0, 1.0])
@pytest.mark.parametrize("defect", WORDS)
@pytest.mark.parametrize("first", ["good", "spoilt"])
def test_half_of_a_shot_that_is_spoilt_is_the_worse_half(first: str, defect: str, strength: float) -> None:
    film = move(GOOD + SPOILT)
    spoilt = range(GOOD) if first == "spoilt" else range(GOOD, GOOD + SPOILT)
    for row in spoilt:
        film[row] = spoil(film[row], defect, strength)
    assert worse(film) == dict.fromkeys(spoilt, WORDS[defect])


@pytest.mark.parametrize("defect", WORDS)
def test_what_is_spoilt_in_the_middle_ends_where_it_ends(defect: str) -> None:
    film = move(36)
    for row in range(12, 24):
        film[row] = spoil(film[row], defect, 0.5)
    assert worse(film) == dict.fromkeys(range(12, 24), WORDS[defect])


@pytest.mark.parametrize("defect", ["defocus", "motion", "overexposed", "underexposed"])
def test_records_of_the_first_version_are_judged_too(defect: str) -> None:
    film = move(GOOD + SPOILT)
    film[GOOD:] = [spoil(picture, defect, 0.5) for picture in film[GOOD:]]
    assert worse(film, version=1) == dict.fromkeys(range(GOOD, GOOD + SPOILT), WORDS[defect])


def bright(picture: Picture) -> Picture:
    """A scene before a sky that is clipped white as it was filmed."""
    found = np.clip(picture.astype(float) * 1.5, 0, 255).astype(np.uint8)
    found[:90] = 255
    return found


@pytest.mark.parametrize("gain", [0.25, 0.4])
def test_a_sky_that_is_white_anyway_is_no_fault_beside_frames_that_are_darkened(gain: float) -> None:
    film = move(GOOD + SPOILT, bright)
    film[GOOD:] = [(picture * gain).astype(np.uint8) for picture in film[GOOD:]]
    assert worse(film) == dict.fromkeys(range(GOOD, GOOD + SPOILT), "dark")


def coloured(weights: tuple[float, float, float], most: int, darkest: float = 0.5) -> Callable[[Picture], Picture]:
    """Somebody dark before a wall of one strong colour that grows lighter to one side."""

    def look(picture: Picture) -> Picture:
        shade = np.linspace(darkest, 1.0, picture.shape[1])[None, :, None] * np.array(weights)
        found = np.clip(most * shade + (picture.astype(float) - 128) * 0.1, 0, 255)
        found[120:, 150:230] = picture[120:, 150:230] * 0.2
        return found.astype(np.uint8)

    return look


@pytest.mark.parametrize("weights", [(1.0, 1.0, 0.2), (0.2, 1.0, 0.9), (1.0, 0.25, 0.2)])
def test_a_strong_colour_that_is_clipped_is_burnt_though_its_luma_is_not_white(
    weights: tuple[float, float, float],
) -> None:
    film = move(GOOD + SPOILT, coloured(weights, 190))
    film[:SPOILT] = [spoil(picture, "overexposed", 0.5) for picture in film[:SPOILT]]
    assert worse(film) == dict.fromkeys(range(SPOILT), "burnt")


@pytest.mark.parametrize("weights", [(0.9, 1.0, 0.1), (0.2, 0.9, 1.0)])
def test_a_step_of_the_light_is_seen_by_the_colours_where_clipping_leaves_luma_flat(
    weights: tuple[float, float, float],
) -> None:
    film = move(GOOD + SPOILT, coloured(weights, 190, 0.75))
    film[:SPOILT] = [spoil(picture, "overexposed", 0.5) for picture in film[:SPOILT]]
    assert worse(film) == dict.fromkeys(range(SPOILT), "burnt")


@pytest.mark.parametrize("gain", [0.25, 0.4])
def test_a_colour_that_is_clipped_as_it_was_filmed_is_no_fault_beside_frames_that_are_darkened(gain: float) -> None:
    film = move(GOOD + SPOILT, coloured((1.0, 1.0, 0.2), 400))
    film[GOOD:] = [(picture * gain).astype(np.uint8) for picture in film[GOOD:]]
    assert worse(film) == dict.fromkeys(range(GOOD, GOOD + SPOILT), "dark")


@pytest.mark.parametrize(("gain", "lift"), [(1.9, 20), (2.5, 20)])
def test_a_night_that_is_brightened_is_burnt_where_its_black_is_grey(gain: float, lift: int) -> None:
    film = move(GOOD + SPOILT, lambda picture: np.clip((picture.astype(float) - 60) * 0.4, 0, 255).astype(np.uint8))
    film[:SPOILT] = [np.clip(picture * gain + lift, 0, 255).astype(np.uint8) for picture in film[:SPOILT]]
    assert worse(film) == dict.fromkeys(range(SPOILT), "burnt")


def test_a_step_where_a_dissolve_ends_is_seen_from_the_shot_that_begins_there() -> None:
    film = move(GOOD + SPOILT)
    film[GOOD:] = [spoil(picture, "overexposed", 0.5) for picture in film[GOOD:]]
    spans = [Shot(ShotKind.DISSOLVE, 0, GOOD - 1), Shot(ShotKind.SHOT, GOOD, GOOD + SPOILT - 1)]
    (found,) = stepped(figures(unpack([measure(picture) for picture in film])), spans)
    assert (found.first, found.last, found.step.word) == (GOOD, GOOD + SPOILT - 1, "burnt")


def test_little_by_little_is_no_step() -> None:
    film = move(30)
    film = [(picture * (1 - 0.02 * step)).astype(np.uint8) for step, picture in enumerate(film)]
    assert worse(film) == {}


@pytest.mark.parametrize("defect", ["defocus", "underexposed"])
def test_another_view_is_no_step(defect: str) -> None:
    other = np.ascontiguousarray(scene(320, 180, seed=8))
    assert worse([*move(GOOD), *[spoil(other, defect, 0.5)] * SPOILT]) == {}


def test_a_sharp_picture_with_a_grid_of_its_own_is_not_blocked_beside_a_blurred_one() -> None:
    def tiled(picture: Picture) -> Picture:
        found = picture.copy()
        found[:, ::8] = np.clip(found[:, ::8].astype(int) + 12, 0, 255)
        return found

    film = [tiled(picture) for picture in [move(1)[0]] * (GOOD + SPOILT)]
    film[GOOD:] = [spoil(picture, "defocus", 0.5) for picture in film[GOOD:]]
    assert worse(film) == dict.fromkeys(range(GOOD, GOOD + SPOILT), "blur")


def plain(picture: Picture) -> Picture:
    """Large plain shapes of several shades: nothing in it but their edges."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    found = np.full(picture.shape, 150, np.uint8)
    for at, (shade, tint) in enumerate([(40, 30), (90, -20), (200, 25), (220, -30), (70, 20)]):
        inside = (rows - 40 - 28 * at) ** 2 + (columns - 40 - 75 * at) ** 2 < 34**2
        found[inside] = (shade + tint, shade, max(shade - tint, 0))
    return np.clip(found + picture.astype(float) * 0.12, 0, 255).astype(np.uint8)


def test_what_is_as_smooth_as_a_drawing_for_being_dark_is_refused_all_the_same() -> None:
    film = move(GOOD + SPOILT, plain)
    film[GOOD:] = [spoil(picture, "underexposed", 0.8) for picture in film[GOOD:]]
    found, count = figures(unpack([measure(picture) for picture in film])), len(film)
    assert drawing(found).tolist() == [False] * GOOD + [True] * SPOILT
    shots = [Shot(ShotKind.SHOT, 0, count - 1)]
    times, scored, views = np.arange(count) / 25, np.ones(count, bool), np.zeros(count, np.int64)
    words = [gates.ORDER[one].value for one in gates.judge(found, times, scored, shots, views, GatesConfig())]
    # What lies right beside a stretch of spoilt frames goes with them.
    assert words[:4] == ["good"] * 4
    assert set(words[GOOD:]) == {"dark"}


def test_a_grid_that_comes_with_other_colours_is_a_coders_though_it_sharpens() -> None:
    """Without them, it may as well be that what was seen before had been blurred."""
    film = move(GOOD + SPOILT)
    for colour, words in ((0, set()), (3, {"blocks"})):
        coded = [picture.astype(int) for picture in film[GOOD:]]
        for picture in coded:
            picture[:, ::8] += 12
            picture += (colour, 0, -colour)
        found = worse([*film[:GOOD], *(np.clip(one, 0, 255).astype(np.uint8) for one in coded)])
        assert set(found.values()) == words


@pytest.mark.parametrize("defect", ["overexposed", "underexposed"])
def test_a_step_of_the_light_is_seen_where_much_moves(defect: str) -> None:
    film = move(GOOD + SPOILT)
    other = scene(320, 180, seed=9)
    for row in range(GOOD, GOOD + SPOILT):
        film[row] = film[row].copy()
        film[row][:, 200:215] = other[:, 200:215]
        film[row] = spoil(film[row], defect, 0.5)
    assert worse(film) == dict.fromkeys(range(GOOD, GOOD + SPOILT), WORDS[defect])


def test_a_step_of_the_focus_is_seen_where_much_moves() -> None:
    """Somebody walks by while the camera turns at half of a blink, and from then on all is a little out of focus."""
    film = passed_by(move(GOOD + SPOILT), [60] * GOOD + [130] * SPOILT)
    film[GOOD:] = [spoil(picture, "defocus", 0.0) for picture in film[GOOD:]]
    assert 0.8 < likeness(film, GOOD) < 0.95
    assert worse(film) == dict.fromkeys(range(GOOD, GOOD + SPOILT), "blur")


@pytest.mark.parametrize(("defect", "found"), [("motion", True), ("defocus", False)])
def test_a_smear_one_way_is_seen_however_much_moves(defect: str, found: bool) -> None:
    """Beside somebody who fills the picture and runs, a loss both ways may be another picture."""
    film = passed_by(move(GOOD + SPOILT), [30] * GOOD + [110] * SPOILT, wide=60)
    film[GOOD:] = [spoil(picture, defect, 0.0) for picture in film[GOOD:]]
    assert 0.5 < likeness(film, GOOD) < 0.8
    assert worse(film) == (dict.fromkeys(range(GOOD, GOOD + SPOILT), "blur") if found else {})


def move_much(found: np.ndarray) -> None:
    """A third of the cells show something else from the frame ``GOOD`` on."""
    shades = np.random.default_rng(3).permutation(np.linspace(60, 160, 144))
    moved = shades.copy()
    moved[:50] = np.random.default_rng(4).permutation(moved[:50])
    assert 0.5 < np.corrcoef(shades, moved)[0, 1] < 0.8
    found["luma"][:GOOD], found["luma"][GOOD:] = shades.reshape(9, 16), moved.reshape(9, 16)


@pytest.mark.parametrize(
    ("across", "along", "brighter", "smeared"),
    [
        (100, 180, 1.0, True),
        (180, 100, 1.0, True),
        (90, 110, 1.0, False),
        (165, 195, 1.0, False),
        (100, 180, 1.2, False),
    ],
    ids=["across", "along", "both ways", "harder the other way", "in another light"],
)
def test_what_is_lost_both_ways_or_in_another_light_is_no_smear(
    across: int, along: int, brighter: float, smeared: bool
) -> None:
    """The same where much moves, with what cells have of edges before, 180 each way, and after."""
    found = records((GOOD, {"mean": 110}), (SPOILT, {"mean": 110 * brighter}))
    move_much(found)
    found["edges"] = 180
    for way, (name, after) in enumerate((("sharp_x", across), ("sharp_y", along))):
        found["edges"][GOOD:, :, :, way] = after
        found[name][:GOOD] = 0.1
        found[name][GOOD:] = 0.1 * 2.0 ** ((after - 180) / 16)
    shots = [Shot(ShotKind.SHOT, 0, len(found) - 1)]
    told = {(one.step.word, one.first, one.last) for one in stepped(found, shots)}
    assert told == ({("blur", GOOD, GOOD + SPOILT - 1)} if smeared else set())


def test_what_has_edges_one_way_alone_has_no_smear() -> None:
    """Bars out of focus behind somebody who passes: of the other way nothing is known."""
    found = records((GOOD, {}), (SPOILT, {}))
    move_much(found)
    found["edges"][..., 0], found["edges"][..., 1] = 180, 10
    found["edges"][GOOD:, :, :, 0] = 150
    found["sharp_x"][GOOD:] *= 2.0 ** (-30 / 16)
    assert stepped(found, [Shot(ShotKind.SHOT, 0, len(found) - 1)]) == []


def test_what_is_clipped_is_no_sharper_for_its_hard_edges() -> None:
    """A light wall that is overexposed: too bright before to become much brighter, and the joints in it are harder."""
    found = records(
        (GOOD, {"mean": 207, "edges": 60, "sharp_x": 0.006, "sharp_y": 0.012}),
        (SPOILT, {"mean": 243, "edges": 76, "sharp_x": 0.014, "sharp_y": 0.05}),
    )
    shades = np.linspace(120, 240, 144).reshape(9, 16)
    moved = shades - 30 * (np.arange(16) % 2)
    found["luma"][:GOOD], found["luma"][GOOD:] = shades, moved
    shots = [Shot(ShotKind.SHOT, 0, len(found) - 1)]
    assert stepped(found, shots) == []
    found["mean"][GOOD:] = 207
    assert {one.step.word for one in stepped(found, shots)} == {"blur"}


def test_what_is_a_little_softer_between_two_steps_is_seen_where_much_moves() -> None:
    film = passed_by(move(36), [60] * 12 + [130] * 12 + [60] * 12)
    film[12:24] = [slightly_soft(picture) for picture in film[12:24]]
    assert 0.8 < likeness(film, 12) < 0.95
    assert worse(film) == dict.fromkeys(range(12, 24), "blur")


def test_between_two_steps_that_both_call_it_worse_all_is() -> None:
    """A coder's grid may be weak for a while where there is little to code."""
    film = move(60)
    film[10:50] = [spoil(picture, "blocking", 0.2) for picture in film[10:50]]
    found = figures(unpack([measure(picture) for picture in film]))
    good, blocked = (float(np.median(found["blocks"][part])) for part in (slice(0, 10), slice(10, 50)))
    weak = np.interp(np.arange(40), (0, 4, 16, 24, 36, 39), (1.0, 1.0, 0.0, 0.0, 1.0, 1.0))
    found["blocks"][10:50] = good * (blocked / good) ** weak

    def refused(last: int) -> set[int]:
        told = stepped(found[: last + 1], [Shot(ShotKind.SHOT, 0, last)])
        return {row for one in told if one.step.word == "blocks" for row in range(one.first, one.last + 1)}

    assert refused(59) == set(range(10, 50))
    assert refused(45) < set(range(10, 25))


def empty(picture: Picture) -> Picture:
    """A road or a wall: almost nothing in it, a bright line at its edge."""
    found = 110 + (picture.astype(float) - picture.mean()) * 0.3
    found[20:24, :60] = 220
    return found.astype(np.uint8)


@pytest.mark.parametrize(("defect", "word"), [("underexposed", "dark"), ("overexposed", "burnt")])
def test_what_is_smooth_and_filmed_is_refused_for_its_light(defect: str, word: str) -> None:
    film = move(GOOD + SPOILT, empty)
    film[GOOD:] = [spoil(picture, defect, 0.5) for picture in film[GOOD:]]
    found, count = figures(unpack([measure(picture) for picture in film])), len(film)
    found["still"] = 0.95
    assert drawing(found)[:GOOD].all()
    asked = {}
    gates.judge_steps(found, [Shot(ShotKind.SHOT, 0, count - 1)], lambda name, mask, _: asked.update({name: mask}))
    assert np.flatnonzero(asked[gates.Verdict(word)]).tolist() == list(range(GOOD, count))


@pytest.mark.parametrize(("usual", "refused"), [(0.4, True), (0.95, False)])
def test_a_step_of_the_focus_before_a_plain_wall_tells_in_a_film_that_is_not_drawn(usual: float, refused: bool) -> None:
    film = move(GOOD + SPOILT)
    film[GOOD:] = [spoil(picture, "defocus", 0.5) for picture in film[GOOD:]]
    wall = figures(unpack([measure(picture) for picture in film]))
    wall["still"] = 0.95
    found = np.concatenate([wall, records((3 * len(wall), {"still": usual}))])
    shots = [Shot(ShotKind.SHOT, 0, len(wall) - 1), Shot(ShotKind.SHOT, len(wall), len(found) - 1)]
    asked = {}
    gates.judge_steps(found, shots, lambda name, mask, _: asked.update({name: mask}))
    spoilt = list(range(GOOD, len(wall))) if refused else []
    assert np.flatnonzero(asked[gates.Verdict.BLUR]).tolist() == spoilt


def test_what_is_softer_than_frames_in_another_light_is_not_blurred_for_that() -> None:
    film = move(3 * GOOD)
    film[: 2 * GOOD] = [spoil(picture, "defocus", 0.5) for picture in film[: 2 * GOOD]]
    film[GOOD:] = [spoil(picture, "underexposed", 0.0) for picture in film[GOOD:]]
    found = worse(film)
    assert set(found) == set(range(GOOD, 3 * GOOD))


def slightly_soft(picture: Picture) -> Picture:
    """A loss that is too little to be a step by itself."""
    return (0.65 * picture + 0.35 * spoil(picture, "defocus", 0.0)).astype(np.uint8)


def test_movement_that_takes_the_columns_of_a_grid_with_it_leaves_no_better_picture() -> None:
    """What was coded before has a grid; blur along its lines takes it, and a little of what was plain."""
    found = records(
        (GOOD, {"blocks": 1.7, "sharp_x": 0.02, "still": 0.62, "edges": 68}),
        (SPOILT, {"blocks": 1.0, "sharp_x": 0.01, "still": 0.6, "edges": 55}),
    )
    found["luma"] = np.linspace(40, 200, 144).reshape(9, 16)
    told = stepped(found, [Shot(ShotKind.SHOT, 0, len(found) - 1)])
    assert [(one.step.word, one.first, one.last) for one in told] == [("blur", GOOD, GOOD + SPOILT - 1)]


def softened(film: Sequence[Picture], losses: Sequence[float], whole: Sequence[float] | None = None) -> dict[int, str]:
    """What steps say of a film whose frames have lost so much of their sharpness, in sixteenths of an octave: in each
    cell, and, if that is not the same, in the ``whole`` of the picture."""
    found = figures(unpack([measure(picture) for picture in film]))
    loss = np.asarray(losses)
    found["edges"] = np.maximum(found["edges"] - loss[:, None, None, None], 0).astype(np.uint8)
    for name in ("sharp_x", "sharp_y"):
        found[name] *= 2.0 ** (-np.asarray(losses if whole is None else whole) / 16)
    told = stepped(found, [Shot(ShotKind.SHOT, 0, len(film) - 1)])
    return {row: one.step.word for one in told for row in range(one.first, one.last + 1)}


def test_what_is_a_little_softer_is_blurred_where_it_both_begins_and_ends_at_once() -> None:
    film = move(36)
    assert softened(film, [0] * 12 + [6] * 12 + [0] * 12) == dict.fromkeys(range(12, 24), "blur")
    assert softened(film[:24], [0] * 12 + [6] * 12) == {}


def test_a_little_more_or_less_between_two_plain_steps_matters_to_neither() -> None:
    """What is blurred may come near to what it was, where somebody comes into the picture: it is not sharp for that."""
    film = move(48)
    lost, whole = ([0] * 12 + [9] * 6 + [between] * 12 + [9] * 6 + [0] * 12 for between in (6, 1))
    assert set(softened(film, lost, whole)) == set(range(12, 36))


def test_what_is_plainly_softer_at_once_is_blurred_whatever_comes_after() -> None:
    film = move(GOOD + SPOILT)
    assert softened(film, [0] * GOOD + [9] * SPOILT) == dict.fromkeys(range(GOOD, GOOD + SPOILT), "blur")
    assert softened(film, [0] * GOOD + [6] * SPOILT) == {}
    # What is sharper at once may be a coder's work, which begins anew every so many frames.
    assert softened(film, [9] * GOOD + [0] * SPOILT) == {}


def test_what_was_blurred_is_sharp_again_once_most_of_the_loss_is_made_up_for() -> None:
    film = move(40)
    back = np.concatenate([[0] * 10, [20] * 8, np.linspace(20, 8.5, 10), [8.5] * 12])
    assert set(softened(film, back)) == set(range(10, 40))
    back[28:] = 4
    assert set(softened(film, back)) == set(range(10, 28))


def test_a_dark_stage_that_is_brightened_is_burnt_by_its_grey_black_alone() -> None:
    """Its lamps have room above them, so that nothing is driven beyond white."""
    film = move(GOOD + SPOILT, lambda picture: np.clip(picture * 0.28 - 12, 0, 95).astype(np.uint8))
    brightened = [np.clip(picture.astype(float) * 2.2 + 20, 0, 255).astype(np.uint8) for picture in film[GOOD:]]
    assert max(int(picture.max()) for picture in brightened) < 235
    for picture in film:
        picture[:10, :100] = 104
    for picture in brightened:
        picture[:10, :100] = 248
    assert worse([*film[:GOOD], *brightened]) == dict.fromkeys(range(GOOD, GOOD + SPOILT), "burnt")


def lit(dark: dict[str, float], bright: dict[str, float], gain: float, lift: float = 0.0) -> set[str]:
    """What a step of the light from dark to bright frames is called; the cells are brighter by ``gain`` and ``lift``."""
    found = records((GOOD, dark), (SPOILT, bright))
    shades = np.linspace(dark["low"], dark["high"], 144).reshape(9, 16)
    found["luma"][:GOOD], found["luma"][GOOD:] = shades, np.minimum(gain * shades + lift, 246)
    return {one.step.word for one in stepped(found, [Shot(ShotKind.SHOT, 0, len(found) - 1)])}


def test_what_the_gain_would_drive_far_beyond_white_is_burnt_though_little_of_it_is_clipped() -> None:
    """Grass and a runner: the little that is white was as bright as all else."""
    runner = {"mean": 84, "low": 22, "high": 157}
    assert lit(runner, {"mean": 173, "low": 33, "high": 252, "light": 0.015}, 2.3, -16) == {"burnt"}
    # Of dark frames, codes are rounded: without anything white, the gain of some is no proof.
    night = {"mean": 11, "low": 4, "high": 82}
    assert lit(night, {"mean": 33, "low": 16, "high": 229}, 3.7) == {"dark"}


def test_grey_black_is_a_fault_only_where_it_was_black() -> None:
    stage = {"mean": 45, "low": 1, "floor": 0, "high": 96}
    assert lit(stage, {"mean": 119, "low": 23, "floor": 21, "high": 230}, 2.2, 20) == {"burnt"}
    fog = {"mean": 64, "low": 35, "floor": 33, "high": 94}
    assert lit(fog, {"mean": 163, "low": 100, "floor": 96, "high": 232}, 2.2, 22) == {"dark"}
    # Highlights that gain much more say that something moves.
    assert lit(stage, {"mean": 119, "low": 23, "floor": 21, "high": 252}, 2.2, 20) == {"dark"}


@pytest.mark.parametrize(("sharper", "words"), [(1.3, {"blocks"}), (1.5, set())])
def test_a_grid_that_doubles_is_a_coders_where_little_gets_sharper(sharper: float, words: set[str]) -> None:
    """Lines on a mat: their coding makes the ground between them less smooth."""
    coded = {"blocks": 2.1, "sharp_x": 0.077, "sharp_y": 0.077 * sharper, "still": 0.21, "edges": 91}
    found = records((GOOD, {"sharp_x": 0.077, "sharp_y": 0.077, "still": 0.27}), (SPOILT, coded))
    found["luma"] = np.linspace(40, 200, 144).reshape(9, 16)
    assert {one.step.word for one in stepped(found, [Shot(ShotKind.SHOT, 0, len(found) - 1)])} == words
