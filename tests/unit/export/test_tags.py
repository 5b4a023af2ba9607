"""What a still tells people's tools: stars by rank, times and places as they are read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.export.tags import Place, place_of, stars, tags_of
from daemon.model import FileIdentity, Origin, Pick, VideoInfo

FILE = FileIdentity(Path("/in/a day.mp4"), "f" * 64, 1, 1)
PICK = Pick(2, 431, 431, 17.25, 3.21471, "0" * 40)


@pytest.mark.parametrize(
    ("of", "given_stars"), [(1, [5]), (2, [5, 3]), (3, [5, 3, 3]), (6, [5, 4, 3, 3, 3, 3]), (7, [5, 4, 4, 3, 3, 3, 3])]
)
def test_stars_go_by_rank(of: int, given_stars: list[int]) -> None:
    assert [stars(rank, of) for rank in range(1, of + 1)] == given_stars


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("+52.5200+013.4050/", Place(52.52, 13.405)),
        ("-33.8688+151.2093+012.500/", Place(-33.8688, 151.2093, 12.5)),
        ("+48.8583-002.2944-003CRSWGS_84/", Place(48.8583, -2.2944, -3.0)),
        ("+4830.0+00215.0/", Place(48.5, 2.25)),
        ("+483030+0021530/", Place(48.508333, 2.258333)),
        ("+91+000/", None),
        ("+00+181/", None),
        ("+4860+00200/", None),
        ("+485+00200/", None),
        ("", None),
        ("Paris", None),
    ],
)
def test_a_place_is_read_as_iso_6709_writes_it(written: str, place: Place | None) -> None:
    assert place_of(Origin(location=written)) == place


@given(st.text("+-0123456789./CRSWG_84", max_size=30))
def test_no_text_is_a_place_beyond_the_earth(written: str) -> None:
    place = place_of(Origin(location=written))
    assert place is None or (abs(place.latitude) <= 90 and abs(place.longitude) <= 180)


def test_a_still_was_captured_at_the_start_of_its_film_plus_its_time_in_the_same_zone() -> None:
    origin = Origin(captured_at="2024-05-01T23:59:50+02:00", location="+52.5200+013.4050/")
    rate = Fraction(25)
    info = VideoInfo(FILE.path, "mov", 0, "h264", 64, 48, "yuv420p", 8, 1 / rate, rate, 0, None, 0.0, origin=origin)
    tags = tags_of(FILE, info, PICK, metric="niqe", lower_better=True, of=3, gps=False)
    assert tags.captured_at == "2024-05-02T00:00:07.250+02:00"
    assert tags.place is None
    assert tags.description == "a day.mp4 at 0:00:17.250, frame 431: still 2 of 3, niqe 3.2147 (lower is better)"
    assert "/in" not in tags.description
    assert tags.title == "a day"
    assert tags_of(FILE, info, PICK, metric="niqe", lower_better=True, of=3, gps=True).place == Place(52.52, 13.405)
