"""The two loops that take videos from the queue; a video is scored while the one before it is exported.

::

    queued ──claim──▶ scoring ────▶ scored ──claim──▶ exporting ────▶ done
      ▲     (decode.concurrency loops)  ▲       (one loop)   │
      │         │                       └──── Pause, Retry ──┤
      └─────────┴── Pause, Retry          unsteady: queued ◀─┘

An error leaves either loop as ``failures.decide`` says: Pause and Retry give the video back, Fail ends it, Exit ends
the loop and with it the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

from daemon.config.preset_over import for_film
from daemon.config.schema import Config
from daemon.errors import Kind, ScorerError, StillwatchError
from daemon.events import Ended, Heartbeat, Left, Listener, Taken
from daemon.export import ffmpeg_process
from daemon.job import VideoJob
from daemon.logs.setup import get
from daemon.media.rules import PICTURE_RULES, scored_by
from daemon.model import Status
from daemon.pipeline import record_failure
from daemon.pipeline.export_video import Exported, VideoExporter
from daemon.pipeline.failures import Decision, Exit, Fail, Pause, Retry, as_failure, decide
from daemon.pipeline.score_video import VideoScorer
from daemon.runtime import garbage
from daemon.runtime.compiling import watched
from daemon.runtime.retry import StagePause
from daemon.runtime.stall import while_loading
from daemon.runtime.tasks import is_set_within
from daemon.scan.local import LocalScanner, end_cells, warm
from daemon.scan.protocol import Scanner
from daemon.scoring.batcher import Batcher
from daemon.scoring.open_scorer import check, open_scorer
from daemon.scoring.protocol import Scorer
from daemon.scoring.second_opinion import second_metric
from daemon.store.store import Store

log = get(__name__)

STOP_BUSY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Scanning:
    """Who decodes and scores, and how many films at once."""

    scanner: Scanner
    films: int


Elsewhere = Callable[[Scanner, Batcher], AbstractAsyncContextManager[Scanning]]
"""Opens a scanner that works on other machines, given those of this process."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one kind of loop does: videos of the state ``waiting`` are ``working`` while ``run`` has them."""

    waiting: Status
    working: Status
    run: Callable[[VideoJob], Awaitable[None]]


