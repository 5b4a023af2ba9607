"""Gates: what is never chosen, and that exposure and sharpness are questions of the film."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from daemon.analysis import gates
from daemon.analysis.features import FIGURES
from daemon.analysis.film_figures import FilmFigures
from daemon.config.selection import GatesConfig
from daemon.model import Shot, ShotKind

CONFIG = GatesConfig()
USUAL: dict[str, float] = {
    "mean": 110, "contrast": 50, "low": 10, "high": 235, "dark": 0.0, "light": 0.0, "entropy": 4.5, "plain": 0.05,
    "still": 0.4, "sharp_x": 0.02, "sharp_y": 0.02, "blocks": 1.05,
    "version": 2, "floor": 5, "peak": 240, "edges": 85,
}  # fmt: skip
WRITTEN = 150
"""The edges of cells with writing that is laid over a usual picture."""


def records(*parts: tuple[int, dict[str, float]]) -> np.ndarray:
    """So many frames each, as usual but for some figures. Where there is writing, it stands out from the picture."""
    whole = np.zeros(sum(count for count, _ in parts), FIGURES)
    at = 0
    for count, changes in parts:
        for name, value in {**USUAL, **changes}.items():
            whole[name][at : at + count] = value
        cells = int(max(changes.get("text", 0), changes.get("caption", 0)))
        whole["edges"][at : at + count].reshape(count, -1, 2)[:, :cells] = WRITTEN
        at += count
    return whole


def in_file(found: np.ndarray) -> FilmFigures:
    """The same figures as of a film that is too long for memory."""
    filed = FilmFigures(len(found), io.BytesIO())
    filed.add(found)
    return filed


def judge(found: np.ndarray, shots: list[Shot] | None = None, **options: Any) -> list[str]:
    """Each frame's verdict, the same whether the figures are an array or lie in a file."""
    count = len(found)
    filed = in_file(found)
    verdicts, of_filed = (
        gates.judge(
            some,
            options.get("time_s", np.arange(count) / 25),
            options.get("scored", np.ones(count, bool)),
            shots or [Shot(ShotKind.SHOT, 0, count - 1)],
            options.get("views", np.arange(count)),
            GatesConfig(**options.get("config", {})),
            reserve=options.get("reserve"),
        )
        for some in (found, filed)
    )
    assert verdicts.tolist() == of_filed.tolist()
    return [gates.ORDER[verdict].value for verdict in verdicts]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beside spoilt frames is judged by itself."""
    monkeypatch.setattr(gates, "BESIDE_SPOILT_SECONDS", 0.0)


def test_what_lies_beside_spoilt_frames_is_refused_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "BESIDE_SPOILT_SECONDS", 0.22)
    film = records(
        (40, {}), (10, {"mean": 40, "contrast": 18, "high": 90}), (40, {}), (1, {"sharp_x": 0.006, "edges": 57})
    )
    found = judge(film)
    assert found[:55] == ["good"] * 35 + ["dark"] * 20
    assert found[55:] == ["good"] * 35 + ["blur"]


def test_focus_that_hunts_while_the_camera_moves_is_blur_whatever_is_seen() -> None:
    film = records((60, {}), (15, {"sharp_x": 0.003, "sharp_y": 0.003, "edges": 45}), (60, {}))
    film["luma"] = np.random.default_rng(1).integers(20, 230, film["luma"].shape)
    assert judge(film) == ["good"] * 60 + ["blur"] * 15 + ["good"] * 60


@pytest.mark.parametrize(("strongest", "word"), [(140, "good"), (90, "blur")])
def test_what_shows_less_beside_foil_or_leaves_is_sharp_where_its_edges_are_as_hard(strongest: int, word: str) -> None:
    """Somebody before a wall, filmed on the way to a curtain of foil: there is less to see, and it is no softer."""
    film = records((60, {"edges": 150}), (15, {"sharp_x": 0.003, "sharp_y": 0.003, "edges": 10}), (60, {"edges": 150}))
    film["luma"] = np.random.default_rng(1).integers(20, 230, film["luma"].shape)
    film["edges"][60:75].reshape(15, -1, 2)[:, :12] = strongest
    assert judge(film) == ["good"] * 60 + [word] * 15 + ["good"] * 60


def test_an_ordinary_film_is_good_throughout() -> None:
    assert set(judge(records((50, {})))) == {"good"}
    assert judge(records()) == []


@pytest.mark.parametrize(
    ("figures", "word"),
    [
        ({"mean": 2, "contrast": 1, "low": 0, "high": 6, "dark": 0.99}, "black"),
        ({"mean": 250, "contrast": 2, "low": 246, "high": 255, "light": 0.9}, "white"),
        ({"mean": 128, "contrast": 1, "low": 126, "high": 130}, "flat"),
        ({"plain": 0.9, "still": 0.95, "sharp_x": 0.2, "sharp_y": 0.2, "mean": 30, "text": 9}, "title"),
        ({"text": 12}, "titled"),
        ({"mean": 40, "contrast": 18, "high": 90}, "dark"),
        ({"mean": 200, "light": 0.3, "high": 255}, "burnt"),
        ({"sharp_x": 0.006, "edges": 57}, "blur"),
        ({"comb": 0.1, "sharp_y": 0.06}, "combed"),
        ({"sharp_x": 1.6, "sharp_y": 1.7}, "snow"),
        ({"bars": 1}, "bars"),
        ({"blocks": 2.5}, "blocks"),
    ],
)
def test_each_defect_has_its_word(figures: dict[str, float], word: str) -> None:
    assert judge(records((40, {}), (10, figures))) == ["good"] * 40 + [word] * 10


@pytest.mark.parametrize(
    "figures",
    [
        {"mean": 20, "contrast": 14, "high": 60, "dark": 0.4},
        {"mean": 205, "light": 0.35, "high": 255},
        {"sharp_x": 0.002, "sharp_y": 0.002},
        {"blocks": 2.0},
        {"mean": 9, "contrast": 5, "high": 22, "dark": 0.5},
    ],
    ids=["night", "beach", "soft", "coded badly", "underexposed"],
)
def test_what_a_whole_film_is_like_is_no_defect(figures: dict[str, float]) -> None:
    assert set(judge(records((60, figures)))) == {"good"}


def test_a_night_scene_is_not_dark_beside_a_day_scene() -> None:
    film = records((50, {}), (50, {"mean": 25, "contrast": 18, "high": 80}))
    shots = [Shot(ShotKind.SHOT, 0, 49), Shot(ShotKind.SHOT, 50, 99)]
    assert set(judge(film, shots, config={"edge_frames": 0})) == {"good"}


def test_proper_highlights_are_not_burnt_beside_dark_frames() -> None:
    film = records((30, {"light": 0.1, "high": 255}), (30, {"mean": 35, "contrast": 15, "high": 75}))
    assert judge(film) == ["good"] * 30 + ["dark"] * 30


def test_a_small_loss_of_sharpness_tells_where_the_same_is_seen() -> None:
    film = records((20, {}), (20, {"sharp_x": 0.0144, "sharp_y": 0.0144, "edges": 78}))
    assert set(judge(film)) == {"good"}
    assert judge(film, views=np.zeros(40, np.int64)) == ["good"] * 20 + ["blur"] * 20


def test_lettering_that_comes_and_goes_makes_no_frame_blurred() -> None:
    film = records((20, {"sharp_x": 0.06, "sharp_y": 0.06}), (20, {}))
    film["edges"][:20, 8, 3:13] = 200
    assert set(judge(film, views=np.zeros(40, np.int64))) == {"good"}


def test_a_drawing_with_plain_grounds_is_no_title() -> None:
    drawn = {"plain": 0.7, "still": 0.95, "sharp_x": 0.2, "sharp_y": 0.2}
    shots = [Shot(ShotKind.SHOT, 0, 89), Shot(ShotKind.SHOT, 90, 109)]
    assert set(judge(records((90, {}), (20, drawn)), shots, config={"edge_frames": 0})) == {"good"}


def test_the_grid_of_sharp_frames_is_no_fault_beside_blurred_ones_that_hide_it() -> None:
    blurred = {"sharp_x": 0.004, "sharp_y": 0.004, "edges": 40, "blocks": 1.0}
    assert judge(records((40, {"blocks": 1.4}), (40, blurred))) == ["good"] * 40 + ["blur"] * 40


@pytest.mark.parametrize("sharp", [{"blocks": 2.4}, {"comb": 0.1}, {"text": 7}])
def test_what_only_sharp_frames_show_is_no_fault_beside_blurred_ones(sharp: dict[str, float]) -> None:
    blurred = {"sharp_x": 0.002, "sharp_y": 0.002, "edges": 30, "blocks": 1.0}
    assert judge(records((40, sharp), (40, blurred))) == ["good"] * 40 + ["blur"] * 40


def test_a_fine_grid_is_as_sharp_across_as_down_and_no_two_fields() -> None:
    """Of a wire grid, or a far town, a little blur leaves few of the lines of one pixel."""
    soft = {"comb": 0.01, "sharp_x": 0.036, "sharp_y": 0.036}
    assert set(judge(records((60, soft), (20, {"comb": 0.03, "sharp_x": 0.05, "sharp_y": 0.052})))) == {"good"}
    fields = {"comb": 0.03, "sharp_x": 0.036, "sharp_y": 0.05}
    assert judge(records((60, soft), (20, fields))) == ["good"] * 60 + ["combed"] * 20


def test_beside_a_coarse_coder_lettering_of_the_scene_does_not_lie_over_it() -> None:
    assert judge(records((30, {"text": 8}), (30, {"blocks": 4.0}))) == ["good"] * 30 + ["blocks"] * 30


@pytest.mark.parametrize(
    ("spoilt", "word"),
    [
        ({"mean": 30.0, "contrast": 15.0, "high": 60}, "dark"),
        ({"sharp_x": 0.008, "sharp_y": 0.008, "edges": 60}, "blur"),
    ],
)
def test_frames_with_lettering_are_a_measure_for_those_without(spoilt: dict[str, float], word: str) -> None:
    found = records((200, {}), (30, {"caption": 6}), (30, spoilt))
    found["luma"][:200], found["luma"][200:] = np.arange(16) * 10, np.arange(16)[::-1] * 10
    # A line of writing may be missed in some frames, so a few beside it count as written.
    assert judge(found)[200:230] + judge(found)[240:] == ["titled"] * 30 + [word] * 20


def test_thin_lines_on_black_are_a_picture() -> None:
    figures = {"mean": 1, "contrast": 9, "low": 0, "floor": 0, "high": 3, "peak": 200, "dark": 0.99, "plain": 0.99,
               "still": 0.99, "sharp_x": 0.3, "sharp_y": 0.3}  # fmt: skip
    assert set(judge(records((60, figures)))) == {"good"}


@pytest.mark.parametrize("seen", ["as the same", "as a step"])
def test_damaged_frames_are_no_measure_of_sharpness(seen: str) -> None:
    """The edges of what the decoder filled in are sharp; among themselves, damaged frames are still compared."""
    soft = {"sharp_x": 0.01, "sharp_y": 0.01, "edges": 40}
    film = records((40, {}), (40, soft), (10, {"mean": 20, "contrast": 10, "high": 60}))
    views = np.zeros(90, np.int64) if seen == "as the same" else np.arange(90)
    broken = np.arange(90) < 40
    assert judge(film, views=views)[40:80] == ["blur"] * 40
    assert judge(film, views=views, reserve=broken) == ["good"] * 80 + ["dark"] * 10
    assert judge(film, views=views, reserve=np.ones(90, bool))[40:80] == ["blur"] * 40


def test_a_stretch_that_is_refused_whole_keeps_its_frames_below_the_good_ones() -> None:
    spoilt = {"sharp_x": 0.006, "edges": 57}
    assert judge(records((150, {}), (100, spoilt))) == ["good"] * 150 + ["spared"] * 100
    assert judge(records((150, {}), (60, spoilt))) == ["good"] * 150 + ["blur"] * 60
    # The parts before and after a glitch are too short to be spared by themselves.
    film = records((150, {}), (100, spoilt))
    film["luma"][200] = 255 - film["luma"][200]
    assert judge(film) == ["good"] * 150 + ["spared"] * 50 + ["glitch"] + ["spared"] * 49


def test_snow_of_a_tape_is_coarser_across_and_does_not_stop_for_a_frame() -> None:
    snowy = {"sharp_x": 0.8, "sharp_y": 1.7, "plain": 0.1, "still": 0.05}
    film = records((50, {}), (20, snowy), (50, {"sharp_x": 0.3, "sharp_y": 1.7, "plain": 0.1}))
    film["sharp_y"][60] = 0.5
    verdicts = judge(film, [Shot(ShotKind.SHOT, 0, 119)])
    assert verdicts[50:70] == ["snow"] * 20
    assert "snow" not in verdicts[:50] + verdicts[70:]


def test_a_film_of_junk_alone_keeps_it() -> None:
    assert set(judge(records((50, {"bars": 1})))) == {"spared"}


def test_records_of_before_are_judged_by_what_they_have() -> None:
    film = records((40, {}), (10, {"sharp_x": 0.006}))
    film["version"], film["edges"], film["comb"] = 1, 0, 0
    assert judge(film) == ["good"] * 40 + ["blur"] * 10


def test_a_film_of_slides_is_not_titles() -> None:
    slide = {"plain": 0.9, "still": 0.95, "sharp_x": 0.2, "sharp_y": 0.2}
    assert set(judge(records((40, slide), (10, {**slide, "plain": 0.3})))) == {"good"}


def test_frames_without_a_score_are_never_good() -> None:
    scored = np.array([True] * 8 + [False] * 2)
    assert judge(records((10, {})), scored=scored) == ["good"] * 8 + ["unscored"] * 2


def test_transitions_and_the_frames_beside_cuts_are_left_out_but_not_the_films_own_ends() -> None:
    shots = [Shot(ShotKind.SHOT, 0, 19), Shot(ShotKind.DISSOLVE, 20, 24), Shot(ShotKind.SHOT, 25, 49)]
    words = judge(records((50, {})), shots)
    assert words == ["good"] * 18 + ["transition"] * 9 + ["good"] * 23


def test_a_short_shot_keeps_its_middle() -> None:
    shots = [Shot(ShotKind.SHOT, 0, 9), Shot(ShotKind.SHOT, 10, 13), Shot(ShotKind.SHOT, 14, 30)]
    assert judge(records((31, {})), shots)[10:14] == ["transition", "good", "good", "transition"]


def test_windows_divide_shots_into_equal_parts() -> None:
    shots = [Shot(ShotKind.SHOT, 0, 99), Shot(ShotKind.SHOT, 100, 119)]
    window = gates.windows(np.arange(120) / 4, shots, 10.0)
    assert np.bincount(window).tolist()[-1] == 20
    assert np.ptp(np.bincount(window)[:-1]) <= 1
    assert len(np.bincount(window)) == 4


def test_times_of_a_damaged_file_may_run_backwards_or_far_away() -> None:
    times = np.array([0.0, 0.04, -25.0, 0.12, 1e9])
    found = gates.windows(times, [Shot(ShotKind.SHOT, 0, 4)], 10.0)
    assert 0 <= found.min() <= found.max() < len(times)


WASHED: dict[str, float] = {
    "mean": 254, "contrast": 8, "low": 235, "high": 255, "light": 0.98, "plain": 0.98, "still": 0.98, "floor": 130,
    "peak": 255, "sharp_x": 0.06, "sharp_y": 0.09, "edges": 10,
}  # fmt: skip


def test_what_is_washed_out_is_burnt_though_what_is_left_of_it_is_lines_on_white() -> None:
    film = records((80, {}), (10, WASHED))
    shots = [Shot(ShotKind.SHOT, 0, 79), Shot(ShotKind.SHOT, 80, 89)]
    assert judge(film, shots, config={"edge_frames": 0}) == ["good"] * 80 + ["burnt"] * 10


def test_a_white_page_is_not_burnt_in_a_film_that_is_drawn() -> None:
    drawn = {"plain": 0.7, "still": 0.95, "sharp_x": 0.2, "sharp_y": 0.2}
    shots = [Shot(ShotKind.SHOT, 0, 79), Shot(ShotKind.SHOT, 80, 89)]
    found = judge(records((80, drawn), (10, {**WASHED, "sharp_x": 0.04, "sharp_y": 0.04})), shots)
    assert "burnt" not in found


def test_of_a_stretch_that_is_refused_whole_the_worse_side_of_a_step_stays_refused() -> None:
    film = records((100, {"text": 12, "caption": 9}), (30, {"text": 12, "caption": 9, "sharp_x": 0.002, "edges": 30}))
    film = np.concatenate([film, records((600, {}))])
    film["version"] = 3
    shots = [Shot(ShotKind.SHOT, 0, 129), Shot(ShotKind.SHOT, 130, 729)]
    found = judge(film, shots, config={"edge_frames": 0})
    assert found[:100] == ["spared"] * 100
    assert "spared" not in found[100:130]


def test_what_is_soft_is_spared_before_what_is_made_of_blocks() -> None:
    """Whose edges make it look sharper than anything."""
    smooth = {"still": 0.95}
    blocky = {**smooth, "blocks": 3.0, "sharp_x": 0.06, "sharp_y": 0.06, "edges": 110}
    soft = {**smooth, "sharp_x": 0.009, "sharp_y": 0.009, "edges": 66}
    found = judge(records((60, smooth), (50, blocky), (50, soft), (60, smooth)), config={"window_seconds": 20.0})
    assert found == ["good"] * 60 + ["blocks"] * 50 + ["spared"] * 50 + ["good"] * 60
    found = judge(records((60, smooth), (100, blocky), (60, smooth)), config={"window_seconds": 20.0})
    assert found[60:160] == ["spared"] * 100


def test_of_a_stretch_out_of_focus_the_softest_is_not_spared() -> None:
    """It comes into focus a little: what is seen then is less bad, and shows the same."""
    soft, softer = {"sharp_x": 0.006, "sharp_y": 0.006, "edges": 60}, {"sharp_x": 0.001, "sharp_y": 0.001, "edges": 25}
    film = records((60, {}), (40, soft), (30, softer), (40, soft), (60, {}))
    found = judge(film, config={"window_seconds": 20.0})
    assert set(found[100:130]) == {"blur"}
    assert set(found[60:100]) == set(found[130:170]) == {"spared"}


def test_a_drawing_that_is_dark_as_a_whole_is_dark() -> None:
    drawn = {"still": 0.95, "plain": 0.85, "sharp_x": 0.3, "floor": 0}
    film = records((30, {**drawn, "mean": 45, "peak": 70, "high": 65}), (30, {**drawn, "mean": 180, "peak": 255}))
    film["luma"][:30] = np.linspace(0, 60, 144).reshape(9, 16)
    film["luma"][30:] = np.linspace(0, 240, 144).reshape(9, 16)
    asked: dict[str, np.ndarray] = {}
    gates.judge_steps(film, [Shot(ShotKind.SHOT, 0, 59)], lambda word, mask, _: asked.update({word: mask}))
    assert np.flatnonzero(asked[gates.Verdict.DARK]).tolist() == list(range(30))


def test_lines_that_come_and_go_in_a_drawing_are_no_step() -> None:
    """A dozen lines on black are brighter than six, and these are not too dark; the same of something filmed is a step."""
    lines = {"still": 0.97, "plain": 0.9, "sharp_x": 0.5, "floor": 0, "peak": 255}
    film = records((30, {"mean": 50}), (30, {"mean": 100}))
    film["luma"][:30] = np.linspace(0, 100, 144).reshape(9, 16)
    film["luma"][30:] = np.linspace(0, 200, 144).reshape(9, 16)
    shots = [Shot(ShotKind.SHOT, 0, 59)]

    def refused(found: np.ndarray) -> bool:
        asked: list[np.ndarray] = []
        gates.judge_steps(found, shots, lambda _word, mask, _: asked.append(mask))
        return bool(np.any(asked))

    assert refused(film)
    for name, value in lines.items():
        film[name] = value
    assert not refused(film)
