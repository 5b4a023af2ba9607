"""The record of a picture: small, the same everywhere, and its figures say what they claim."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from daemon.analysis import features
from daemon.analysis.features import EARLIER, RECORD, VERSION, ViewFinder, figures, sketch, unpack, view
from daemon.analysis.measure import measure


def scene(width: int = 320, height: int = 180, seed: int = 3) -> np.ndarray:
    """Large patches with fine smooth noise on them, RGB."""
    rng = np.random.default_rng(seed)
    sizes = ((4, 6), (height // 5 + 1, width // 5 + 1))
    layers = [Image.fromarray(rng.integers(10, 120, (*size, 3), dtype=np.uint8)) for size in sizes]
    patches, noise = (np.asarray(one.resize((width, height), Image.Resampling.BICUBIC)) for one in layers)
    return patches + noise


def record(picture: np.ndarray) -> np.void:
    return unpack([measure(picture)])[0]


def test_a_record_is_a_few_hundred_bytes_whatever_the_picture() -> None:
    for height, width in ((1, 1), (2, 3), (9, 16), (144, 176), (1080, 1920)):
        blob = measure(np.full((height, width, 3), 90, np.uint8))
        assert len(blob) == RECORD.itemsize < 800
        assert unpack([blob])[0]["mean"] == pytest.approx(90, abs=1)


def test_the_thumbnail_is_the_picture_made_small() -> None:
    picture = scene()
    small = np.asarray(Image.fromarray(picture).resize((16, 9), Image.Resampling.BOX)).astype(int)
    assert np.abs(record(picture)["thumbnail"].astype(int) - small).mean() <= 6


def test_sixteen_bits_say_the_same_as_eight() -> None:
    picture = scene()
    deep, shallow = record(picture.astype(np.uint16) * 257), record(picture)
    assert deep.tobytes() == shallow.tobytes()


def test_a_record_depends_on_its_picture_alone() -> None:
    picture = scene()
    first = measure(picture)
    measure(scene(seed=9))
    assert measure(picture.copy()) == first
    assert measure(np.ascontiguousarray(picture)) == first


def test_exposure_is_measured() -> None:
    ramp = np.repeat(np.linspace(0, 255, 256).astype(np.uint8)[None, :, None], 90, axis=0).repeat(3, axis=2)
    found = record(ramp)
    assert found["mean"] == pytest.approx(127.5, abs=1.5)
    assert found["contrast"] == pytest.approx(73.9, abs=1.5)
    assert (found["low"], found["high"]) == (pytest.approx(2, abs=2), pytest.approx(252, abs=2))
    assert found["dark"] == pytest.approx(6 / 256, abs=0.01)
    assert found["light"] == pytest.approx(6 / 256, abs=0.01)
    assert found["entropy"] == pytest.approx(5.0, abs=0.05)
    assert found["plain"] < 0.03


def test_blur_lowers_sharpness_and_exposure_does_not() -> None:
    picture = scene()
    sharp = record(picture)
    soft = record(np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(4))))
    dark = record((picture * 0.4).astype(np.uint8))
    for name in ("sharp_x", "sharp_y"):
        assert soft[name] < 0.7 * sharp[name]
        assert dark[name] == pytest.approx(float(sharp[name]), rel=0.25)


def test_movement_blurs_one_direction_only() -> None:
    picture = scene()
    smeared = np.mean([np.roll(picture, shift, axis=1) for shift in range(-8, 9)], axis=0).astype(np.uint8)
    before, after = record(picture), record(smeared)
    assert after["sharp_x"] / before["sharp_x"] < 0.6 * after["sharp_y"] / before["sharp_y"]


def test_the_grid_of_a_coder_shows() -> None:
    rng = np.random.default_rng(1)
    blocks = np.kron(rng.integers(60, 190, (23, 40)), np.ones((8, 8)))[:180, :320]
    assert record(np.repeat(blocks[..., None], 3, axis=2).astype(np.uint8))["blocks"] > 5
    assert record(scene())["blocks"] < 1.3


def test_text_on_a_plain_ground_is_plain_and_still() -> None:
    card = np.full((180, 320, 3), 12, np.uint8)
    card[80:100, 60:260:7] = 230
    found = record(card)
    assert found["plain"] > 0.8
    assert found["still"] > 0.8


def test_missing_and_foreign_records_have_version_0() -> None:
    good = measure(scene())
    newer = bytes([VERSION + 1]) + good[1:]
    assert unpack([good, None, newer, b"short"])["version"].tolist() == [VERSION, 0, 0, 0]
    assert len(unpack([])) == 0


def test_sketches_differ_as_pictures_do() -> None:
    one, other = scene(seed=1), scene(seed=2)
    brighter = np.clip(one * 1.3, 0, 255).astype(np.uint8)
    sketches = sketch(unpack([measure(p) for p in (one, one, other, brighter)])["thumbnail"])
    gaps = np.sqrt(((sketches - sketches[0]) ** 2).mean(axis=1))
    assert gaps[1] == 0
    assert gaps[2] > 15
    # What is seen is the same, only the light is not.
    likeness = view(sketches) @ view(sketches)[0]
    assert likeness[3] > 0.98
    assert likeness[2] < 0.7


def test_one_code_of_luma_everywhere_is_a_difference_of_about_one() -> None:
    pair = np.full((2, 9, 16, 3), 100, np.uint8)
    pair[1] += 3
    sketches = sketch(pair)
    assert np.sqrt(((sketches[1] - sketches[0]) ** 2).mean()) == pytest.approx(3 / 3**0.5, rel=0.01)


def test_a_stretch_ends_where_something_else_is_seen() -> None:
    one, other = (unpack([measure(scene(seed=seed))])["thumbnail"] for seed in (1, 2))
    darker = (one * 0.5).astype(np.uint8)
    finder = ViewFinder()
    finder.feed(sketch(np.concatenate([one, one, darker])))
    finder.feed(sketch(np.concatenate([one, other, other])))
    assert finder.found().tolist() == [0, 0, 0, 0, 1, 1]


def test_measuring_costs_a_fraction_of_scoring() -> None:
    from daemon.scoring.niqe.niqe import FusedNiqe

    niqe = FusedNiqe.shipped(threads=1)
    pictures = [np.ascontiguousarray(np.roll(scene(1920, 1080), 40 * step, axis=1)) for step in range(6)]
    measure(pictures[0])
    niqe.score(pictures[0])
    costs = {"measure": [], "score": []}  # type: dict[str, list[float]]
    for picture in pictures * 3:
        for name, work in (("measure", measure), ("score", niqe.score)):
            started = time.thread_time()
            work(picture)
            costs[name].append(time.thread_time() - started)
    assert np.median(costs["measure"]) <= 0.3 * np.median(costs["score"])


def test_the_layout_is_what_version_3_says() -> None:
    assert features.VERSION == 3
    assert RECORD.itemsize == 771
    assert [EARLIER[version].itemsize for version in (1, 2)] == [475, 770]


@pytest.mark.parametrize("version", EARLIER)
def test_records_of_earlier_versions_are_still_read(version: int) -> None:
    new = record(scene())
    old = np.zeros((), EARLIER[version])
    for name in EARLIER[version].names or ():
        old[name] = new[name]
    old["version"] = version
    read = unpack([old.tobytes(), measure(scene()), None])
    assert read["version"].tolist() == [version, 3, 0]
    assert read["sharp_x"][0] == new["sharp_x"]
    assert (read["thumbnail"][0] == new["thumbnail"]).all()
    assert read["caption"][0] == 0
    if version == 1:
        assert (read["floor"][0], read["peak"][0], read["comb"][0]) == (new["low"], new["high"], 0)
    else:
        assert (read["edges"][0] == new["edges"]).all()


def written(size: int, height: int = 360, words: str = "NOTHING IS WHAT IT SEEMS") -> np.ndarray:
    """A picture with a line of writing over it."""
    card = Image.fromarray(scene(height=height, width=height * 16 // 9))
    ImageDraw.Draw(card).text((card.width // 2, card.height // 2), words, fill="white", anchor="mm", font_size=size)
    return np.asarray(card)


@pytest.mark.parametrize("height", [240, 360, 720])
def test_a_line_of_writing_is_told_from_the_picture_it_lies_over(height: int) -> None:
    assert record(written(height // 10, height))["caption"] >= 3
    assert record(scene(height=height, width=height * 16 // 9))["caption"] <= 1


def test_two_fields_in_one_frame_are_combed() -> None:
    one, other = scene(seed=3), np.roll(scene(seed=3), 12, axis=1)
    woven = one.copy()
    woven[1::2] = other[1::2]
    assert record(woven)["comb"] > 20 * max(record(one)["comb"], 0.001)


def test_a_thin_line_shows_in_the_peak() -> None:
    picture = np.zeros((720, 1280, 3), np.uint8)
    picture[100:620, 640:644] = 220
    found = record(picture)
    assert (found["high"], found["floor"], found["peak"]) == (0, 0, 220)


def test_lettering_is_told_from_texture() -> None:
    from PIL import ImageDraw

    plain = Image.fromarray(scene(640, 360))
    ImageDraw.Draw(lettered := plain.copy()).text((320, 180), "A Day in the Life", "white", anchor="mm", font_size=56)
    texture = np.random.default_rng(7).integers(0, 255, (360, 640, 1), np.uint8).repeat(3, axis=2)
    assert record(np.asarray(plain))["text"] == 0
    assert record(np.asarray(lettered))["text"] >= 4
    assert record(texture)["text"] == 0


def test_edges_are_kept_by_cell() -> None:
    picture = np.full((90, 160, 3), 100, np.uint8)
    picture[40:50, 80:90:2] = 200
    edges = record(picture)["edges"]
    assert edges[4, 8, 0] > 150
    assert edges[0].max() == edges[8].max() == 0


def test_a_test_card_is_known() -> None:
    colours = [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191)]
    card = np.repeat(np.repeat(np.array(colours, np.uint8)[None], 180, axis=0), 46, axis=1)
    assert figures(unpack([measure(card), measure(scene())]))["bars"].tolist() == [1, 0]


@pytest.mark.parametrize("top", [26, 70, 100])
def test_a_test_card_may_have_a_label(top: int) -> None:
    from PIL import Image, ImageDraw

    colours = [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191)]
    card = Image.fromarray(np.repeat(np.repeat(np.array(colours, np.uint8)[None], 180, axis=0), 46, axis=1))
    pen = ImageDraw.Draw(card)
    pen.rectangle((90, top, 230, top + 24), "black")
    pen.text((160, top + 12), "STUDIO 4", "white", anchor="mm", font_size=20)
    assert figures(unpack([measure(np.asarray(card))]))["bars"].tolist() == [1]


PURE = [(255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255)]


def patches(colours: list[tuple[int, int, int]]) -> np.ndarray:
    """Some squares of colours about a picture."""
    picture = scene()
    for at, colour in enumerate(colours):
        picture[20 + 50 * (at % 3) :, 30 + 90 * (at // 3) :][:45, :45] = colour
    return picture


def test_a_card_with_each_pure_colour_is_known_wherever_these_are() -> None:
    dimmed = [PURE[0], *((red // 2, green // 2, blue // 2) for red, green, blue in PURE[1:])]
    cards = [patches(PURE), patches(PURE[:5]), patches(dimmed)]
    assert figures(unpack([measure(card) for card in cards]))["bars"].tolist() == [1, 0, 0]


def test_gray_bars_are_known_and_a_gradient_or_a_curtain_is_none() -> None:
    stairs = np.repeat(np.linspace(190, 20, 7).astype(np.uint8), 46)
    gradient = np.linspace(190, 20, 322).astype(np.uint8)
    curtain = np.repeat(np.array([190, 60, 160, 30, 180, 50, 120], np.uint8), 46)
    cards = [np.tile(row[None, :, None], (180, 1, 3)) for row in (stairs, curtain)]
    assert figures(unpack([measure(np.ascontiguousarray(card)) for card in cards]))["bars"].tolist() == [1, 0]
    tilted = np.tile(gradient[None, :, None], (180, 1, 3)) - np.linspace(0, 20, 180).astype(np.uint8)[:, None, None]
    assert figures(unpack([measure(tilted)]))["bars"].tolist() == [0]


def chart(grain: float, coloured: bool = True, mirrored: bool = True) -> np.ndarray:
    """A circle on a gray grid, as a monitor's chart has it."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (640, 360), "#6e6e6e" if mirrored else "#9a9a9a")
    pen = ImageDraw.Draw(image)
    if not mirrored:
        pen.rectangle((0, 0, 320, 360), "#303030")
    for x in range(4, 640, 24):
        pen.line((x, 0, x, 360), "#ebebeb", 2)
    for y in range(6, 360, 24):
        pen.line((0, y, 640, y), "#ebebeb", 2)
    pen.ellipse((150, 10, 490, 350), "black")
    for at, colour in enumerate(PURE if coloured else []):
        pen.rectangle((190 + 44 * at, 90, 232 + 44 * at, 180), colour)
    noise = np.random.default_rng(4).normal(0, max(grain, 1e-6), (360, 640, 1))
    return (np.asarray(image) + noise).clip(0, 255).astype(np.uint8)


def test_a_chart_on_a_grid_is_known_and_what_differs_from_side_to_side_is_none() -> None:
    cards = [chart(0), chart(9), chart(0, coloured=False), chart(0, coloured=False, mirrored=False)]
    assert figures(unpack([measure(card) for card in cards]))["bars"].tolist() == [1, 1, 1, 0]


def test_grain_on_a_wall_behind_somebody_is_no_grid() -> None:
    wall = np.random.default_rng(4).normal(120, 25, (360, 640, 1)).repeat(3, axis=2)
    wall[100:, 240:400] = scene(160, 260) * 0.5 + 90
    assert figures(unpack([measure(wall.clip(0, 255).astype(np.uint8))]))["bars"].tolist() == [0]
