"""Scans films on the workers of a cluster: what ``scan.local`` is for this process.

A film has one worker at a time, or several where it is long (``split``). A worker that is lost is an error of the film,
which the pipeline puts back into the queue; its next turn begins with the hashes of the rows that are stored, so that
nothing is scored twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from daemon.cluster.messages import ClusterAwayError, FilmAsked, WorkerLostError, mapped
from daemon.cluster.pace import Paces
from daemon.cluster.pool import Lent, NoMachineError, Pool
from daemon.cluster.room import Room
from daemon.cluster.split import Split
from daemon.cluster.worker import packed
from daemon.config.cluster import ClusterConfig
from daemon.decode.spans import Begun, Cut, Span, WholeFilmError
from daemon.errors import Kind, ScorerError, VideoError
from daemon.inbox.identity import check_unchanged, require_unchanged
from daemon.job import VideoJob
from daemon.logs.setup import get
from daemon.model import FileIdentity, VideoInfo
from daemon.runtime.retry import nothing
from daemon.runtime.stall import run_in_abandonable_thread, with_stall_timeout
from daemon.runtime.tasks import cancel, is_set_within
from daemon.scan.protocol import Findings, OpenFilm, Rows, Scanner, ScanStoppedError, ScorerFacts

log = get(__name__)

_OF_THE_FILE = (Kind.MISSING, Kind.UNREADABLE, Kind.CHANGED, Kind.NOT_A_FILE, Kind.OUTSIDE_FOLDER)
"""What a worker may say of a file only because it sees another folder."""


class ClusterScanner:
    """A ``Scanner`` that lends a worker to each film; while the cluster is gone films wait, or are scanned ``here``."""

    def __init__(
        self, config: ClusterConfig, pool: Pool, scorer: ScorerFacts, here: Scanner, films_here: int, pause: float
    ) -> None:
        self._config = config
        self._pool = pool
        self._scorer = scorer
        self._here = here
        self._places_here = asyncio.Semaphore(films_here)
        self._pause_seconds = pause
        self._stop = asyncio.Event()
        self._told: set[asyncio.Task[Any]] = set()
        self._scored_here = False
        self.paces = Paces(pool)
        self.room = Room(config.videos)

    def stop(self) -> None:
        """Have every worker finish its batch."""
        self._stop.set()
        self._here.stop()
        for worker in self._pool.lent:
            task = asyncio.create_task(self._stopped(worker))
            self._told.add(task)
            task.add_done_callback(self._told.discard)

    @asynccontextmanager
    async def opened(self, job: VideoJob) -> AsyncIterator[OpenFilm]:
        """The film on a worker that sees it as it is seen here."""
        with self.room.waiting():
            film = await self._opened(job)
        if film is None:
            async with self._places_here, self._here.opened(job) as local:
                yield local
            return
        with self.room.film():
            try:
                yield film
            except BaseException:
                await film.give_back()
                raise
            await film.let_go(sound=film.sound)

    @property
    def stopping(self) -> bool:
        """Whether workers are told to stop: what they do then is not waited for."""
        return self._stop.is_set()

    async def another(self, job: VideoJob) -> RemoteFilm | None:
        """The film on one more worker; None where the cluster has none to give."""
        while not self._stop.is_set():
            try:
                worker = await self._pool.lease(nothing)
            except (ClusterAwayError, WorkerLostError):
                # The film's own worker shows what that means for the film.
                return None
            film = RemoteFilm(self, self._pool, worker, job, self._scorer, self._config)
            if await film.open():
                return film
        return None

    async def _opened(self, job: VideoJob) -> RemoteFilm | None:
        """None when the cluster is gone and films are scored here then."""
        while True:
            if self._stop.is_set():
                raise ScanStoppedError
            try:
                film = RemoteFilm(self, self._pool, await self._lease(job), job, self._scorer, self._config)
            except ClusterAwayError as away:
                if self._scores_here():
                    return None
                await self._wait(away, job)
                continue
            except WorkerLostError as lost:
                raise lost_error("a worker of the cluster", lost) from lost
            self._scored_here = False
            if await film.open():
                return film

    async def _lease(self, job: VideoJob) -> Lent:
        """A worker, unless a stop is asked for first."""
        self.paces.wait(job.record.id)
        leasing = asyncio.create_task(self._pool.lease(job.on_progress))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([leasing, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not leasing.done():
                raise ScanStoppedError
            return leasing.result()
        finally:
            self.paces.wait_no_more(job.record.id)
            # A worker that is just being started is ended before anything else is.
            await cancel([leasing, stopping])

    def _scores_here(self) -> bool:
        if self._config.if_gone != "here" or self._pool.away_seconds < self._config.gone_seconds:
            return False
        if not self._scored_here:
            log.warning("cluster.scored_here", error=self._pool.away)
        self._scored_here = True
        return True

    async def _wait(self, away: ClusterAwayError, job: VideoJob) -> None:
        """Give it time to come back. Raises VideoError(AWAY) once it counts as gone, or when no machine is left."""
        job.on_progress()
        hopeless = isinstance(away, NoMachineError) and self._config.if_gone == "wait"
        if hopeless or self._pool.away_seconds >= self._config.gone_seconds:
            raise VideoError(
                Kind.AWAY, f"the cluster at {self._config.address} cannot be used: {away}; look at `ray status` there"
            ) from away
        await is_set_within(self._stop, min(self._pause_seconds, self._config.gone_seconds))

    async def _stopped(self, worker: Lent) -> None:
        # One that is gone does nothing more.
        with suppress(ClusterAwayError, WorkerLostError):
            await worker.link.ask(worker.id, "stop")


class RemoteFilm:
    """An ``OpenFilm`` on a worker. ``sound``: the worker may have the next one."""

    def __init__(
        self,
        scanner: ClusterScanner,
        pool: Pool,
        worker: Lent,
        job: VideoJob,
        scorer: ScorerFacts,
        config: ClusterConfig,
    ) -> None:
        self._scanner = scanner
        self._paces = scanner.paces
        self._pool = pool
        self._worker = worker
        self._job = job
        self._scorer = scorer
        self._config = config
        self.sound = True

    @property
    def scorer(self) -> ScorerFacts:
        """The one here, which is that of every worker."""
        return self._scorer

    async def open(self) -> bool:
        """Hold the file there; False when this worker's machine does not see it as this one does."""
        record = self._job.record
        asked = FilmAsked(
            record.id,
            replace(record.file, path=mapped(record.file.path, self._config.path_map)),
            record.damaged,
            self._job.stall_seconds,
        )
        self._paces.take(self._worker, record.id, str(record.file.path))
        try:
            await self._answer("open", asked)
        except VideoError as error:
            sound_here = error.kind in _OF_THE_FILE and await self._is_sound_here()
            await self.let_go(sound=self.sound and not sound_here)
            if not sound_here:
                raise
            self._pool.refuse(
                self._worker.node,
                self._worker.name,
                f"it does not see {asked.file.path} as it is here ({error.sentence}): mount the folder there, or set"
                " cluster.path_map",
            )
            return False
        except BaseException:
            await self.let_go(sound=False)
            raise
        self._job.log.info("cluster.film_taken", worker=self._worker.name)
        return True

    async def content(self) -> FileIdentity:
        """By every byte, read there."""
        file: FileIdentity = await self._answer("content")
        # Its numbers of inodes may be others.
        return replace(file, path=self._job.record.file.path, inode=None)

    async def probe(self) -> VideoInfo:
        """Opened there."""
        info: VideoInfo = await self._answer("probe")
        return replace(info, path=self._job.record.file.path)

    async def require_unchanged(self) -> None:
        """Seen from there and from here: each may have kept what it saw before."""
        await self.unchanged_there()
        await require_unchanged(self._job.record.file, self._job.stall_seconds)

    async def scan(
        self, info: VideoInfo, known: Sequence[str], *, single_thread: bool
    ) -> AsyncGenerator[Rows | Findings, None]:
        """One pass over the film, here or, where it is long, in spans on several workers."""
        hashes = packed(list(known))
        if not single_thread and self._is_long(info):
            split: Split | None = None
            try:
                if (cut := await self._answer("cut", info, self._config.span_seconds)) is None:
                    # A stop was asked for.
                    return
                split = self._split(info, cut, hashes)
                async with aclosing(split.items()) as items:
                    async for item in items:
                        yield item
                return
            except WholeFilmError as whole:
                self._job.log.info("cluster.scored_whole", reason=str(whole))
            if split is not None:
                hashes = split.known
        async with aclosing(self._counted("scan", info, hashes, single_thread)) as items:
            async for item in items:
                yield item

    def _is_long(self, info: VideoInfo) -> bool:
        seconds = self._config.span_seconds
        return 0 < 2 * seconds <= (info.duration_s or 0.0) and self._config.videos > 1

    def _split(self, info: VideoInfo, cut: Cut, known: bytes) -> Split:
        job, scanner = self._job, self._scanner
        job.log.info("cluster.in_spans", spans=len(cut.spans), frames_total=cut.spans[-1].end)
        return Split(self, lambda: scanner.another(job), scanner.room, job, info, cut, known, self._config.max_retries)

    def scan_span(self, info: VideoInfo, span: Span, known: bytes) -> AsyncGenerator[Begun | Rows | Findings, None]:
        """One span of the film."""
        return self._counted("scan_span", info, span, known)

    async def unchanged_there(self) -> None:
        """By its name on the worker's machine."""
        await self._answer("unchanged")

    async def give_back(self) -> None:
        """In the middle, or after an error: a worker that is told to stop is ended."""
        await self.let_go(sound=self.sound and not self._scanner.stopping)

    async def let_go(self, *, sound: bool) -> None:
        """Give the worker back, or end it."""
        frames, fps = self._paces.leave(self._worker)
        if sound:
            # One that is gone by now, or hangs, is ended.
            with suppress(ClusterAwayError, WorkerLostError, TimeoutError):
                async with asyncio.timeout(self._worker.stall_seconds):
                    memory_bytes = await self._worker.link.ask(self._worker.id, "close")
                self._worker.memory_bytes = memory_bytes
                self._job.log.info(
                    "cluster.film_left",
                    worker=self._worker.name,
                    frames=frames,
                    fps=round(fps, 2),
                    memory_bytes=memory_bytes,
                )
                await self._pool.give_back(self._worker)
                return
        await self._pool.end(self._worker)

    async def _answer(self, method: str, *arguments: Any) -> Any:
        answer = None
        async with aclosing(self._items(method, *arguments)) as items:
            async for item in items:
                answer = answer if item is None else item
        return answer

    async def _counted(self, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        """What a scan gives, its rows counted; signs of life are left out."""
        async with aclosing(self._items(method, *arguments)) as items:
            async for item in items:
                if isinstance(item, Rows):
                    self._paces.count(self._worker, len(item.scored))
                if item is not None:
                    yield item

    async def _items(self, method: str, *arguments: Any) -> AsyncGenerator[Any, None]:
        """What the worker gives; whatever goes wrong there is an error of the film, or of the worker by name."""
        try:
            async with aclosing(self._worker.items(method, *arguments)) as items:
                async for item in items:
                    self._job.on_progress()
                    yield item
        except WorkerLostError as lost:
            self.sound = False
            raise lost_error(f"the worker on {self._worker.name}", lost) from lost
        except ClusterAwayError as away:
            self.sound = False
            self._pool.lost(self._worker.link, str(away))
            raise VideoError(
                Kind.WORKER_LOST, f"the cluster at {self._config.address} was lost: {away}; the film goes on later"
            ) from away
        except ScorerError as error:
            if error.kind not in (Kind.DEVICE, Kind.STUCK):
                raise
            # A new worker gets a scorer that works, as a new process does here.
            self.sound = False
            raise VideoError(Kind.WORKER_CRASHED, f"the worker on {self._worker.name}: {error.sentence}") from error
        except VideoError as error:
            if error.kind is not Kind.STUCK:
                raise
            self.sound = False
            if not (reason := await self._why_unread()):
                raise
            # It is the machine that hangs, and not the film.
            unread = f"it cannot read {mapped(self._job.record.file.path, self._config.path_map)} any more ({reason})"
            self._pool.refuse(self._worker.node, self._worker.name, f"{unread}: look at its mount")
            raise lost_error(f"the worker on {self._worker.name}", WorkerLostError(unread)) from error

    async def _why_unread(self) -> str:
        """Why the worker's machine does not give the film any more; empty when it does."""
        try:
            reason: str = await self._worker.answer(self._job.on_progress, "look")
        except (WorkerLostError, ClusterAwayError, VideoError):
            return ""
        return reason

    async def _is_sound_here(self) -> bool:
        file, seconds = self._job.record.file, self._job.stall_seconds
        try:
            looking = run_in_abandonable_thread(lambda: check_unchanged(file), "look")
            await with_stall_timeout(looking, seconds, "looking at the file")
        except VideoError:
            return False
        return True


def lost_error(what: str, lost: WorkerLostError) -> VideoError:
    """The error of a film whose worker is gone."""
    if lost.crashed:
        return VideoError(Kind.WORKER_CRASHED, f"{what} ended in the middle of the film: {lost}")
    return VideoError(Kind.WORKER_LOST, f"{what} was lost: {lost}; the film goes on from its last stored frame")