class Workers:
    """The loops; with ``among`` they take only these videos, for somebody who waits in the foreground."""

    def __init__(
        self,
        config: Config,
        store: Store,
        batcher: Batcher,
        scanning: Scanning,
        exporter: VideoExporter,
        listener: Listener,
        among: Collection[int] | None = None,
        *,
        dispose: bool = False,
    ) -> None:
        self._config = config
        self._store = store
        self._batcher = batcher
        self._scanning = scanning
        self._scorer = VideoScorer(config, store, listener)
        self._exporter = exporter
        self._listener = listener
        self._among = among
        self._dispose = dispose
        self._stop = asyncio.Event()
        self._wakes = {Status.QUEUED: asyncio.Event(), Status.SCORED: asyncio.Event()}
        self._scoring = Stage(Status.QUEUED, Status.SCORING, self._score)
        self._exporting = Stage(Status.SCORED, Status.EXPORTING, self._export)
        # One for all loops of a stage: what is in the way of one of them is said once.
        self._pauses = {
            stage: StagePause(stage.value, self._stop, config.service.pause_seconds, forever=among is None)
            for stage in (Status.SCORING, Status.EXPORTING)
        }
        self.changed = asyncio.Event()
        """Set after every video's turn; whoever waits for it clears it."""

    @property
    def scorer_identity(self) -> str:
        """The scorer by which videos are scored now."""
        return scored_by(
            self._batcher.scorer.identity, PICTURE_RULES, deinterlace=self._config.decode.deinterlace == "auto"
        )

    def wake(self) -> None:
        """Something was queued, or goes on where it was."""
        for wake in self._wakes.values():
            wake.set()

    def stop(self) -> None:
        """Take nothing new; the scoring loop ends after its batch, the export after its video."""
        self._stop.set()
        self._scanning.scanner.stop()
        for wake in self._wakes.values():
            wake.set()

    async def set_busy_timeout(self) -> None:
        """While stopping: whoever else holds the database does not hold up the stop."""
        await self._store.set_busy_timeout(STOP_BUSY_SECONDS)

    def reconfigure(self, config: Config) -> None:
        """Go on with these settings, the export with its next video."""
        self._config = config
        self._scorer.reconfigure(config)
        self._exporter.reconfigure(config)

    def start(self) -> list[asyncio.Task[None]]:
        """The loops as tasks: as many that score as the scanner takes films at once, one that selects and exports."""
        tasks = [asyncio.create_task(self._loop(self._scoring), name="score") for _ in range(self._scanning.films)]
        return [*tasks, asyncio.create_task(self._loop(self._exporting), name="finish")]

    async def _loop(self, stage: Stage) -> None:
        service = self._config.service
        pause = self._pauses[stage.working]
        seen = -1
        while not self._stop.is_set():
            self._wakes[stage.waiting].clear()
            record = await pause.retry_until_possible(
                lambda: self._store.queue.claim(stage.waiting, stage.working, self._among)
            )
            if record is None:
                seen = await self._idle(stage.waiting, seen)
                continue
            self._listener(Taken(record.id, str(record.file.path), stage.working))
            on_progress = partial(self._listener, Heartbeat(record.id, stage.working))
            try:
                await self._turn(VideoJob.of(record, service.stuck_seconds, on_progress), stage, pause)
            finally:
                self._listener(Left(record.id, stage.working))
            self.changed.set()
            # One that is to be worked on alone has waited for the others, or they for it.
            self.wake()

    async def _idle(self, waiting: Status, seen: int) -> int:
        """Wait for a wake-up, for another process to write to the database, or for a video's next try."""
        while True:
            if await is_set_within(self._wakes[waiting], self._config.service.poll_seconds):
                return seen
            version = await self._store.data_version()
            if version != seen or await self._store.queue.any_due(waiting):
                return version

    async def _turn(self, job: VideoJob, stage: Stage, pause: StagePause) -> None:
        """One video's turn, after which nobody holds it; also when it is cancelled while an error is dealt with."""
        scorer = self._batcher.scorer
        try:
            try:
                await stage.run(job)
            except Exception as error:
                _raise_if_cancelled()
                await self._after_error(job, stage, pause, error)
                if isinstance(error, ScorerError) and error.kind is Kind.DEVICE and stage is self._scoring:
                    await while_loading(self._batcher.replace_lost(scorer, error), job.on_progress)
            else:
                pause.went_well()
        except asyncio.CancelledError:
            await asyncio.shield(self._store.queue.release(job.record.id, stage.waiting))
            raise

    async def _after_error(self, job: VideoJob, stage: Stage, pause: StagePause, error: Exception) -> None:
        """One bad file never stops the others; only a broken store, or a scorer that hangs, ends the loop."""
        failure = as_failure(error)
        if failure is not error and not isinstance(error, MemoryError):
            job.log.error("video.crashed", exc_info=error)
        if failure.kind in (Kind.WORKER_LOST, Kind.WORKER_CRASHED):
            # What it got on before that has reset the counters.
            record = await pause.retry_until_possible(lambda: self._store.videos.get(job.record.id), job.on_progress)
            job = replace(job, record=record)
        foreground = self._among is not None
        if not foreground:
            failure = await record_failure.root_cause(job, failure, self._config)
        decision = decide(
            failure,
            job.record,
            self._config.service,
            foreground=foreground,
            worker_retries=self._config.cluster.max_retries,
        )
        await self._carry_out(decision, job, stage, pause, failure)

    async def _carry_out(
        self, decision: Decision, job: VideoJob, stage: Stage, pause: StagePause, error: StillwatchError
    ) -> None:
        store, record = self._store, job.record
        match decision:
            case Pause(delay):
                await pause.retry_until_possible(
                    lambda: store.queue.postpone(
                        record.id, stage.waiting, error, delay, attempt_counts=False, retry_counts=False
                    ),
                    job.on_progress,
                )
                await pause.wait(error, job.on_progress)
            case Exit(release):
                if release:
                    await store.queue.release(record.id, stage.waiting)
                raise error
            case Retry():
                await pause.retry_until_possible(
                    lambda: record_failure.postpone(store, job, stage.waiting, error, decision), job.on_progress
                )
            case Fail():
                await pause.retry_until_possible(
                    lambda: record_failure.fail(store, job, error, decision, self._listener), job.on_progress
                )
                if await pause.retry_until_possible(lambda: record_failure.requeue_copy(store, job), job.on_progress):
                    self.wake()
        if isinstance(decision, Retry | Fail) and decision.then_exit:
            raise error

    async def _score(self, job: VideoJob) -> None:
        if await self._scorer.score(job, self._scanning.scanner):
            self._wakes[Status.SCORED].set()
        else:
            await self._store.queue.release(job.record.id, Status.QUEUED)
        self._batcher.went_well()

    async def _export(self, job: VideoJob) -> None:
        record, watch = job.record, self._config.watch
        # A file that was named by hand lies elsewhere and is its owner's business.
        dispose = self._dispose and watch.after != "keep" and record.file.path.is_relative_to(watch.path)
        after = watch.after if dispose else None
        result = await self._exporter.export(job, after, config=for_film(self._config, record.file.path))
        if isinstance(result, Exported):
            self._listener(Ended(await self._store.videos.get(record.id), result.stills))
        else:
            self._wakes[Status.QUEUED].set()


