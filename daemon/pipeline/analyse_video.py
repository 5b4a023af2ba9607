"""A scored film's shots and its frames' verdicts: found once from the stored features, then kept."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from daemon.analysis import features, gates
from daemon.analysis.film_figures import FilmFigures
from daemon.analysis.shots import ShotFinder
from daemon.config.schema import Config
from daemon.job import VideoJob
from daemon.media import alpha
from daemon.pipeline.spool import spool
from daemon.runtime.memory import release_freed
from daemon.store.store import Store

VERSION = 45
"""Raised whenever shots or verdicts come out differently for the same settings."""


def settings(config: Config) -> dict[str, Any]:
    """What shots and verdicts depend on, besides the film."""
    return {
        "version": VERSION,
        "features": features.VERSION,
        "shots": config.shots.model_dump(mode="json"),
        "gates": config.gates.model_dump(mode="json"),
    }


async def judge(store: Store, job: VideoJob, config: Config) -> int:
    """See to it that shots and verdicts are stored; returns the number of frames without features.

    When there are any, the film was scored by an older version, and nothing can be judged. The records are
    read some thousand at a time, and only their figures are kept.
    """
    record = job.record
    wanted = settings(config)
    if await store.analysis.settings(record.id) == wanted:
        return 0
    finder = ShotFinder(config.shots)
    table = await store.frames.table(record.id)
    missing = 0
    with spool(config.database.path.parent) as file:
        figures = FilmFigures(len(table.frame), file)
        async for blobs in store.frames.feature_records(record.id):
            job.on_progress()
            records = features.unpack(blobs)
            missing += int((records["version"] == 0).sum())
            if not missing:
                figures.add(features.figures(records))
                await asyncio.to_thread(finder.feed, records["thumbnail"], records["edges"])
        if missing:
            return missing
        shots = await asyncio.to_thread(finder.found, table.time_s)
        usable = ~table.noted & np.isfinite(table.score)
        transparent = np.isin(table.frame, await store.frames.with_note(record.id, alpha.NOTE))
        verdicts = await asyncio.to_thread(
            gates.judge,
            figures,
            table.time_s,
            usable,
            shots,
            finder.views(),
            config.gates,
            transparent,
            reserve=table.reserve,
        )
    # Choosing begins with as much again.
    del figures
    await asyncio.to_thread(release_freed)
    words = [verdict.value for verdict in gates.ORDER]
    # Spans count rows; frames are numbered by the decoder, without gaps once a film is scored.
    await store.analysis.replace(record.id, shots, table.frame, verdicts, words, wanted)
    return 0
