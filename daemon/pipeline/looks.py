"""What a film's frames look like, from their stored features: of some frames, or kept of all for who asks again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.analysis import features
from daemon.selection.calm_sharp import NEIGHBOURS_SECONDS
from daemon.selection.quality import Film, median_difference
from daemon.store.store import Store

TOGETHER = 500
"""Frames whose records are read at once."""
MOST_BYTES = 160 * 1024 * 1024
"""What the records of a film may take that is kept whole: a bit more than two hours."""

Looks = tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float64] | None]
"""Sketches of frames, their details and lettering; None where that is not known."""


class FilmLooks:
    """Reads the features of one film's frames."""

    def __init__(self, store: Store, video_id: int) -> None:
        self._store = store
        self._video_id = video_id
        self._frames = np.zeros(0, np.int64)
        self._records = np.zeros(0, features.RECORD)

    async def keep_all(self, frames: NDArray[np.int64]) -> None:
        """Read the features of all ``frames``, the film's in order; not of a film that is too long for that.

        They lie in blocks, and a few frames of each cost as much as all of them.
        """
        if len(frames) * features.RECORD.itemsize <= MOST_BYTES:
            records = [features.unpack(blobs) async for blobs in self._store.frames.feature_records(self._video_id)]
            whole = np.concatenate(records) if records else np.zeros(0, features.RECORD)
            if len(whole) == len(frames):
                self.keep(frames, whole)

    def keep(self, frames: NDArray[np.int64], records: features.Records) -> None:
        """Keep the features of some frames, rising, that were read, in place of what was kept before."""
        self._frames, self._records = frames, records

    async def of(self, frames: NDArray[np.int64]) -> Looks:
        """The looks of some frames, some hundred at a time, as a long film has thousands."""
        found = np.empty((len(frames), features.SKETCH), np.float32)
        details, lettering = np.empty((len(frames), features.CELLS), np.float32), np.empty(len(frames))
        known = True
        for start in range(0, len(frames), TOGETHER):
            part = slice(start, start + TOGETHER)
            records = await self.records(frames[part])
            found[part] = features.sketch(records["thumbnail"])
            details[part] = features.detail(records["edges"])
            lettering[part] = features.lettering(records)
            known &= bool((records["version"] >= 2).all())
        return (found, details, lettering) if known else (found, None, None)

    async def views(self, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        """The ``features.view`` of some frames."""
        found = np.empty((len(frames), features.SKETCH), np.float32)
        for start in range(0, len(frames), TOGETHER):
            part = slice(start, start + TOGETHER)
            found[part] = features.view(features.sketch((await self.records(frames[part]))["thumbnail"]))
        return found

    async def noise(self, film: Film) -> tuple[float, float]:
        """How much the sketches and the details of a shot's neighbouring frames differ: the medians of some hundred."""
        near = (film.shot[1:] == film.shot[:-1]) & (film.shot[1:] >= 0) & (film.seconds[:-1] <= NEIGHBOURS_SECONDS)
        pairs = np.flatnonzero(near)
        if len(pairs) == 0:
            return 0.0, 0.0
        pairs = pairs[np.linspace(0, len(pairs) - 1, min(len(pairs), TOGETHER)).round().astype(np.int64)]
        # Side by side, as they lie in the same blocks.
        sketches, details, _ = await self.of(film.frame[np.stack([pairs, pairs + 1], axis=1).ravel()])
        return median_difference(sketches), median_difference(details)

    async def records(self, frames: NDArray[np.int64]) -> features.Records:
        """The features of some frames as they are stored."""
        if len(self._frames) == 0:
            return await self._read(frames)
        place = np.minimum(np.searchsorted(self._frames, frames), len(self._frames) - 1)
        found: features.Records = self._records[place]
        missing = np.flatnonzero(self._frames[place] != frames)
        if len(missing):
            found[missing] = await self._read(frames[missing])
        return found

    async def _read(self, frames: NDArray[np.int64]) -> features.Records:
        return features.unpack(await self._store.frames.features_of(self._video_id, frames.tolist()))
