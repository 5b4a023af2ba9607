"""The scanner of a configured cluster, for whoever runs the pipeline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from daemon.cluster import calibration
from daemon.cluster.link import Link, RayLink, require_ray
from daemon.cluster.messages import Settings, mapped
from daemon.cluster.pool import Pool, Reference
from daemon.cluster.scanner import ClusterScanner
from daemon.config.schema import Config
from daemon.events import Listener
from daemon.runtime.tasks import cancel
from daemon.scan.protocol import Scanner, ScorerFacts
from daemon.scoring.batcher import Batcher

SEEN_SECONDS = 1.0


@asynccontextmanager
async def clustered(
    config: Config,
    here: Scanner,
    batcher: Batcher,
    listener: Listener,
    folder: Path | None,
    connect: Callable[[], Any] | None = None,
) -> AsyncIterator[ClusterScanner]:
    """A scanner on the configured cluster, for as long as the context lasts.

    ``here`` and ``batcher`` are those of this process: workers must score as it does. Every worker must see ``folder``.
    Raises ConfigError where Ray is not installed. A cluster that cannot be reached is none of the start's business.
    """
    settings = config.cluster
    if connect is None:
        require_ray(settings.address)

    async def connected() -> Link:
        return await RayLink.connect(settings)

    number = await calibration.number(batcher)
    scorer = batcher.scorer
    pool = Pool(
        settings,
        Reference(scorer.identity, number),
        worker_settings(config, folder),
        connect or connected,
        stall_seconds=config.service.stuck_seconds,
        pause_seconds=config.service.pause_seconds,
    )
    facts = ScorerFacts(scorer.identity, scorer.metric, scorer.lower_better)
    scanner = ClusterScanner(settings, pool, facts, here, config.decode.concurrency, config.service.pause_seconds)
    telling = asyncio.create_task(_tell(scanner, settings.address, listener), name="cluster")
    try:
        yield scanner
    finally:
        await cancel([telling])
        await pool.close()


def worker_settings(config: Config, folder: Path | None) -> Settings:
    """What a worker is told of the configuration, with its own names of folders."""
    path_map = config.cluster.path_map
    threads = max(1, math.ceil(config.cluster.num_cpus))
    # One film at a time, on the cores that are reserved for it.
    decode = config.decode.model_copy(update={"concurrency": 1, "threads": config.decode.threads or threads})
    watch = config.watch.model_copy(update={"path": mapped(config.watch.path, path_map)})
    weights = config.score.weights
    score = config.score.model_copy(update={"weights": None if weights is None else mapped(weights, path_map)})
    return {
        "score": score.model_dump(mode="json"),
        "decode": decode.model_dump(mode="json"),
        "watch": watch.model_dump(mode="json"),
        "threads": threads,
        "folder": "" if folder is None else str(mapped(folder, path_map)),
        "log_level": config.log.level,
    }


async def _tell(scanner: ClusterScanner, address: str, listener: Listener) -> None:
    """Tell the state whenever it has changed, until cancelled."""
    told: object = None
    while True:
        seen = scanner.paces.seen(address)
        if seen != told:
            listener(seen)
            told = seen
        await asyncio.sleep(SEEN_SECONDS)
