"""What faces make of a picture: a preference among pictures, never a veto, and nothing where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model import Face
from daemon.selection.portrait import AROUND_SECONDS, LEAST_SIZE, LOOKED, candidates, sharpest_of, worth

GOOD = Face(size=0.3, blink=0.05, facing=0.97, sharp=0.2, cut=0.0)
SHARE = st.floats(0, 1)
FACES = st.builds(Face, size=st.floats(0.01, 1), blink=SHARE, facing=SHARE, sharp=SHARE, cut=SHARE)


@pytest.mark.parametrize(
    "fault", [{"blink": 0.7}, {"facing": 0.3}, {"sharp": 0.04}, {"cut": 0.35}], ids=["blink", "turned", "soft", "cut"]
)
def test_a_face_with_one_fault_loses_to_the_good_one_and_to_a_picture_without_faces(fault: dict[str, float]) -> None:
    spoilt = replace(GOOD, **fault)
    assert worth([spoilt], GOOD.sharp) < 1.0 < worth([GOOD], GOOD.sharp)


def test_without_faces_that_count_nothing_changes() -> None:
    assert worth([]) == 1.0
    assert worth([replace(GOOD, size=LEAST_SIZE / 2, blink=1.0)]) == 1.0


def test_the_large_face_counts_more_than_one_in_the_ground() -> None:
    small = replace(GOOD, size=0.08, blink=0.9)
    assert worth([GOOD, small], GOOD.sharp) > 1.0
    assert worth([replace(GOOD, blink=0.9), replace(GOOD, size=0.08)], GOOD.sharp) < 1.0


@given(st.lists(FACES, max_size=4), SHARE)
def test_it_is_never_a_veto_and_never_outweighs_much(faces: list[Face], sharpest: float) -> None:
    assert 0.05 < worth(faces, sharpest) <= 1.25


@given(FACES, st.floats(0, 0.3))
def test_a_fault_more_makes_no_face_better(face: Face, more: float) -> None:
    sharpest = max(face.sharp, 0.1)
    assert worth([replace(face, blink=face.blink + more)], sharpest) <= worth([face], sharpest) + 1e-12
    assert worth([replace(face, cut=face.cut + more)], sharpest) <= worth([face], sharpest) + 1e-12
    assert worth([replace(face, facing=face.facing - more)], sharpest) <= worth([face], sharpest) + 1e-12


def test_the_sharpest_is_that_of_the_largest_faces() -> None:
    ground = replace(GOOD, size=0.1, sharp=0.9)
    assert sharpest_of([[GOOD, ground], [replace(GOOD, sharp=0.1)], []]) == GOOD.sharp
    assert sharpest_of([]) == 0.0


def test_what_is_looked_at_is_of_the_same_shot_near_in_time_and_the_best_of_each_part() -> None:
    time_s, shot = np.arange(100) / 25, np.repeat([0, 1], 50)
    usable, good = np.arange(0, 100, 2), np.linspace(0, 1, 50)
    found = usable[candidates(time_s, shot, usable, good, 40)]
    assert 40 in found
    assert len(found) <= LOOKED
    assert (np.abs(time_s[found] - time_s[40]) <= AROUND_SECONDS).all()
    assert (shot[found] == 0).all()
    assert found.max() == 48
