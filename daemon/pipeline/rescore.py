"""Another metric's scores of a film that is done, beside those that it has: the command ``rescore``.

The film is decoded once more. A frame is scored when its hash is the one that was stored, so all scores of a frame are
of one picture. What is scored is committed batch by batch: after a kill the same command goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from daemon.config.schema import Config
from daemon.decode.damage import DamageError
from daemon.errors import Kind, VideoError
from daemon.events import Listener, Progress, ignore
from daemon.inbox.held_source import held
from daemon.inbox.identity import content_of, same_content
from daemon.job import VideoJob
from daemon.model import Frame, Outcome, Status, VideoRecord
from daemon.pipeline.reference import scored_info
from daemon.pipeline.refine import scorer_identity
from daemon.scan.again import Again, Way
from daemon.scan.apart import Decoding
from daemon.scan.decoded import decoded
from daemon.scan.rows import scored_row
from daemon.scoring import catalog
from daemon.scoring.batcher import Batcher
from daemon.scoring.open_scorer import open_scorer
from daemon.store.scores import ScoredBy
from daemon.store.store import Store


@dataclass(frozen=True, slots=True)
class Rescored:
    """What became of it: the scorer has now scored all of ``frames`` but the ``differing`` ones, ``fresh`` just now.

    Differing frames decode to other pictures than when the film was scored.
    """

    record: VideoRecord
    metric: str
    scorer: str
    frames: int
    fresh: int
    differing: int


async def rescore(config: Config, store: Store, key: str, metric: str, listener: Listener = ignore) -> Rescored:
    """Decode a film again and keep this metric's scores beside those that it has. Raises StillwatchError."""
    record = await store.videos.find(key)
    if record.status is not Status.DONE:
        raise VideoError(
            Kind.NOT_FOUND, f"video {record.id} is {record.status}, not done: only finished videos are scored again"
        )
    # Weights and implementation of the settings are those of the first metric.
    settings = config.score.model_copy(
        update={} if metric == config.score.metric else {"metric": metric, "weights": None, "implementation": "auto"}
    )
    job = VideoJob.of(record, config.service.stuck_seconds)
    async with held(job, config.watch, prove=False) as with_source:
        await _require_same_content(store, with_source)
        batcher = await Batcher.open(lambda: open_scorer(settings), "rescore")
        try:
            return await _Pass(config, store, with_source, batcher, listener).run()
        finally:
            await batcher.close()


async def scored_by(store: Store, record: VideoRecord, metric: str) -> VideoRecord:
    """The film as if this metric were its current one.

    Raises VideoError where it has not scored every frame, ScorerError where there is no such metric.
    """
    asked = f"`stillwatch rescore {record.id} --metric {metric}`"
    known = [one for one in await store.scores.scorers(record.id) if one.metric == metric]
    if not known:
        # A name that is no metric's is said to be none: nothing could make its scores.
        catalog.find(metric)
        raise VideoError(Kind.NOT_FOUND, f"video {record.id} has no scores by {metric}: {asked} makes them")
    best: ScoredBy = max(known, key=lambda one: (one.current, one.frames))
    if best.frames < (record.frames_decoded or 0):
        raise VideoError(
            Kind.NOT_FOUND,
            f"{best.frames} of the {record.frames_decoded} frames of video {record.id} are scored by {metric}:"
            f" {asked} scores the others",
        )
    lower_better = catalog.find(metric).lower_better if best.lower_better is None else best.lower_better
    return replace(record, metric=metric, lower_better=lower_better, scorer=best.scorer)


async def _require_same_content(store: Store, job: VideoJob) -> None:
    record = job.record
    now = await content_of(job.source, job.stall_seconds, named=record.file.path)
    if not same_content(record.file, now):
        raise VideoError(
            Kind.CHANGED,
            f"{record.file.path} is not what was scored any more: `stillwatch retry {record.id}` takes it anew",
        )
    if record.file.digest is None and now.digest is not None:
        await store.videos.keep_digest(record.id, now.digest)


class _Pass:
    """A decode of the whole film, whose frames are scored where this scorer has not done so yet."""

    def __init__(self, config: Config, store: Store, job: VideoJob, batcher: Batcher, listener: Listener) -> None:
        self._config = config
        self._store = store
        self._job = job
        self._batcher = batcher
        self._listener = listener
        self._identity = scorer_identity(batcher, job.record)
        self._stored: list[str] = []
        self._fresh = 0

    async def run(self) -> Rescored:
        record, scorer = self._job.record, self._batcher.scorer
        self._stored = await self._store.frames.decoded(record.id)
        try:
            await self._decode(single_thread=record.damaged)
        except DamageError:
            await self._decode(single_thread=True)
        frames = len(self._stored)
        known = await self._store.frames.hashes(record.id, self._identity)
        missing = frames - sum(map(bool, known))
        self._job.log.info("video.rescored", scorer=self._identity, frames=frames, scored=self._fresh)
        return Rescored(record, scorer.metric, self._identity, frames, self._fresh, missing)

    async def _decode(self, *, single_thread: bool) -> None:
        job, scorer = self._job, self._batcher.scorer
        known = await self._store.frames.hashes(job.record.id, self._identity)
        if len(known) == len(self._stored) and all(known):
            return
        info = scored_info(job)
        again = Again(info, self._config.decode, Way.PASS, None, single_thread=single_thread, known=known)
        batch: list[Frame] = []
        async with decoded(job, Decoding(again)) as stream:
            async for frame in stream:
                if frame.picture is None:
                    continue
                if frame.index >= len(self._stored) or frame.hash != self._stored[frame.index]:
                    continue
                batch.append(frame)
                height, width = frame.picture.shape[:2]
                if len(batch) >= scorer.batch_size(height, width, frame.picture.itemsize):
                    await self._score(batch, info.ground)
                    batch = []
        if batch:
            await self._score(batch, info.ground)

    async def _score(self, batch: list[Frame], ground: str) -> None:
        record, scorer = self._job.record, self._batcher.scorer
        pictures = [frame.picture for frame in batch if frame.picture is not None]
        results = await self._batcher.score(pictures, self._job.stall_seconds)
        rows = [scored_row(frame, outcome, ground) for frame, outcome in zip(batch, results, strict=True)]
        outcomes = {row.frame: Outcome(row.score, row.note) for row in rows}
        # In transactions of their own: a daemon that writes beside this waits no longer than for one.
        await self._store.scores.add(record.id, scorer.metric, scorer.lower_better, self._identity, outcomes)
        self._fresh += len(batch)
        self._listener(
            Progress(
                video_id=record.id,
                video=str(record.file.path),
                frame=batch[-1].index,
                frames_total=len(self._stored),
                fps=0.0,
                queue_bytes=0,
                batch=len(batch),
            )
        )
