"""The stills of all films' newest selections, as the choice compares pictures: read once, then only what is new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.analysis import features
from daemon.selection.across import Given
from daemon.store.store import Store

MOST_GIVEN = 100_000
"""Stills that are compared with, those of the newest selections: some 50 MB, however many films there are."""
TOGETHER = 200
"""Selections whose stills are read at once."""
MOST_TOLD = 5
"""Films and pictures that are named."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """What other films gave, and how far the best frame of each moment is from the nearest of it, and from which."""

    given: Given
    distance: NDArray[np.float64]
    place: NDArray[np.int64]

    def left_out(self, gained: float, difference: float | None) -> NDArray[np.int64]:
        """The moments that are not chosen for it, with the ``difference`` that the choice came to."""
        return np.flatnonzero(self.distance * gained < (difference or 0.0))


class GivenPictures:
    """What was given so far; kept while a daemon runs, so that each film costs what was added since the last one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._selections: dict[int, int] = {}
        self._given: dict[int, Given] = {}

    async def by_others(self, video_id: int) -> Given:
        """The stills of the newest selection of every film but this one, with the features that are known of them."""
        current = dict(await self._store.selections.newest(MOST_GIVEN))
        for video in [one for one, selection in self._selections.items() if current.get(one) != selection]:
            del self._selections[video], self._given[video]
        fresh = [video for video in current if video not in self._selections]
        for start in range(0, len(fresh), TOGETHER):
            await self._read({video: current[video] for video in fresh[start : start + TOGETHER]})
        return _joined([one for video, one in self._given.items() if video != video_id])

    async def told(self, repeats: Repeats, out: NDArray[np.int64], frames: NDArray[np.int64]) -> dict[str, Any]:
        """What is stored of it with a selection; ``out`` are the moments left out, ``frames`` the best of every one."""
        found: dict[str, Any] = {"stills": len(repeats.given), "left_out": len(out)}
        if len(out) == 0:
            return found
        place = repeats.place[out]
        video = repeats.given.video_id[place]
        names: dict[int, str] = {}
        for one in np.unique(video).tolist()[:MOST_TOLD]:
            names[one] = (await self._store.videos.get(one)).file.path.name
        rows = zip(frames[out].tolist(), video.tolist(), repeats.given.frame[place].tolist(), strict=True)
        some = [
            {"frame": frame, "video_id": film, "video": names[film], "as": as_frame}
            for frame, film, as_frame in rows
            if film in names
        ]
        shows = "moment shows" if len(out) == 1 else "moments show"
        films = ", ".join(names.values())
        sentence = f"{len(out)} of {len(frames)} {shows} what stills of other films show: {films} (select.across)"
        return {**found, "told": sentence, "some": some[:MOST_TOLD]}

    async def _read(self, selections: dict[int, int]) -> None:
        frames = await self._store.selections.given(list(selections.values()))
        found = await looks_of(self._store, frames)
        for one, selection in selections.items():
            self._given[one] = some_of(found, found.video_id == one)
            self._selections[one] = selection


async def looks_of(store: Store, frames: dict[int, list[int]]) -> Given:
    """Frames by film as the choice compares them; without those of which no features are stored."""
    blobs = [blob for one, some in frames.items() for blob in await store.frames.features_of(one, some)]
    if not blobs:
        return _joined([])
    records = features.unpack(blobs)
    found = Given(
        video_id=np.repeat(np.array(list(frames), np.int64), [len(some) for some in frames.values()]),
        frame=np.array([frame for some in frames.values() for frame in some], np.int64),
        sketch=features.sketch(records["thumbnail"]).astype(np.float16),
        detail=features.detail(records["edges"]).astype(np.uint8),
        detailed=records["version"] >= 2,
    )
    return some_of(found, records["version"] > 0)


def some_of(given: Given, which: NDArray[np.bool_] | NDArray[np.int64]) -> Given:
    """The pictures where a mask is true, or at these places."""
    return Given(
        given.video_id[which], given.frame[which], given.sketch[which], given.detail[which], given.detailed[which]
    )


def _joined(parts: list[Given]) -> Given:
    empty = Given(
        np.zeros(0, np.int64),
        np.zeros(0, np.int64),
        np.zeros((0, features.SKETCH), np.float16),
        np.zeros((0, features.CELLS), np.uint8),
        np.zeros(0, np.bool_),
    )
    parts = [empty, *parts]
    return Given(
        np.concatenate([one.video_id for one in parts]),
        np.concatenate([one.frame for one in parts]),
        np.concatenate([one.sketch for one in parts]),
        np.concatenate([one.detail for one in parts]),
        np.concatenate([one.detailed for one in parts]),
    )
