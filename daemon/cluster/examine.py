"""Each machine of the cluster, looked at as before a film: for ``stillwatch doctor``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from daemon.cluster import calibration
from daemon.cluster.link import Link, RayLink
from daemon.cluster.messages import ClusterAwayError, Node, WorkerLostError
from daemon.cluster.open_cluster import worker_settings
from daemon.cluster.pool import Lent, Reference, refusal
from daemon.config.schema import Config
from daemon.scoring.batcher import Batcher
from daemon.scoring.open_scorer import open_scorer

START_SECONDS = 60.0


async def each_machine(config: Config, folder: Path) -> list[tuple[str, str]]:
    """The name of each machine that is large enough, and why it may not score; "" when it may.

    Raises ClusterAwayError, ConfigError, ScorerError.
    """
    batcher = await Batcher.open(lambda: open_scorer(config.score), "score")
    try:
        reference = Reference(batcher.scorer.identity, await calibration.number(batcher))
    finally:
        await batcher.close()
    link = await RayLink.connect(config.cluster)
    try:
        return await looked_at(config, link, reference, folder)
    finally:
        await link.close()


async def looked_at(config: Config, link: Link, reference: Reference, folder: Path) -> list[tuple[str, str]]:
    """The same on a connected cluster."""
    wanted = config.cluster
    left = {node.id: node for node in await link.nodes() if _fits(node, wanted.num_cpus, wanted.num_gpus)}
    seen: list[str] = []
    found: list[tuple[str, str]] = []
    while left:
        try:
            async with asyncio.timeout(START_SECONDS):
                started, hello = await link.start(seen)
        except TimeoutError:
            return [*found, *((node.name, "its cores are all in use: look again later") for node in left.values())]
        worker = Lent(link, started.worker, started.node, started.name, config.service.stuck_seconds)
        try:
            reason = await refusal(worker, hello, reference, worker_settings(config, folder), wanted.tolerance)
        except WorkerLostError as error:
            reason = f"its worker was lost: {error}"
        found.append((started.name, reason))
        seen.append(started.node)
        left.pop(started.node, None)
        await link.kill(started.worker)
    if not found:
        raise ClusterAwayError(
            f"none of its machines has {wanted.num_cpus:g} cores and {wanted.num_gpus:g} GPUs: lower cluster.num_cpus"
        )
    return found


def _fits(node: Node, cpus: float, gpus: float) -> bool:
    return node.cpus >= cpus and node.gpus >= gpus
