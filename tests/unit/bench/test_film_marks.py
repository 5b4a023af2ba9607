"""What is made of the judges' marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.film_marks import difference, read, table

KEY = {
    "one": {"letters": {"A": "stillwatch", "B": "uniform"}, "kind": "edited"},
    "two": {"letters": {"A": "uniform", "B": "stillwatch"}, "kind": "one view"},
}
HEAD = "film,letter,technique,coverage,doubles,as_they_are,poster\n"


def marks_in(folder: Path, *judges: str) -> list[Path]:
    files = [folder / f"marks_{number}.csv" for number in range(len(judges))]
    for file, rows in zip(files, judges, strict=True):
        file.write_text(HEAD + rows)
    return files


def test_letters_are_read_by_the_key_and_judges_are_averaged(tmp_path: Path) -> None:
    files = marks_in(tmp_path, "one,A,4,4,5,3,2\none,B,3,3,3,3,3\n", "one,A,2,4,5,3,4\none,B,3,3,3,3,3\n")
    marks = read(KEY, files)
    assert marks["one"]["stillwatch"] == {
        "technique": 3, "coverage": 4, "doubles": 5, "as_they_are": 3, "poster": 3, "sheet": 3.75,
    }  # fmt: skip
    assert marks["one"]["uniform"]["sheet"] == 3


def test_a_difference_is_taken_film_by_film(tmp_path: Path) -> None:
    rows = "one,A,4,4,4,4,5\none,B,3,3,3,3,3\ntwo,A,2,2,2,2,2\ntwo,B,5,5,5,5,2\n"
    marks = read(KEY, marks_in(tmp_path, rows))
    assert difference(marks, ["one", "two"], "stillwatch", "uniform", "sheet") == pytest.approx((2.0, 1.0))
    assert difference(marks, ["one", "two"], "stillwatch", "uniform", "poster") == pytest.approx((1.0, 1.0))
    assert table(marks, ["one", "two"], "stillwatch")[2].startswith("| stillwatch | 4.50 |")


def test_a_letter_that_was_not_on_the_sheet_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        read(KEY, marks_in(tmp_path, "one,C,4,4,4,4,5\n"))
