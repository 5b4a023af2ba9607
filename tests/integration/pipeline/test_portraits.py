"""Faces in the choice: of a moment the frame with the best ones, whatever the metric prefers.

With a reader that is told what to see; and, where the extra and its weights are here, with the real one on a real face.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from daemon.config.schema import Config
from daemon.config.score import DecodeConfig
from daemon.model import Face, Picture
from daemon.pipeline import portraits
from daemon.pipeline.select_frames import selection_params
from daemon.scoring.faces import weights
from daemon.scoring.faces.reader import FaceReader
from daemon.selection.moments import Moments
from daemon.selection.quality import Film
from daemon.store.store import Store
from tests import films
from tests.integration.pipeline.test_select_frames import (
    config_in,
    finished,
    noisy,
    painted,
    scene,
    scored,
    selector,
    store,
)

__all__ = ["store"]

GOOD = Face(size=0.3, blink=0.05, facing=0.97, sharp=0.2, cut=0.0)
SPOILT = {
    "blink": Face(size=0.3, blink=0.8, facing=0.97, sharp=0.2, cut=0.0),
    "turned": Face(size=0.3, blink=0.05, facing=0.2, sharp=0.2, cut=0.0),
    "cut": Face(size=0.3, blink=0.05, facing=0.97, sharp=0.2, cut=0.4),
    "soft": Face(size=0.3, blink=0.05, facing=0.97, sharp=0.03, cut=0.0),
}

MARKED = 10


class ToldReader:
    """Sees the fault in every frame without a bright corner."""

    def __init__(self, fault: Face) -> None:
        self.fault = fault
        self.looked = 0

    def look(self, picture: Picture) -> tuple[Face, ...]:
        self.looked += 1
        return (GOOD if picture[-8:, -8:].mean() > 200 else self.fault,)


def film(path: Path) -> Path:
    """Two scenes of three seconds; of each second 0.4 are marked with a corner, and a little worse by the metric."""

    def picture(number: int) -> Any:
        shown = noisy(scene(1 + number // 75), number)
        shown[:16, :16] = 255
        if number % 25 < MARKED:
            shown[-8:, -8:] = 255
            shown[:16, :16] = 128
        return shown

    return painted(path, [picture(n) for n in range(150)])


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ToldReader:
    told = ToldReader(SPOILT[getattr(request, "param", "blink")])
    monkeypatch.setattr(weights, "state", lambda: "")
    monkeypatch.setattr(FaceReader, "open", lambda: told)
    return told


def asked(folder: Path, **select: Any) -> Config:
    return config_in(folder, **{"count": 2, "min_gap_seconds": 0.5, **select})


@pytest.mark.parametrize("reader", SPOILT, indirect=True)
@pytest.mark.parametrize("strategy", ["representative", "poster"])
async def test_the_spoilt_face_loses_to_the_good_one_of_its_moment(
    store: Store, tmp_path: Path, reader: ToldReader, strategy: str
) -> None:
    config = asked(tmp_path, strategy=strategy)
    record = await scored(store, config, film(tmp_path / "film.mkv"))
    off = await selector(store, asked(tmp_path, strategy=strategy, faces="off"), record).select()
    assert reader.looked == 0
    assert all(pick.frame % 25 >= MARKED for pick in off.picks)
    chosen = await selector(store, config, record).select()
    assert len(chosen.picks) == 2
    assert all(pick.frame % 25 < MARKED for pick in chosen.picks)


async def test_a_film_without_faces_is_chosen_from_as_if_nobody_looked(
    store: Store, tmp_path: Path, reader: ToldReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def better_and_better(number: int) -> Any:
        shown = noisy(scene(1 + number // 75), number)
        shown[:16, :16] = 100 + number
        return shown

    config = asked(tmp_path, count=6)
    record = await scored(store, config, painted(tmp_path / "film.mkv", [better_and_better(n) for n in range(150)]))
    off = await selector(store, asked(tmp_path, count=6, faces="off"), record).select()
    monkeypatch.setattr(reader, "look", lambda _: ())
    assert (await selector(store, config, record).select()).picks == off.picks


@pytest.mark.parametrize("gap_seconds", [0.0, 0.95])
async def test_no_still_comes_too_near_to_another_for_a_better_face(
    store: Store, tmp_path: Path, reader: ToldReader, gap_seconds: float
) -> None:
    """Good faces lie nearer to each other than stills may: 0.4 of every second."""
    terms = {"count": 6, "min_gap_seconds": gap_seconds, "min_difference": 0}
    record = await scored(store, asked(tmp_path, **terms), film(tmp_path / "film.mkv"))
    off = await selector(store, asked(tmp_path, faces="off", **terms), record).select()
    chosen = await selector(store, asked(tmp_path, **terms), record).select()
    frames = sorted(pick.frame for pick in chosen.picks)
    assert reader.looked > 0
    assert len(set(frames)) == len(frames) == len(off.picks) > 4
    assert np.diff(frames).min() >= gap_seconds * 25


async def test_the_first_still_has_the_faces_and_all_of_the_film_is_seen(
    store: Store, tmp_path: Path, reader: ToldReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody whose eyes are closed throughout is shown, but does not stand for the film."""

    def picture(number: int) -> Any:
        shown = noisy(scene(1 + number // 75), number)
        shown[-16:, :16] = 255 if number >= 75 else 0
        return shown

    record = await scored(store, asked(tmp_path), painted(tmp_path / "film.mkv", [picture(n) for n in range(150)]))
    off = await selector(store, asked(tmp_path, faces="off"), record).select()
    first = off.picks[0].frame // 75
    given: list[Face] = []

    def look(shown: Picture) -> tuple[Face, ...]:
        given.append(SPOILT["blink"] if (shown[-8:, :8].mean() > 128) == bool(first) else GOOD)
        return (given[-1],)

    monkeypatch.setattr(reader, "look", look)
    chosen = await selector(store, asked(tmp_path), record).select()
    assert {GOOD, SPOILT["blink"]} == set(given)
    assert [pick.frame // 75 for pick in chosen.picks] == [1 - first, first]


async def test_who_was_not_looked_at_stands_for_no_film(store: Store, tmp_path: Path, reader: ToldReader) -> None:
    """All eyes are closed, in more moments than are looked at: the first still is what it would be without."""
    pictures = [noisy(scene(1 + n // 25), n) for n in range(30 * 25)]
    record = await scored(store, asked(tmp_path), painted(tmp_path / "film.mkv", pictures))
    off = await selector(store, asked(tmp_path, faces="off"), record).select()
    chosen = await selector(store, asked(tmp_path), record).select()
    assert 0 < reader.looked < 30 * 25 / 2
    assert chosen.picks[0].frame // 25 == off.picks[0].frame // 25


def test_a_frame_that_comes_after_good_ones_is_not_taken_for_its_face_nor_one_for_a_small_face() -> None:
    count, second = 20, 10
    known = Film(
        np.arange(count), np.arange(count) / second, 2.0 - (np.arange(count) == 8), np.ones(count, np.bool_), np.zeros(count, np.int64),
        lower_better=True, spared=np.arange(count) >= second,
    )  # fmt: skip
    one = np.ones(1)
    found = Moments(np.array([8]), one, one, np.array([count]), one, np.zeros(1, np.int64), np.zeros(1, np.bool_))

    async def taken(open_eyes: set[int], size: float) -> int:
        class Told(portraits.Faces):
            def __init__(self) -> None:
                pass

            async def look(self, job: Any, config: Any, frames: Any) -> dict[int, tuple[Face, ...]]:
                faces = {True: replace(GOOD, size=size), False: replace(SPOILT["blink"], size=size)}
                return {frame: (faces[frame in open_eyes],) for frame in frames}

        looking = portraits.Portraits(Told(), MagicMock(), DecodeConfig())
        place = np.zeros(1, np.int64)
        return int((await looking.preferred(known, found, place, place, 1.0)).position[0])

    assert asyncio.run(taken(set(range(10, 20)), 0.3)) == 8
    assert asyncio.run(taken(set(range(4, 8)), 0.3)) in range(4, 8)
    assert asyncio.run(taken(set(range(4, 8)), 0.04)) == 8


async def test_only_a_shortlist_is_looked_at_and_its_cost_is_said(
    store: Store, tmp_path: Path, reader: ToldReader
) -> None:
    config = asked(tmp_path)
    record, stills = await finished(store, config, film(tmp_path / "film.mkv"))
    assert reader.looked <= 150 * 0.6
    (row,) = await store.queries.selections(record.id)
    told = json.loads(row["reasons"])["faces"]
    assert told["frames"] == told["with_faces"] == reader.looked
    assert set(told["stills"]) == {str(still.frame) for still in stills}
    assert all(
        set(face) == {"size", "blink", "facing", "sharp", "cut"} for one in told["stills"].values() for face in one
    )
    assert json.loads(row["params"])["faces"] == weights.identity()


async def test_what_was_looked_at_is_not_looked_at_again(store: Store, tmp_path: Path, reader: ToldReader) -> None:
    config = asked(tmp_path)
    record = await scored(store, config, film(tmp_path / "film.mkv"))
    choosing = selector(store, config, record)
    first = await choosing.select()
    looked = reader.looked
    assert (await choosing.select()).picks == first.picks
    assert reader.looked == looked


def test_without_the_extra_parameters_are_what_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "state", lambda: "not here")
    assert not portraits.wanted(asked(tmp_path))
    assert "faces" not in selection_params(asked(tmp_path), "niqe")


@pytest.mark.parametrize("strategy", ["best", "even"])
def test_best_and_even_do_without(tmp_path: Path, reader: ToldReader, strategy: str) -> None:
    assert not portraits.wanted(asked(tmp_path, strategy=strategy))


needs_the_extra = pytest.mark.skipif(bool(weights.state()), reason=weights.state())


def astronaut() -> Any:
    data = pytest.importorskip("skimage.data", reason="the picture of a face comes with scikit-image")
    return data.astronaut()


def blinking(picture: Any) -> Any:
    """The same face with its lids closed: between brow and cheek all is skin, with a line of lashes."""
    closed = picture.astype(float)
    for left, right, top, bottom in ((193, 216, 94, 107), (234, 258, 97, 109)):
        share = np.linspace(0, 1, bottom - top)[:, None, None]
        closed[top:bottom, left:right] = closed[top, left:right] * (1 - share) + closed[bottom, left:right] * share
        closed[top + (bottom - top) * 3 // 4, left + 1 : right - 1] *= 0.55
    return closed.astype(np.uint8)


@needs_the_extra
class TestOnARealFace:
    def test_the_numbers_say_what_is_seen(self) -> None:
        reader, picture = FaceReader.open(), astronaut()
        (face,) = reader.look(picture)
        assert face.blink < 0.2
        assert face.facing > 0.9
        assert face.cut == 0
        (blink,) = reader.look(blinking(picture))
        assert blink.blink > 0.5
        (cut,) = reader.look(np.ascontiguousarray(picture[90:]))
        assert cut.cut > 0.2
        assert reader.look(picture[300:400, :150].copy()) == ()
        (deep,) = reader.look(picture.astype(np.uint16) * 257)
        assert deep == face

    async def test_a_blink_loses_to_open_eyes(self, store: Store, tmp_path: Path) -> None:
        face, closed = astronaut(), blinking(astronaut())

        def picture(number: int) -> Any:
            # The blink is better by the metric: a bright corner.
            shown = noisy((closed if 10 <= number < 40 else face)[:384, :384], number)
            shown[-40:, -40:] = 255 if 10 <= number < 40 else 120
            return shown

        path = films.make(tmp_path / "face.mkv", frames=50, width=384, height=384, painter=lambda n, *_: picture(n))
        config = asked(tmp_path, count=1, strategy="poster")
        record = await scored(store, config, path)
        off = await selector(store, asked(tmp_path, count=1, strategy="poster", faces="off"), record).select()
        assert 10 <= off.picks[0].frame < 40
        chosen = await selector(store, config, record).select()
        assert not 10 <= chosen.picks[0].frame < 40
