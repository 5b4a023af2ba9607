"""Subtitles, by how they come and go."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.analysis.subtitles import changes, subtitled
from daemon.model import Shot, ShotKind
from tests.unit.analysis.test_gates import in_file, judge, records

SECOND = 25
LINE = slice(3, 13)
"""The columns of a centred line."""


def film(*lines: tuple[int, int], count: int = 200, row: int = 8, columns: slice = LINE) -> np.ndarray:
    """A still view that has a line of letters from one frame up to another."""
    found = records((count, {}))
    for first, end in lines:
        found["edges"][first:end, row, columns] = 200
    return found


def whole(found: np.ndarray) -> list[Shot]:
    return [Shot(ShotKind.SHOT, 0, len(found) - 1)]


def frames(found: np.ndarray, shots: list[Shot] | None = None) -> list[int]:
    mask = subtitled(found, shots or whole(found))
    assert np.array_equal(mask, subtitled(in_file(found), shots or whole(found)))
    return np.flatnonzero(mask).tolist()


def test_frames_between_coming_and_going_have_a_subtitle() -> None:
    found = film((20, 50), (90, 130))
    assert [(one.at, one.row, one.comes) for one in changes(found)] == [
        (20, 8, True),
        (50, 8, False),
        (90, 8, True),
        (130, 8, False),
    ]
    assert frames(found) == [*range(20, 50), *range(90, 130)]


def test_what_moves_elsewhere_in_that_moment_is_no_part_of_the_line() -> None:
    """A hand that lifts, say: in one cell edges come, too."""
    found = film((20, 50), (90, 130))
    found["edges"][90:, 3, 8] += 87
    assert frames(found) == [*range(20, 50), *range(90, 130)]


@pytest.mark.parametrize("backwards", [False, True], ids=["fades in", "fades out"])
def test_of_a_line_that_fades_one_end_is_seen_and_it_lasts_as_long_as_its_edges_do(backwards: bool) -> None:
    found = film((20, 50), (90, 130), (160, 180))
    found["edges"][85:95, 8, LINE] = np.linspace(found["edges"][85, 8, 8], 200, 10)[:, None, :]
    without = [*range(20), *range(50, 85), *range(130, 160), *range(180, 200)]
    if backwards:
        found, without = found[::-1].copy(), [199 - frame for frame in without]
    assert not set(frames(found)) & set(without)
    assert {199 - frame if backwards else frame for frame in frames(found)} >= {*range(20, 50), *range(95, 130)}


def test_one_that_is_there_when_a_shot_begins_or_ends_is_there_from_or_to_the_cut() -> None:
    found = film((0, 30), (130, 200))
    shots = [Shot(ShotKind.SHOT, 0, 99), Shot(ShotKind.SHOT, 100, 199)]
    assert frames(found, shots) == [*range(30), *range(130, 200)]


def test_frames_with_a_subtitle_come_after_the_others_and_make_those_without_not_soft() -> None:
    found = film((0, 30), (60, 90), (120, 150))
    lettered = found["edges"][:, 8, 8, 0] == 200
    found["sharp_x"][lettered] *= 6
    verdicts = np.array(judge(found))
    assert set(verdicts[lettered]) == {"subtitled"}
    assert set(verdicts[~lettered]) == {"good"}


def test_frames_without_are_taken_where_all_of_a_stretch_has_another_fault() -> None:
    found = film((0, 60), (120, 180))
    found["sharp_x"] = found["sharp_y"] = 0.0001
    found["edges"] = np.where(found["edges"] == 200, 200, 5)
    assert not {"subtitled"} & {
        word for word, edge in zip(judge(found), found["edges"][:, 8, 8, 0], strict=True) if edge < 200
    }


@pytest.mark.parametrize(
    "found",
    [
        film((50, 200)),
        film((20, 50), row=2),
        film((20, 50), (90, 130), columns=slice(0, 6)),
        film((20, 50), (90, 130), columns=slice(6, 9)),
        film((20, 50), (90, 130), columns=slice(0, 16)),
    ],
    ids=["the next line of a page", "high up", "something at the side", "something small", "a sharp border"],
)
def test_what_else_comes_or_goes_is_no_subtitle(found: np.ndarray) -> None:
    assert frames(found) == []


def test_where_the_picture_changes_with_it_something_else_happens() -> None:
    found = film((20, 50), (90, 130))
    for at in (20, 50, 90, 130):
        found["luma"][at:] += 40
    assert frames(found) == []


def test_what_moves_through_is_no_subtitle() -> None:
    """A railing that passes changes the same places again and again."""
    found = film(*((at, at + 2) for at in range(40, 120, 4)))
    assert frames(found) == []


def test_a_shot_with_a_subtitle_nearly_throughout_keeps_its_frames() -> None:
    assert frames(film((20, 195))) == []


def test_of_a_drawn_film_lines_that_come_and_go_are_what_happens() -> None:
    found = film((20, 50), (90, 130))
    found["still"] = 0.95
    assert "subtitled" not in judge(found)


def test_what_is_written_in_a_shot_with_title_cards_is_no_subtitle() -> None:
    found = film((220, 240), (260, 280), count=320)
    found["plain"][200:220], found["still"][200:220], found["text"][200:220] = 0.9, 0.98, 9
    shots = [Shot(ShotKind.SHOT, 0, 199), Shot(ShotKind.SHOT, 200, 319)]
    assert set(judge(found, shots)[220:240]) == {"subtitled"}
    found["plain"][240:260], found["still"][240:260], found["text"][240:260] = 0.9, 0.98, 9
    assert set(judge(found, shots)[220:240]) == {"titled"}


def test_a_change_is_found_wherever_it_lies_in_a_long_film(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are looked at in pieces."""
    found = film((20, 50), (63, 64 + SECOND), (127, 129 + SECOND))
    expected = list(changes(found))
    assert len(expected) == 6
    for rows in (1, 7, 64):
        monkeypatch.setattr("daemon.analysis.subtitles.ROWS", rows)
        assert list(changes(found)) == expected


