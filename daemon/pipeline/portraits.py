"""The faces of shortlisted frames: decoded again, looked at, and what they say to the choice.

::

    choice --> its moments, and some more --> some frames of each, decoded again --> faces
       ^                                                                               |
       +---- of each moment the frame with the best faces, its worth by them <---------+     until it stays the same

Nobody is recognised; no picture of a face is kept, nor anything but the numbers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.config.schema import Config
from daemon.config.score import DecodeConfig
from daemon.job import VideoJob
from daemon.model import Face
from daemon.pipeline.reference import frames_as_scored
from daemon.scoring.faces import weights
from daemon.scoring.faces.reader import FaceReader
from daemon.selection.moments import Moments
from daemon.selection.portrait import EQUAL, any_counts, candidates, sharpest_of, worth
from daemon.selection.quality import Film, quality
from daemon.selection.room import ROUNDING_S
from daemon.store.store import Store

ROUNDS = 4
"""How often the choice is asked again at most: what is newly in it is looked at each time."""
SHORTLIST = 12
"""Moments that are looked at in the first round, at least; and half as many again as are asked for."""


def wanted(config: Config) -> bool:
    """Whether faces count in this choice: where a still stands for what is seen, and they can be looked at here."""
    strategy = config.select.strategy in ("representative", "per-shot", "poster")
    return strategy and config.select.faces == "auto" and weights.available()


class Faces:
    """Looks at frames; the networks are loaded when they are first needed and stay until ``close``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reader: FaceReader | None = None

    def close(self) -> None:
        """Let go of the networks."""
        self._reader = None

    async def look(self, job: VideoJob, config: DecodeConfig, frames: Collection[int]) -> dict[int, tuple[Face, ...]]:
        """The faces of some frames of a scored film; a frame that is not what was scored is left out."""
        if self._reader is None:
            self._reader = await asyncio.to_thread(FaceReader.open)
        found: dict[int, tuple[Face, ...]] = {}
        async with aclosing(frames_as_scored(self._store, job, config, frames)) as again:
            async for frame in again:
                assert frame.picture is not None
                found[frame.index] = await asyncio.to_thread(self._reader.look, frame.picture)
                job.on_progress()
        return found


class Portraits:
    """What the faces say to the choices of one film; what was looked at is kept for the next choice."""

    def __init__(self, faces: Faces, job: VideoJob, config: DecodeConfig) -> None:
        self._faces = faces
        self._job = job
        self._config = config
        self._known: dict[int, tuple[Face, ...]] = {}
        self._seconds = 0.0

    async def preferred(
        self, film: Film, found: Moments, chosen: NDArray[np.int64], new: NDArray[np.int64], gap_s: float
    ) -> Moments:
        """The moments, of which those ``new`` have the frame with the best faces, and ``faces``: what these make of it.

        ``chosen`` and ``new`` are places in the moments: what is chosen now, and what of it was not looked at yet;
        ``gap_s`` seconds lie between stills at least. What a moment is worth beside others stays that of its best
        frame: what is shown of the film does not depend on who blinks.
        """
        usable = np.flatnonzero(film.usable)
        good, own = quality(film, usable)
        looked = {at: candidates(film.time_s, film.shot, usable, good, int(found.position[at])) for at in new.tolist()}
        frames = {int(film.frame[usable[place]]) for places in looked.values() for place in places.tolist()}
        if missing := frames - self._known.keys():
            started = time.monotonic()
            self._known |= dict.fromkeys(missing, ()) | await self._faces.look(self._job, self._config, missing)
            self._seconds += time.monotonic() - started
            faces = sum(len(self._known[frame]) for frame in missing)
            self._job.log.info("video.faces", frames=len(missing), faces=faces, seconds=round(self._seconds, 3))
        position, percentile = found.position.copy(), found.percentile.copy()
        by_faces = np.ones(len(position)) if found.faces is None else found.faces.copy()
        for at, places in looked.items():
            pictures = [self._known[int(film.frame[usable[place]])] for place in places.tolist()]
            if not any_counts(pictures):
                continue
            sharpest = sharpest_of(pictures)
            worths = np.array([worth(faces, sharpest) for faces in pictures])
            allowed = _allowed(film, position, chosen, at, usable[places], gap_s)
            best = int(np.argmax(np.where(allowed, worths * (EQUAL + (1 - EQUAL) * good[places]), -1.0)))
            place = places[best]
            position[at], by_faces[at], percentile[at] = usable[place], worths[best], own[place]
        return replace(found, position=position, percentile=percentile, faces=by_faces)

    def told(self, frames: Collection[int]) -> dict[str, Any]:
        """What is stored with a selection: what was looked at, and the numbers of the faces in its frames."""
        seen = sum(1 for faces in self._known.values() if faces)
        return {
            "told": f"{len(self._known)} frames were looked at for faces in {self._seconds:.1f} s, {seen} have some",
            "frames": len(self._known),
            "with_faces": seen,
            "seconds": round(self._seconds, 2),
            "models": weights.identity(),
            "stills": {str(frame): [asdict(face) for face in self._known.get(frame, ())] for frame in frames},
        }


def as_looked_at(found: Moments, looked: Collection[int]) -> Moments:
    """The moments, of which those that nobody looked at stand for the film no better than the worst that somebody did.

    ``looked`` are places in them. While more are looked at, what is not known yet is worth a look.
    """
    if found.faces is None or not looked:
        return found
    known = list(looked)
    faces = np.full(len(found.faces), min(1.0, float(found.faces[known].min())))
    faces[known] = found.faces[known]
    return replace(found, faces=faces)


def _allowed(
    film: Film, position: NDArray[np.int64], chosen: NDArray[np.int64], at: int, frames: NDArray[np.int64], gap_s: float
) -> NDArray[np.bool_]:
    """Which ``frames``, places in the film, the moment ``at`` may have instead of its own: none that another has, that
    is within ``gap_s`` of what else is chosen, or that comes after good ones where its own is good."""
    others = film.time_s[position[chosen[chosen != at]]]
    apart = np.abs(film.time_s[frames][:, None] - others).min(axis=1, initial=np.inf)
    free = (apart >= gap_s - ROUNDING_S) & ~np.isin(frames, np.delete(position, at))
    if film.spared is not None:
        free &= film.spared[frames] <= film.spared[position[at]]
    mask: NDArray[np.bool_] = free | (frames == position[at])
    return mask
