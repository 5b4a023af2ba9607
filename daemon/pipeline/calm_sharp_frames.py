"""How calm and sharp a film's frames are, from their features: of all frames, or of those around the likeliest."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from daemon.analysis import features
from daemon.pipeline.looks import FilmLooks
from daemon.selection.calm_sharp import BACKGROUND_SECONDS, calm_and_sharp, sharpness
from daemon.selection.moments import moments, stretches
from daemon.selection.quality import Film

MOST_LOOKED = 32_768
"""Frames whose features are read; of longer films those around the best of each moment: time and memory are bounded."""
TOGETHER = 4096
"""Frames whose features are read at once."""


async def with_calm_and_sharp(looks: FilmLooks, film: Film) -> Film:
    """The film with its columns ``calm`` and ``sharp``: 1 for frames that were not looked at.

    ``looks`` keeps the features of those that were: most that are chosen are among them.
    """
    whole = len(film.frame) <= MOST_LOOKED
    if whole:
        await looks.keep_all(film.frame)
    looked = await asyncio.to_thread(_looked, film)
    if len(looked) == 0:
        return film
    kept = np.empty(0 if whole else len(looked), features.RECORD)
    luma = np.empty((len(looked), features.CELLS), np.float32)
    sharp = np.empty((len(looked), 2), np.float32)
    for start in range(0, len(looked), TOGETHER):
        part = slice(start, start + TOGETHER)
        records = await looks.records(film.frame[looked[part]])
        luma[part] = (records["thumbnail"] @ features.LUMA).reshape(len(records), -1)
        sharp[part] = sharpness(features.detail(records["edges"]))
        if not whole:
            kept[part] = records
    if not whole:
        looks.keep(film.frame[looked], kept)
    calm, focus = np.ones(len(film.frame)), np.ones(len(film.frame))
    calm[looked], focus[looked] = await asyncio.to_thread(_compared, film, looked, luma, sharp)
    return replace(film, calm=calm, sharp=focus)


def _compared(
    film: Film, looked: NDArray[np.int64], luma: NDArray[np.float32], sharp: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What lies apart, as another shot does, is not compared."""
    shot, stretch = film.shot[looked], stretches(film, BACKGROUND_SECONDS)[looked]
    apart = np.append(0, (np.diff(looked) > 1) | (np.diff(shot) != 0))
    run = np.cumsum(apart)
    # Parts of one stretch that lie apart have backgrounds of their own.
    stretch = np.cumsum(np.append(0, (np.diff(stretch) != 0) | (np.diff(run) != 0)))
    return calm_and_sharp(luma, sharp, film.time_s[looked], run, stretch, film.usable[looked])


def _looked(film: Film) -> NDArray[np.int64]:
    """Places of the frames to look at, rising."""
    if len(film.frame) <= MOST_LOOKED:
        return np.flatnonzero(film.shot >= 0)
    best = moments(film).position
    beside = max(MOST_LOOKED // max(len(best), 1) // 2, 1)
    wanted = np.zeros(len(film.frame) + 1, np.int64)
    np.add.at(wanted, np.maximum(best - beside, 0), 1)
    np.add.at(wanted, np.minimum(best + beside, len(film.frame)), -1)
    return np.flatnonzero((np.cumsum(wanted)[:-1] > 0) & (film.shot >= 0))
