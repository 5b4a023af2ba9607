"""A film's figures are asked for as an array is, and give what an array gives, whether they lie in memory or in a file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.analysis.features import FIGURES
from daemon.analysis.film_figures import BY_CELL, FilmFigures

FRAMES = 60
NAMES = st.sampled_from(FIGURES.names or ())


def whole() -> np.ndarray:
    random = np.random.default_rng(5)
    return np.frombuffer(random.integers(0, 100, FRAMES * FIGURES.itemsize, np.uint8).tobytes(), FIGURES)


def kept(array: np.ndarray, pieces: int = 3) -> FilmFigures:
    figures = FilmFigures(len(array), io.BytesIO())
    for piece in np.array_split(array, pieces):
        figures.add(piece)
    return figures


ARRAY = whole()
KEPT = kept(ARRAY)


def same(found: Any, wanted: Any) -> bool:
    return np.asarray(found).tobytes() == np.asarray(wanted).tobytes()


@given(NAMES)
def test_a_column(name: str) -> None:
    assert same(KEPT[name], ARRAY[name])


@given(NAMES, st.slices(FRAMES))
def test_a_column_of_a_slice(name: str, part: slice) -> None:
    assert len(KEPT[part]) == len(ARRAY[part])
    assert same(KEPT[part][name], ARRAY[part][name])


@given(st.slices(FRAMES), st.data())
def test_frames_of_a_slice(part: slice, data: st.DataObject) -> None:
    count = len(ARRAY[part])
    rows = np.array(data.draw(st.lists(st.integers(-count, count - 1), max_size=9) if count else st.just([])), np.int64)
    assert same(KEPT[part][rows], ARRAY[part][rows])


@given(st.lists(st.integers(-FRAMES, FRAMES - 1)))
def test_frames_in_any_order(rows: list[int]) -> None:
    assert same(KEPT[np.array(rows, np.int64)], ARRAY[np.array(rows, np.int64)])


@given(st.lists(st.booleans(), min_size=FRAMES, max_size=FRAMES))
def test_frames_by_a_mask(mask: list[bool]) -> None:
    assert same(KEPT[np.array(mask)], ARRAY[np.array(mask)])


@given(st.integers(-FRAMES, FRAMES - 1))
def test_a_frame(at: int) -> None:
    assert same(KEPT[at], ARRAY[at])


def test_there_is_no_frame_beyond_the_last() -> None:
    for beyond in (FRAMES, -FRAMES - 1):
        with pytest.raises(IndexError):
            KEPT[beyond]
        with pytest.raises(IndexError):
            KEPT[np.array([0, beyond])]


def test_frames_are_all_there_is_when_there_are_none() -> None:
    none = kept(ARRAY[:0])
    assert len(none) == len(none["mean"]) == len(none["edges"]) == 0


def test_what_is_looked_at_by_cell_is_in_the_file_alone() -> None:
    assert KEPT._frames.nbytes < 0.12 * ARRAY.nbytes
    assert set(BY_CELL) & set(KEPT._frames.dtype.names or ()) == set()
