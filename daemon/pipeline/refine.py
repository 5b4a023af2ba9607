"""A second opinion: a slower metric scores the shortlist that the first one and the gates leave."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

from daemon.config.schema import Config
from daemon.errors import ScorerError
from daemon.inbox.identity import require_unchanged
from daemon.job import VideoJob
from daemon.media.rules import FIRST_RULES, scored_by
from daemon.model import Frame, Outcome, VideoRecord
from daemon.pipeline.reference import frames_as_scored
from daemon.runtime.stall import while_loading
from daemon.scoring import catalog
from daemon.scoring.batcher import Batcher
from daemon.scoring.open_scorer import open_scorer
from daemon.scoring.second_opinion import second_metric
from daemon.store.store import Store


def lower_better(config: Config) -> bool:
    """The second metric's direction. Raises ScorerError for one that is not known."""
    return catalog.find(second_metric(config.score.refine.metric)).lower_better


class Refiner:
    """The second metric: its scorer is opened when it is first needed and stays open until ``close``."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store
        self._batcher: Batcher | None = None

    async def close(self) -> None:
        """Free the scorer, if there is one; it is opened again when it is needed again."""
        batcher, self._batcher = self._batcher, None
        if batcher is not None:
            await batcher.close()

    async def refine(self, job: VideoJob, frames: Sequence[int]) -> dict[int, Outcome]:
        """The second metric's outcomes of some frames: the stored ones, and the others scored now and stored.

        Only these frames are decoded into pictures, and none when all are stored by this very scorer. A frame whose
        hash is not the stored one gets no outcome. Raises VideoError, and ScorerError, with STUCK when the scorer
        hangs.
        """
        record = job.record
        await require_unchanged(record.file, job.stall_seconds)
        # What is stored counts only for this very scorer, and only an open one can say which it is.
        batcher = await while_loading(self._opened(), job.on_progress)
        identity = scorer_identity(batcher, record)
        known = await self._store.scores.outcomes(record.id, identity)
        missing = frozenset(frames) - known.keys()
        try:
            scored = await self._score(job, batcher, missing) if missing else {}
        except ScorerError:
            await self.close()
            raise
        job.log.info("video.refined", scorer=identity, frames=len(frames), scored=len(scored))
        outcomes = known | scored
        return {frame: outcomes[frame] for frame in frames if frame in outcomes}

    async def _opened(self) -> Batcher:
        if self._batcher is None:
            score = self._config.score
            settings = score.model_copy(
                update={"metric": second_metric(score.refine.metric), "weights": None, "implementation": "auto"}
            )
            self._batcher = await Batcher.open(lambda: open_scorer(settings), "refine")
        return self._batcher

    async def _score(self, job: VideoJob, batcher: Batcher, missing: frozenset[int]) -> dict[int, Outcome]:
        record, scorer = job.record, batcher.scorer
        if record.info is None:
            return {}
        scored: dict[int, Outcome] = {}
        batch: list[Frame] = []

        async def flush() -> None:
            pictures = [frame.picture for frame in batch if frame.picture is not None]
            results = await batcher.score(pictures, job.stall_seconds)
            outcomes = {frame.index: outcome for frame, outcome in zip(batch, results, strict=True)}
            await self._store.scores.add(
                record.id, scorer.metric, scorer.lower_better, scorer_identity(batcher, record), outcomes
            )
            scored.update(outcomes)
            batch.clear()
            job.on_progress()

        async with aclosing(frames_as_scored(self._store, job, self._config.decode, missing)) as frames:
            async for frame in frames:
                assert frame.picture is not None
                batch.append(frame)
                height, width = frame.picture.shape[:2]
                if len(batch) >= scorer.batch_size(height, width, frame.picture.itemsize):
                    await flush()
        if batch:
            await flush()
        return scored


def scorer_identity(batcher: Batcher, record: VideoRecord) -> str:
    """The identity of what this scorer says of a film, whose pictures are made as they were when it was scored."""
    if record.info is None:
        return scored_by(batcher.scorer.identity, FIRST_RULES, deinterlace=False)
    return scored_by(batcher.scorer.identity, record.info.rules, deinterlace=record.info.deinterlace)
