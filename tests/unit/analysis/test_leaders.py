"""What counts down to a film, and what only turns, beats or is the same on both sides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from daemon.analysis.features import figures, unpack
from daemon.analysis.leaders import leader
from daemon.analysis.measure import measure
from daemon.analysis.witness import Witness
from tests.unit.analysis.test_features import scene
from tests.unit.analysis.test_gates import in_file

WIDTH, HEIGHT, RATE = 320, 180, 12
Frames = list[np.ndarray]


def drawn(number: int, part: float, ground: str, hand: str | None, ink: str, ring: str, figure: str) -> Image.Image:
    """A cross, two rings, a number, and so much of a turn of the hand."""
    image = Image.new("RGB", (WIDTH, HEIGHT), ground)
    pen = ImageDraw.Draw(image)
    middle = (WIDTH // 2, HEIGHT // 2)
    if hand:
        pen.pieslice((middle[0] - 200, middle[1] - 200, middle[0] + 200, middle[1] + 200), -90, 360 * part - 90, hand)
    pen.line((0, middle[1], WIDTH, middle[1]), ink, 2)
    pen.line((middle[0], 0, middle[0], HEIGHT), ink, 2)
    for radius in (60, 72):
        pen.ellipse((middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius), None, ring, 2)
    pen.text(middle, str(number), figure, anchor="mm", font_size=80)
    return image


def countdown(
    numbers: int = 5,
    frames_each: int = RATE,
    looks: tuple[str, str | None, str, str, str] = ("#96928a", "#69665f", "#141414", "#f0f0f0", "#101010"),
    worn: bool = False,
) -> Frames:
    rng = np.random.default_rng(2)
    found = []
    for at in range(numbers * frames_each):
        image = drawn(numbers + 1 - at // frames_each, at % frames_each / frames_each, *looks)
        if worn:
            image = image.filter(ImageFilter.GaussianBlur(1))
            image = Image.fromarray(np.roll(np.asarray(image), rng.integers(-1, 2, 2), axis=(0, 1)))
        grain = rng.normal(0, 10 if worn else 1, (HEIGHT, WIDTH, 1))
        found.append((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
    return found


def programme(count: int = 70) -> Frames:
    """A camera that moves along something."""
    wide = scene(WIDTH + 4 * count, HEIGHT)
    return [np.ascontiguousarray(wide[:, 4 * at : 4 * at + WIDTH]) for at in range(count)]


def told(frames: Frames, rate: float = RATE) -> np.ndarray:
    found = figures(unpack([measure(frame) for frame in frames]))
    time_s = np.arange(len(frames)) / rate
    mask = leader(found, time_s)
    assert np.array_equal(mask, leader(in_file(found), time_s))
    return mask


SEPIA = ("#beaa82", "#96825f", "#3c2d1e", "#e6d7b4", "#322314")
WITHOUT_HAND = ("#000000", None, "#c8c8c8", "#dcdcdc", "#ebebeb")


@pytest.mark.parametrize(
    "counted",
    [
        countdown(),
        countdown(looks=SEPIA),
        countdown(worn=True),
        countdown(looks=WITHOUT_HAND),
        countdown(numbers=6, frames_each=RATE * 2 // 3),
    ],
    ids=["gray", "sepia", "worn", "without a hand", "three numbers in two seconds"],
)
# Its seconds are seldom those of the film.
@pytest.mark.parametrize("before", [0, 17])
def test_a_countdown_is_a_leader_to_its_last_frame(counted: Frames, before: int) -> None:
    film = programme()
    mask = told([*film[:before], *counted, *film[before:]])
    assert mask[before : before + len(counted)].all()
    assert mask.sum() == len(counted)


def with_borders(frames: Frames) -> Frames:
    return [np.pad(frame, ((0, 0), (60, 60), (0, 0))) for frame in frames]


def test_borders_beside_it_are_no_part_of_it() -> None:
    mask = told(with_borders([*countdown(), *programme()]))
    assert mask.tolist() == [True] * 60 + [False] * 70


def test_it_is_known_in_pieces_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    film = [*programme()[:17], *countdown(), *programme()]
    whole = told(film)
    for rows in (RATE, 30, 100):
        monkeypatch.setattr("daemon.analysis.leaders.ROWS", rows)
        assert np.array_equal(told(film), whole)


def still(count: int) -> Frames:
    """The same, and nothing happens."""
    return [np.asarray(drawn(5, 0.0, *WITHOUT_HAND))] * count


def slow_hand(count: int) -> Frames:
    """A clock whose hand takes a minute."""
    return [
        np.asarray(drawn(5, at / RATE / 60, "#96928a", "#69665f", "#141414", "#f0f0f0", "#101010"))
        for at in range(count)
    ]


def pendulum(count: int) -> Frames:
    """Something that swings once a second in front of a wall."""
    found = []
    for at in range(count):
        image = Image.fromarray(scene(WIDTH, HEIGHT))
        x = 160 + 90 * np.sin(2 * np.pi * at / RATE)
        ImageDraw.Draw(image).ellipse((x - 40, 50, x + 40, 130), "#303030")
        found.append(np.asarray(image))
    return found


def other_pictures(count: int) -> Frames:
    """A number that changes now and then, as in a talk."""
    changes = np.cumsum(np.random.default_rng(5).random(count) < 0.12)
    return [np.asarray(drawn(int(changed % 10), 0.0, *WITHOUT_HAND)) for changed in changes]


@pytest.mark.parametrize("make", [still, slow_hand, pendulum, other_pictures, programme])
def test_what_does_not_count_is_none(make: Callable[[int], Frames]) -> None:
    assert not told([*make(60), *programme()]).any()


def test_a_film_of_nothing_else_keeps_it() -> None:
    assert not told([*countdown(), *programme(30)]).any()


def test_footage_beside_a_short_one_that_is_darker_is_none() -> None:
    dark = [np.full((HEIGHT, WIDTH, 3), 9, np.uint8)] * 30
    film = [*programme(66), *dark, *countdown(numbers=2), *dark]
    assert np.flatnonzero(told(film)).tolist() == list(range(96, 120))


@pytest.mark.parametrize("per_second", [4, 60])
def test_frames_of_one_time_tell_nothing(per_second: int) -> None:
    found = figures(unpack([measure(frame) for frame in [*countdown(), *programme()]]))
    time_s = np.floor(np.arange(len(found)) / per_second) * per_second / RATE
    assert leader(found, time_s).shape == (130,)


def test_too_few_frames_a_second_tell_nothing() -> None:
    assert not told([*countdown(), *programme()], rate=3).any()


@pytest.mark.parametrize(
    ("frames", "told_by"), [(countdown(), "turn of the hand"), (countdown(looks=WITHOUT_HAND), "number")]
)
def test_why_it_is_one_is_said_with_its_figure(frames: Frames, told_by: str) -> None:
    found = figures(unpack([measure(frame) for frame in [*frames, *programme()]]))
    witness = Witness(30)
    mask = leader(found, np.arange(len(found)) / RATE, witness)
    witness.gate("leader", mask)
    share, figure = witness.heard[0].figures
    assert (share.name, told_by in figure.name) == ("share of the film", True)
    assert share.against
    assert figure.against
    alone, only = figures(unpack([measure(frame) for frame in [*frames, *programme(30)]])), Witness(30)
    only.gate("leader", leader(alone, np.arange(len(alone)) / RATE, only))
    assert [(one.name, one.against) for one in only.heard[0].figures] == [("share of the film", False)]
    apart = Witness(100)
    apart.gate("leader", leader(found, np.arange(len(found)) / RATE, apart))
    assert apart.heard == []


def thin_hand(count: int) -> Frames:
    """A line for a hand, on a dark ground, in so much grain that the next frame is no more alike than any other."""
    rng, found = np.random.default_rng(8), []
    for at in range(count):
        image = drawn(count // RATE + 1 - at // RATE, 0.0, "#202020", None, "#707070", "#a0a0a0", "#e0e0e0")
        angle = 2 * np.pi * (at % RATE) / RATE
        tip = (160 + 200 * np.cos(angle), 90 + 200 * np.sin(angle))
        ImageDraw.Draw(image).line((160, 90, *tip), "#c0c0c0", 4)
        found.append((np.asarray(image) + rng.normal(0, 14, (HEIGHT, WIDTH, 1))).clip(0, 255).astype(np.uint8))
    return found


def flickering(frames: Frames) -> Frames:
    light = 1 + np.random.default_rng(3).normal(0, 0.06, len(frames))
    return [(frame * one).clip(0, 255).astype(np.uint8) for frame, one in zip(frames, light, strict=True)]


@pytest.mark.parametrize("counted", [thin_hand(60), flickering(countdown())], ids=["a thin hand", "flicker"])
def test_neither_grain_nor_flicker_hides_it(counted: Frames) -> None:
    mask = told([*counted, *programme()])
    assert mask[:60].all()
    assert not mask[60:].any()
