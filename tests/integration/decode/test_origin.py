"""Where a film comes from: tags as cameras and programs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.score import DecodeConfig
from daemon.decode import origin
from daemon.decode.probe import probe
from daemon.model import Origin
from tests import films


def tagged(folder: Path, name: str, *options: str, **tags: str) -> Origin:
    film = films.make(folder / "plain.mp4", frames=3)
    words = [word for key, value in tags.items() for word in ("-metadata", f"{key.replace('__', '.')}={value}")]
    return probe(films.remux(film, folder / name, "-c", "copy", *words, *options), DecodeConfig()).origin


def test_a_phone_says_when_with_its_zone_where_and_who(tmp_path: Path) -> None:
    found = tagged(
        tmp_path,
        "phone.mov",
        *("-movflags", "use_metadata_tags", "-timecode", "01:02:03:04"),
        creation_time="2023-07-01T10:00:00Z",
        com__apple__quicktime__creationdate="2023-07-01T12:00:00+0200",
        com__apple__quicktime__location__ISO6709="+52.5200+013.4050+034.000/",
        com__apple__quicktime__make="Apple",
        com__apple__quicktime__model="iPhone 15",
        title="Holiday",
    )
    assert found == Origin(
        captured_at="2023-07-01T12:00:00+02:00",
        location="+52.5200+013.4050+034.000/",
        timecode="01:02:03:04",
        maker="Apple",
        model="iPhone 15",
        title="Holiday",
    )
    assert found.captured_after(1.5) == "2023-07-01T12:00:01.500+02:00"


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.mov"])
def test_without_a_zone_the_time_is_utc(tmp_path: Path, name: str) -> None:
    found = tagged(tmp_path, name, creation_time="2024-02-29T23:59:59.250000Z", title="A day")
    assert found.captured_at.startswith("2024-02-29T23:59:59")
    assert found.captured_at.endswith("+00:00")
    assert found.title == "A day"


def test_a_place_of_an_android_phone(tmp_path: Path) -> None:
    assert tagged(tmp_path, "film.mp4", location="+48.1374+011.5755/").location == "+48.1374+011.5755/"


def test_a_film_without_tags_says_nothing(tmp_path: Path) -> None:
    found = tagged(tmp_path, "film.mkv", "-map_metadata", "-1", "-fflags", "+bitexact")
    assert found == Origin()
    assert found.captured_after(3.0) is None


@pytest.mark.parametrize(
    "value",
    [
        *("1904-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z", "0000-00-00T00:00:00Z", "2024-13-01T00:00:00Z"),
        *("yesterday", "2024-01-01", "9999-12-31T23:59:59-23:59", "2024-01-01T00:00:00Z" + "0" * 100_000),
    ],
)
def test_what_is_no_time_of_capture_is_left_out(value: str) -> None:
    assert origin.read([{"creation_time": value}]).captured_at == ""


def test_a_wrong_better_tag_gives_way_to_a_right_one() -> None:
    tags = {"com.apple.quicktime.creationdate": "soon", "creation_time": "2024-05-01T10:00:00Z"}
    assert origin.read([tags]).captured_at == "2024-05-01T10:00:00+00:00"


def test_hostile_tags_are_bounded_and_on_one_line() -> None:
    found = origin.read(
        [{"title": "a\n\x1b[2Jb" + "x" * 10**6, "make": "\0", "location": "+1'; DROP/", "timecode": "9" * 1000}]
    )
    assert len(found.title) <= 200
    assert found.title.isprintable()
    assert (found.location, found.timecode) == ("", "")


def test_a_moment_beyond_the_calendar_has_no_time() -> None:
    assert Origin(captured_at="9999-12-31T23:59:59+00:00").captured_after(10.0) is None