def _raise_if_cancelled() -> None:
    """What is raised while a cancellation winds up is no failure of the video."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@asynccontextmanager
async def running_workers(
    config: Config,
    store: Store,
    listener: Listener,
    among: Collection[int] | None = None,
    *,
    dispose: bool = False,
    elsewhere: Elsewhere | None = None,
) -> AsyncIterator[Workers]:
    """Workers with a scorer and an FFmpeg that were found to work. Raises StillwatchError if not.

    With ``dispose`` sources are due for what ``watch.after`` says. Films are scored ``elsewhere`` if that is given.
    """
    capabilities = await ffmpeg_process.probe_binary(ffmpeg_process.find_binary(config.export.ffmpeg))
    batcher = await _loaded(config)
    exporter = VideoExporter(config, store, capabilities)
    try:
        garbage.loaded()
        scorer = batcher.scorer
        log.info("scorer.ready", scorer=scorer.identity, device=scorer.device, ffmpeg=capabilities.version)
        local = LocalScanner(config.decode, config.watch, batcher, strip=True)
        here = nullcontext(Scanning(local, config.decode.concurrency))
        async with here if elsewhere is None else elsewhere(local, batcher) as scanning:
            yield Workers(config, store, batcher, scanning, exporter, listener, among, dispose=dispose)
    finally:
        # At once: each may take its whole time, and a stop has not got it twice.
        await asyncio.gather(exporter.close(), batcher.close(), end_cells())


async def _loaded(config: Config) -> Batcher:
    """The scorer, beside which the processes that open and decode films load the same libraries."""
    # Whoever waits in a terminal is told as well.
    with watched(lambda: log.warning("code.compiling")) as compiling:
        warming = asyncio.create_task(warm(config.decode), name="warm")
        try:
            batcher = await Batcher.open(lambda: _open_scorer(config), "score")
        except BaseException:
            await end_cells()
            await asyncio.gather(warming, return_exceptions=True)
            raise
        try:
            await warming
        except BaseException:
            await asyncio.gather(batcher.close(), end_cells())
            raise
    if compiling.since is not None:
        log.info("code.compiled", seconds=round(compiling.seconds, 1))
    return batcher


def _open_scorer(config: Config) -> Scorer:
    """The first metric's scorer, once the second metric, if there is one here, is known to be one."""
    if second := second_metric(config.score.refine.metric):
        check(second)
    return open_scorer(config.score)
