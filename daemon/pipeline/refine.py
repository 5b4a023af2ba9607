"""A second opinion: a slower metric scores the shortlist that the first one and the gates leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from daemon.config.schema import Config
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.inbox.identity import require_unchanged
from daemon.logs.setup import get
from daemon.model import Frame, Outcome, VideoRecord
from daemon.runtime.stall import reading
from daemon.scoring import catalog
from daemon.scoring.open import open_scorer
from daemon.scoring.protocol import Scorer
from daemon.store.store import Store

log = get(__name__)


def lower_better(config: Config) -> bool:
    """The second metric's direction. Raises ScorerError for one that is not known."""
    return catalog.find(config.score.refine.metric).lower_better


async def refine(
    store: Store,
    record: VideoRecord,
    config: Config,
    frames: Sequence[int],
    on_progress: Callable[[], None] = lambda: None,
) -> dict[int, Outcome]:
    """The second metric's outcomes of some frames: the stored ones, and the others scored now and stored.

    Only these frames are decoded into pictures, and none when all are stored by this very scorer. A frame whose hash
    is not the stored one gets no outcome. ``on_progress`` is called after every batch. Raises ScorerError, VideoError.
    """
    metric = config.score.refine.metric
    await require_unchanged(record.file, config.service.stuck_seconds)
    settings = config.score.model_copy(update={"metric": metric, "weights": None, "implementation": "auto"})
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="refine")
    try:
        scorer = await loop.run_in_executor(thread, open_scorer, settings)
        try:
            known = (await store.refined(record.id, metric)).get(scorer.identity, {})
            missing = frozenset(frames) - known.keys()
            scored = await _score(store, record, config, scorer, thread, missing, on_progress)
        finally:
            await asyncio.shield(loop.run_in_executor(thread, scorer.close))
    finally:
        thread.shutdown(wait=False, cancel_futures=True)
    log.info(
        "video.refined",
        video=str(record.file.path),
        video_id=record.id,
        scorer=scorer.identity,
        frames=len(frames),
        scored=len(scored),
    )
    whole = known | scored
    return {frame: whole[frame] for frame in frames if frame in whole}


async def _score(
    store: Store,
    record: VideoRecord,
    config: Config,
    scorer: Scorer,
    thread: ThreadPoolExecutor,
    missing: frozenset[int],
    on_progress: Callable[[], None],
) -> dict[int, Outcome]:
    if not missing or record.info is None:
        return {}
    rows = await store.rows_of(record.id, sorted(missing))
    report = DecodeReport()
    decoded = decode_frames(record.info, config.decode, report, single_thread=record.damaged, wanted=missing)
    scored: dict[int, Outcome] = {}
    batch: list[Frame] = []

    async def flush() -> None:
        pictures = [frame.picture for frame in batch if frame.picture is not None]
        found = await asyncio.get_running_loop().run_in_executor(thread, scorer.score, pictures)
        outcomes = {frame.index: outcome for frame, outcome in zip(batch, found, strict=True)}
        await store.add_refined(record.id, scorer.metric, scorer.identity, outcomes)
        scored.update(outcomes)
        batch.clear()
        on_progress()

    async with reading(
        decoded,
        name=f"decode-again-{record.id}",
        seconds=config.service.stuck_seconds,
        what="the decoder",
        progress=lambda: report.frames,
        on_progress=on_progress,
    ) as frames:
        async for frame in frames:
            if frame.picture is None or frame.hash != rows[frame.index].hash:
                continue
            batch.append(frame)
            height, width = frame.picture.shape[:2]
            if len(batch) >= scorer.batch_size(height, width, frame.picture.itemsize):
                await flush()
    if batch:
        await flush()
    return scored
