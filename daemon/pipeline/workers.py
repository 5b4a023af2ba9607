"""The two loops that take videos from the queue, and what becomes of a video when something goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

from daemon.analysis import measure
from daemon.config.schema import Config
from daemon.errors import Kind, ScorerError, StillwatchError, StoreError, VideoError
from daemon.events import Ended, Heartbeat, Left, Listener, Taken
from daemon.export import ffmpeg_process
from daemon.export.ffmpeg_arguments import Capabilities
from daemon.inbox.identity import is_unchanged
from daemon.logs.setup import get
from daemon.model import Status, VideoRecord
from daemon.pipeline.export_video import Finalizer
from daemon.pipeline.score_video import Pipeline, status_after
from daemon.runtime import folders
from daemon.runtime.retry import StagePause, is_global, nothing, retry_delay_seconds
from daemon.runtime.stall import run_in_abandonable_thread, with_stall_timeout
from daemon.scoring.batcher import Batcher
from daemon.scoring.open import check, open_scorer
from daemon.scoring.protocol import Scorer
from daemon.store.queue import LONGEST_RETRY_SECONDS
from daemon.store.store import Store

log = get(__name__)

CLOSE_SECONDS = 3.0
HURRY_SECONDS = 0.5
DEVICE_LOSSES = 3
"""So many losses without a video in between, and the process ends: a new one may find the device."""

Work = Callable[[VideoRecord], Awaitable[None]]


class Workers:
    """The two loops that take videos from the queue: one scores, one selects and exports.

    They run side by side, so the next video is scored while the last one is exported.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        batcher: Batcher,
        capabilities: Capabilities,
        listener: Listener,
        among: Collection[int] | None = None,
        *,
        after: bool = False,
    ) -> None:
        self.config = config
        self._acts_after = after
        self._store = store
        self.batcher = batcher
        self._capabilities = capabilities
        self._among = among
        self._listener = listener
        self._pipeline = Pipeline(config, store, listener)
        self._finalizer = Finalizer(config, store, listener)
        self._stop = asyncio.Event()
        self._losses = 0
        self._replacing = asyncio.Lock()
        self._wakes = {Status.QUEUED: asyncio.Event(), Status.SCORED: asyncio.Event()}
        self.changed = asyncio.Event()

    def wake(self) -> None:
        """Something was queued."""
        self._wakes[Status.QUEUED].set()

    def stop(self) -> None:
        """Take nothing new; the scoring loop ends after its batch, the export after its video."""
        self._stop.set()
        self._pipeline.stop()
        for wake in self._wakes.values():
            wake.set()

    async def set_busy_timeout(self) -> None:
        """While stopping: whoever else holds the database does not hold up the stop."""
        await self._store.set_busy_timeout(HURRY_SECONDS)

    def reconfigure(self, config: Config) -> None:
        """Go on with these settings, the export with its next video."""
        self.config = config
        self._pipeline.reconfigure(config)
        self._finalizer = Finalizer(config, self._store, self._listener)

    def start(self) -> list[asyncio.Task[None]]:
        """The loops as tasks: ``decode.concurrency`` that score, one that selects and exports."""
        scoring = [
            self._loop(Status.QUEUED, Status.SCORING, self._score) for _ in range(self.config.decode.concurrency)
        ]
        finishing = self._loop(Status.SCORED, Status.EXPORTING, self._finish)
        tasks = [asyncio.create_task(loop, name="score") for loop in scoring]
        return [*tasks, asyncio.create_task(finishing, name="finish")]

    async def _loop(self, waiting: Status, working: Status, work: Work) -> None:
        forever = self._among is None
        pause = StagePause(working.value, self._stop, self.config.service.pause_seconds, forever=forever)
        seen = -1
        while not self._stop.is_set():
            self._wakes[waiting].clear()
            record = await pause.through(lambda: self._store.claim(waiting, working, self._among))
            if record is None:
                seen = await self._idle(waiting, seen)
                continue
            self._listener(Taken(record.id, str(record.file.path), working))
            pause.on_wait = partial(self._listener, Heartbeat(record.id, working))
            try:
                await self._one(record, waiting, work, pause)
            finally:
                pause.on_wait = nothing
                self._listener(Left(record.id, working))
            self.changed.set()

    async def _idle(self, waiting: Status, seen: int) -> int:
        """Wait for a wake-up, for another process to write to the database, or for a video's next try."""
        while True:
            try:
                async with asyncio.timeout(self.config.service.poll_seconds):
                    await self._wakes[waiting].wait()
                return seen
            except TimeoutError:
                version = await self._store.data_version()
                if version != seen or await self._store.any_due(waiting):
                    return version

    async def _one(self, record: VideoRecord, waiting: Status, work: Work, pause: StagePause) -> None:
        """One video's turn, after which nobody holds it; also when it is cancelled while an error is dealt with."""
        try:
            await self._attempt(record, waiting, work, pause)
        except asyncio.CancelledError:
            await asyncio.shield(self._store.release(record.id, waiting))
            raise

    async def _attempt(self, record: VideoRecord, waiting: Status, work: Work, pause: StagePause) -> None:
        """One bad file never stops the others; only a broken store, or a device that stays lost, ends the loop."""
        scorer = self.batcher.scorer
        try:
            await work(record)
        except StillwatchError as error:
            await self._release_if_cancelled(record, waiting)
            failure = await self._of_the_folder(record, error)
            if is_global(failure):
                await self._pause(record, waiting, failure, pause)
                return
            if isinstance(error, StoreError):
                raise
            await pause.through(lambda: self._after(record, waiting, failure))
            await pause.through(lambda: self._pass_on(record))
            if isinstance(error, ScorerError) and waiting is Status.QUEUED:
                await self._scorer_failed(scorer, error)
        except MemoryError as error:
            await self._release_if_cancelled(record, waiting)
            short = VideoError(Kind.OUT_OF_MEMORY, f"memory ran out ({error}): free some, or lower decode.queue_bytes")
            short.__cause__ = error
            await pause.through(lambda: self._after(record, waiting, short))
        except Exception as error:
            await self._release_if_cancelled(record, waiting)
            log.exception("video.crashed", video=str(record.file.path), video_id=record.id)
            reason = f"an unexpected {type(error).__name__}: {error}; please report it with the log"
            failure = VideoError(Kind.INTERNAL, reason)
            failure.__cause__ = error
            await pause.through(lambda: self._ended(record, failure))
        else:
            if waiting is Status.QUEUED:
                self._losses = 0
            pause.went_well()

    async def _of_the_folder(self, record: VideoRecord, error: StillwatchError) -> StillwatchError:
        """The same error, or that a whole folder is away, which would meet every video."""
        watch, output = self.config.watch.path, self.config.output.path
        if self._among is not None:
            return error
        if error.kind is Kind.EXPORT:
            looking = run_in_abandonable_thread(lambda: folders.require_written(output), "look")
        elif error.kind is Kind.UNREADABLE and record.file.path.is_relative_to(watch):
            looking = run_in_abandonable_thread(lambda: folders.require_listed(watch), "look")
        else:
            return error
        try:
            await with_stall_timeout(looking, self.config.service.stuck_seconds, "looking at the folder")
        except StillwatchError as away:
            away.__cause__ = error
            return away
        return error

    async def _release_if_cancelled(self, record: VideoRecord, waiting: Status) -> None:
        """What is raised while a cancellation winds up is no failure of the video."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            await asyncio.shield(self._store.release(record.id, waiting))
            raise asyncio.CancelledError

    async def _pause(self, record: VideoRecord, waiting: Status, error: StillwatchError, pause: StagePause) -> None:
        """Wait for room or for the database; a video that needs more room than others lets them go first."""
        if self._among is not None:
            await self._store.release(record.id, waiting)
            raise error
        delay = 2 * self.config.service.pause_seconds
        await pause.through(
            lambda: self._store.postpone(record.id, waiting, error, delay, attempt_counts=False, retry_counts=False)
        )
        await pause.wait(error)

    async def _after(self, record: VideoRecord, waiting: Status, error: StillwatchError) -> None:
        """Try again later what may pass by itself, as often as the settings allow; everything else has ended."""
        service = self.config.service
        costs_an_attempt = error.kind in (Kind.DEVICE, Kind.STUCK)
        if costs_an_attempt:
            again = record.attempts < service.max_attempts
        else:
            again = error.kind.retryable and record.retries < service.max_retries
        if not again:
            await self._ended(record, error)
            return
        delay = retry_delay_seconds(record.retries, service.retry_seconds, LONGEST_RETRY_SECONDS)
        await self._store.postpone(record.id, waiting, error, delay, attempt_counts=costs_an_attempt)
        log.warning(
            "video.postponed",
            video=str(record.file.path),
            video_id=record.id,
            error_kind=error.kind.value,
            error=error.sentence,
            retry=record.retries + 1,
            again_in_s=delay,
        )

    async def _scorer_failed(self, scorer: Scorer, error: ScorerError) -> None:
        """Build a scorer that lost its device anew; raise what only another process can mend."""
        if error.kind is Kind.STUCK:
            raise error
        if error.kind is not Kind.DEVICE:
            return
        async with self._replacing:
            if self.batcher.scorer is not scorer:
                return
            self._losses += 1
            log.error("scorer.lost", device=scorer.device, losses=self._losses, error=error.sentence)
            if self._losses >= DEVICE_LOSSES:
                raise error
            await self.batcher.replace(scorer)

    async def _ended(self, record: VideoRecord, error: StillwatchError) -> None:
        status = status_after(error)
        await self._store.fail(record.id, status, error)
        log.warning(
            "video.rejected" if status is Status.REJECTED else "video.failed",
            video=str(record.file.path),
            video_id=record.id,
            error_kind=error.kind.value,
            error=error.sentence,
            # A refusal is an answer; a failure keeps its traceback.
            exc_info=(error.__cause__ or False) if status is Status.FAILED else False,
        )
        self._listener(Ended(await self._store.video(record.id)))

    async def _pass_on(self, record: VideoRecord) -> None:
        """A copy that was noted as a duplicate takes the place of a video that is not to be had any more."""
        now = await self._store.video(record.id)
        if now.status is not Status.MISSING or now.file.path != record.file.path:
            # Renamed while it was worked on, it is taken again under its new name.
            return
        for copy in await self._store.same_content(record.file.fingerprint):
            if copy.error_kind == Kind.DUPLICATE and await asyncio.to_thread(is_unchanged, copy.file):
                await self._store.requeue([copy.id])
                log.info(
                    "video.queued",
                    video=str(copy.file.path),
                    video_id=copy.id,
                    size_bytes=copy.file.size_bytes,
                    again=True,
                )
                self.wake()
                return

    async def _score(self, record: VideoRecord) -> None:
        if await self._pipeline.score(record, self.batcher):
            self._wakes[Status.SCORED].set()
        else:
            await self._store.release(record.id, Status.QUEUED)

    async def _finish(self, record: VideoRecord) -> None:
        watch = self.config.watch
        # A file that was named by hand lies elsewhere and is its owner's business.
        acts = self._acts_after and watch.after != "keep" and record.file.path.is_relative_to(watch.path)
        stills = await self._finalizer.finish(record, self._capabilities, watch.after if acts else None)
        if stills is None:
            self._wakes[Status.QUEUED].set()
            return
        self._listener(Ended(await self._store.video(record.id), tuple(stills)))


@asynccontextmanager
async def workers(
    config: Config, store: Store, listener: Listener, among: Collection[int] | None = None, *, after: bool = False
) -> AsyncIterator[Workers]:
    """Workers with a scorer and an FFmpeg that were found to work. Raises StillwatchError if not.

    With ``after`` sources are due for what ``watch.after`` says.
    """
    capabilities = await ffmpeg_process.probe_binary(ffmpeg_process.find_binary(config.export.ffmpeg))
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="score")
    loop = asyncio.get_running_loop()
    try:
        if config.score.refine.metric:
            await loop.run_in_executor(thread, check, config.score.refine.metric)
        scorer = await loop.run_in_executor(thread, open_scorer, config.score)
        await asyncio.to_thread(measure.warm_up)
        batcher = Batcher(scorer, thread, lambda: open_scorer(config.score))
        try:
            log.info("scorer.ready", scorer=scorer.identity, device=scorer.device, ffmpeg=capabilities.version)
            yield Workers(config, store, batcher, capabilities, listener, among, after=after)
        finally:
            closing = loop.run_in_executor(thread, batcher.scorer.close)
            done, _ = await asyncio.wait([closing], timeout=CLOSE_SECONDS)
            if not done:
                log.error("scorer.stuck", device=scorer.device, seconds=CLOSE_SECONDS)
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


async def wind_down(tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    """Let the tasks end by themselves; cancel those that do not."""
    _, late = await asyncio.wait(tasks, timeout=seconds)
    if late:
        log.warning("service.late", tasks=[task.get_name() for task in late], seconds=seconds)
        await cancel(list(late))


async def cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel and wait; errors stay in the tasks."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
