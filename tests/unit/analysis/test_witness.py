"""What a frame was judged by is what decided: told while the gates judge, and the same with nobody listening."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.analysis import gates
from daemon.analysis.gates import Verdict
from daemon.analysis.witness import Figure, Heard, Witness, away
from daemon.config.selection import GatesConfig
from daemon.model import Shot, ShotKind
from tests.unit.analysis.test_gates import records

CONFIG = GatesConfig()
DEFECTS: dict[str, dict[str, float]] = {
    "good": {},
    "black": {"mean": 2, "contrast": 1, "low": 0, "high": 6, "dark": 0.99},
    "white": {"mean": 250, "contrast": 2, "low": 246, "high": 255, "light": 0.9},
    "flat": {"mean": 128, "contrast": 1, "low": 126, "high": 130},
    "title": {"plain": 0.9, "still": 0.95, "sharp_x": 0.2, "sharp_y": 0.2, "mean": 30, "text": 9},
    "titled": {"text": 12},
    "dark": {"mean": 40, "contrast": 18, "high": 90},
    "burnt": {"mean": 200, "light": 0.3, "high": 255},
    "blur": {"sharp_x": 0.006, "edges": 57},
    "combed": {"comb": 0.1, "sharp_y": 0.06},
    "snow": {"sharp_x": 1.6, "sharp_y": 1.7},
    "blocks": {"blocks": 2.5},
}


def heard(film: np.ndarray, row: int, shots: list[Shot], views: np.ndarray) -> list[Heard]:
    count = len(film)
    witness = Witness(row)
    gates.judge(film, np.arange(count) / 25, np.ones(count, bool), shots, views, CONFIG, None, witness)
    return witness.heard


@pytest.mark.parametrize("row", [50, 80, 110])
def test_beside_damaged_frames_it_is_told_by_what_the_frame_is_judged(row: int) -> None:
    """What is damaged is judged among clean frames, of which the blurred ones are no measure."""
    film = records((40, {}), (40, DEFECTS["blur"]), (40, {"sharp_x": 0.012, "sharp_y": 0.012, "edges": 70}))
    count, shots, damaged = len(film), [Shot(ShotKind.SHOT, 0, 119)], np.arange(120) >= 80
    asked = (film, np.arange(count) / 25, np.ones(count, bool), shots, np.arange(count), CONFIG, None)
    verdict = gates.ORDER[gates.judge(*asked, reserve=damaged)[row]]
    witness = Witness(row)
    gates.judge(*asked, witness, damaged)
    found = refused(witness.heard)
    assert ("good" if found is None else found.word) == verdict
    compared = np.concatenate([one.comparable for one in witness.heard if one.word == "blur"])
    assert len(compared)
    assert not np.isin(compared, np.arange(40, 80)).any()
    assert row >= 80 or not np.isin(compared, np.arange(80, 120)).any()


def refused(told: list[Heard]) -> Heard | None:
    return next((one for one in told if one.refused), None)


@pytest.mark.parametrize("word", [word for word in DEFECTS if word != "good"])
def test_the_gate_that_refuses_has_a_figure_that_speaks_against_the_frame(word: str) -> None:
    film = records((40, {}), (10, DEFECTS[word]))
    found = refused(heard(film, 45, [Shot(ShotKind.SHOT, 0, 49)], np.arange(50)))
    assert found is not None
    assert found.word == word
    assert any(figure.against for figure in found.figures)


@pytest.mark.parametrize("word", ["dark", "burnt", "titled", "combed", "blocks", "blur"])
def test_what_is_judged_beside_others_names_these_and_what_they_have(word: str) -> None:
    film = records((40, {}), (10, DEFECTS[word]))
    # Little by little: what changes at once is held against the frame before.
    for row, part in zip(range(40, 44), (0.8, 0.65, 0.5, 0.4), strict=True):
        if word == "blur":
            film["sharp_x"][row], film["edges"][row] = 0.02 * part, 85 + 16 * np.log2(part)
        if word == "blocks":
            film["blocks"][row] = film["blocks"][45] ** (1 - part)
    found = refused(heard(film, 45, [Shot(ShotKind.SHOT, 0, 49)], np.arange(50)))
    assert found is not None
    assert set(range(40)) <= set(found.comparable.tolist())
    assert 45 not in found.comparable
    against = next(figure for figure in found.figures if figure.against)
    names = {"sharpness across": "sharp_x", "strength of the 8-pixel grid": "blocks", "mean of luma": "mean"}
    if against.name in names:
        assert against.reference == pytest.approx(float(film[names[against.name]][0]))
        assert against.value == pytest.approx(float(film[names[against.name]][45]))


def test_what_changes_at_once_is_held_against_the_frame_across_the_step() -> None:
    film = records((40, {}), (10, DEFECTS["blur"]))
    found = refused(heard(film, 45, [Shot(ShotKind.SHOT, 0, 49)], np.arange(50)))
    assert found is not None
    assert found.comparable.tolist() == [39]
    (figure,) = found.figures
    assert figure.name == "sharpness, times that across a step"
    assert figure.against
    assert figure.value == pytest.approx(2 ** (-28 / 16))


def test_a_small_loss_in_the_same_view_is_told_with_the_frames_of_that_view() -> None:
    film = records((20, {}), (20, {"sharp_x": 0.0144, "sharp_y": 0.0144, "edges": 78}))
    found = refused(heard(film, 30, [Shot(ShotKind.SHOT, 0, 39)], np.zeros(40, np.int64)))
    assert found is not None
    assert [figure.name for figure in found.figures] == ["sharpness across, same view", "sharpness down, same view"]
    assert found.figures[0].limit == pytest.approx(CONFIG.blur_same_view * 0.02)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(sorted(DEFECTS)), st.integers(3, 20)), min_size=1, max_size=8), st.data())
def test_listening_changes_no_verdict_and_hears_the_one_that_holds(
    parts: list[tuple[str, int]], data: st.DataObject
) -> None:
    film = records(*((count, DEFECTS[word]) for word, count in parts))
    count = len(film)
    half = count // 2
    shots = (
        [Shot(ShotKind.SHOT, 0, half - 1), Shot(ShotKind.SHOT, half, count - 1)]
        if half
        else [Shot(ShotKind.SHOT, 0, count - 1)]
    )
    views = np.arange(count) // 7
    verdicts = gates.judge(film, np.arange(count) / 25, np.ones(count, bool), shots, views, CONFIG)
    row = data.draw(st.integers(0, count - 1))
    found = refused(heard(film, row, shots, views))
    word = gates.ORDER[verdicts[row]]
    if word is Verdict.SPARED:
        assert found is not None
    else:
        assert (found.word if found is not None else Verdict.GOOD) == word


def test_frames_beside_a_cut_say_how_far_away_it_is() -> None:
    shots = [Shot(ShotKind.SHOT, 0, 19), Shot(ShotKind.DISSOLVE, 20, 24), Shot(ShotKind.SHOT, 25, 49)]
    assert away(shots, 19, 50) == ("dissolve", 1)
    assert away(shots, 22, 50) == ("dissolve", 0)
    assert away(shots, 27, 50) == ("dissolve", 3)
    assert away([shots[0], Shot(ShotKind.SHOT, 20, 49)], 20, 50) == ("cut", 1)
    assert away([Shot(ShotKind.SHOT, 0, 49)], 20, 50) == ("cut", 50)


def test_a_figure_knows_its_side_of_the_limit() -> None:
    assert Figure("contrast", 10, 20, below=True).against
    assert not Figure("contrast", 30, 20, below=True).against
    assert Figure("lettering", 30, 20, below=False).against
