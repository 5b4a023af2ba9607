"""A picture that is a part of another one stands back behind it."""

from __future__ import annotations

import numpy as np

from daemon.selection.completeness import EMPTY_DETAIL, missing, unfinished

LEAST = 24.0
CELLS = 144


def pages(*lines: int) -> np.ndarray:
    """The details of pages of so many lines of 16 cells."""
    found = np.zeros((len(lines), CELLS), np.float32)
    for row, count in zip(found, lines, strict=True):
        row[: 16 * count] = 120
    return found


def sketches(count: int) -> np.ndarray:
    return np.full((count, 168), 100, np.float32)


def test_what_a_picture_has_that_another_has_not() -> None:
    one, two = pages(1, 2)
    assert missing(one, two) == 0
    assert missing(two, one) > LEAST


def test_a_page_that_is_still_written_is_a_part_of_the_whole_one() -> None:
    found = unfinished(sketches(4), pages(1, 2, 3, 3), 9.0, LEAST)
    assert found.tolist() == [True, True, False, False]
    assert unfinished(sketches(4), pages(3, 3, 2, 1), 9.0, LEAST).tolist() == [False, False, True, True]


def test_two_different_pages_are_no_part_of_each_other() -> None:
    upper, lower = pages(2)[0], np.roll(pages(3)[0], 80)
    assert not unfinished(sketches(2), np.stack([upper, lower]), 9.0, LEAST).any()


def test_a_picture_that_looks_different_from_afar_is_no_part() -> None:
    two = sketches(2)
    two[1] += 20
    assert not unfinished(two, pages(1, 2), 9.0, LEAST).any()


def test_a_picture_full_of_detail_is_whole_without_the_line_of_writing_that_comes() -> None:
    assert not unfinished(sketches(2), pages(1, 2) + EMPTY_DETAIL + 1, 9.0, LEAST).any()


def test_a_page_without_the_end_of_its_last_line_is_not_whole() -> None:
    two = pages(2, 2)
    two[0, 28:32] = 0
    assert unfinished(sketches(2), two, 9.0, LEAST).tolist() == [True, False]


def test_a_little_more_of_the_grid_all_over_makes_no_picture_whole() -> None:
    assert not unfinished(sketches(2), pages(2, 2) + np.array([[0], [15]], np.float32), 9.0, LEAST).any()


def test_a_thing_is_no_part_of_a_picture_that_has_something_else_in_its_place() -> None:
    """A key alone, and a keyboard, which has detail wherever the key has, and differs little from afar."""
    two, seen = pages(1, 4), sketches(2)
    two[0, 2:] = 0
    assert unfinished(seen, two, 9.0, LEAST).tolist() == [True, False]
    seen[1, :2] += 40
    assert not unfinished(seen, two, 9.0, LEAST).any()
