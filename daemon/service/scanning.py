"""Where films are scored: in this process, or on the configured cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from daemon.config.schema import Config
from daemon.events import Listener
from daemon.pipeline.workers import Elsewhere, Scanning
from daemon.scan.protocol import Scanner
from daemon.scoring.batcher import Batcher


def elsewhere(config: Config, listener: Listener, folder: Path | None = None) -> Elsewhere | None:
    """None: films are scored here. ``folder`` is one that every worker has to see."""
    if not config.cluster.address:
        return None
    # Nothing of it is loaded by a daemon that scores by itself.
    from daemon.cluster.open_cluster import clustered

    @asynccontextmanager
    async def opened(here: Scanner, batcher: Batcher) -> AsyncIterator[Scanning]:
        async with clustered(config, here, batcher, listener, folder) as scanner:
            yield Scanning(scanner, config.cluster.videos)

    return opened