def test_a_word_is_one_where_longer_lines_come_and_go() -> None:
    found = film((20, 50), (150, 180))
    found["edges"][80:110, 8, 7:9] = 200
    assert frames(found) == [*range(20, 50), *range(80, 110), *range(150, 180)]
    found["edges"][80:110, 8, 7:9] = records((1, {}))["edges"][0, 8, 7:9]
    found["edges"][80:110, 8, 9:11] = 200
    assert frames(found) == [*range(20, 50), *range(150, 180)]


def over_edges(*lines: tuple[int, int]) -> np.ndarray:
    """Lines that are seen in every third cell, and a little in between: there the picture has strokes itself."""
    found = film(*lines)
    for first, end in lines:
        found["edges"][first:end, 8, LINE] = found["edges"][0, 8, LINE] + 20
        found["edges"][first:end, 8, LINE.start : LINE.stop : 3] = 200
    return found


def test_over_what_has_edges_itself_lines_are_known_by_coming_back() -> None:
    assert frames(over_edges((20, 50), (90, 130))) == [*range(20, 50), *range(90, 130)]
    assert frames(over_edges((20, 50))) == []


def test_over_what_has_edges_itself_lines_are_known_beside_plain_ones() -> None:
    found = over_edges((20, 50))
    found["edges"][90:130, 8, 4:12] = 200
    assert frames(found) == [*range(20, 50), *range(90, 130)]


@pytest.mark.parametrize("row", [1, 4])
def test_higher_up_more_lines_have_to_come_and_go(row: int) -> None:
    assert frames(film((20, 50), row=row)) == []
    assert frames(film((20, 50), (90, 130), row=row)) == [*range(20, 50), *range(90, 130)]


def test_a_bar_that_is_nearly_as_wide_as_the_picture_is_none() -> None:
    """A board with a game's figures, say, which others like it do not make a line."""
    found = film((20, 50), columns=slice(1, 15))
    found["edges"][90:, 8, 5:11] = 200
    assert frames(found) == []


def test_words_that_all_lie_in_the_same_few_cells_are_known_by_being_many() -> None:
    found = records((200, {}))
    for first, end in ((20, 40), (60, 80), (100, 120)):
        found["edges"][first:end, 8, 7:9] = 200
    assert frames(found[:90]) == []
    assert frames(found) == [*range(20, 40), *range(60, 80), *range(100, 120)]
