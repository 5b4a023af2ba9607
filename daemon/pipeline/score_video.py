"""One video's way through the stages, the first half: decode, score, store. ``export_video`` is the other half."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing

from daemon.config.schema import Config
from daemon.decode.damage import DamageError
from daemon.decode.stretches import best_size
from daemon.errors import Kind, VideoError
from daemon.events import FramesScored, Listener, Progress
from daemon.inbox.enqueue import enter
from daemon.inbox.identity import require_readable, same_content
from daemon.job import VideoJob
from daemon.media.rules import scored_by
from daemon.model import VideoInfo
from daemon.pipeline.film_budget import FilmBudget
from daemon.pipeline.strip import keep_pictures
from daemon.scan.protocol import Findings, OpenFilm, Rows, Scanner, ScanStoppedError
from daemon.store.store import Store

GIVES_BACK = (Kind.TOO_LARGE, Kind.NO_ROOM)
"""Ends of a film that took more than it may."""
CATCH_UP_PARTS = 10
"""A film that is caught up with by this share of its stored frames more than ever before has made progress."""


class VideoScorer:
    """Scores videos from the queue, several at once, by the scanner that each is given."""

    def __init__(
        self,
        config: Config,
        store: Store,
        listener: Listener,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._store = store
        self._listener = listener
        self._monotonic = monotonic
        self._suspects: dict[int, int] = {}
        """Films whose work has ended the process before, and how many frames of catching up count as progress."""

    def reconfigure(self, config: Config) -> None:
        """Go on with these settings."""
        self._config = config

    async def score(self, job: VideoJob, scanner: Scanner) -> bool:
        """Decode, score and store every frame; False when the scanner was stopped before the end.

        Frames that are stored already with the same hash are not scored again. Raises VideoError, ScorerError.
        """
        try:
            async with scanner.opened(job) as film:
                return await self._score(job, film)
        except ScanStoppedError:
            return False
        except VideoError as error:
            if error.kind in GIVES_BACK:
                await self._give_back(job)
            if error.kind.rejects:
                # A refusal is final: a disk or share that fails in the middle must not look like a bad file.
                await require_readable(job.record.file, job.stall_seconds)
            raise

    async def _score(self, job: VideoJob, film: OpenFilm) -> bool:
        record, scorer = job.record, film.scorer
        await self._read_whole(job, film)
        info = await film.probe()
        identity = scored_by(scorer.identity, info.rules, deinterlace=info.deinterlace)
        known = await self._store.frames.begin_scoring(record.id, info, scorer.metric, scorer.lower_better, identity)
        job.log.info(
            "video.started",
            codec=info.codec,
            width=info.width,
            height=info.height,
            pix_fmt=info.pix_fmt,
            frames_total=info.frames_estimate,
            frames_stored=len(known),
            scorer=identity,
        )
        if info.rivals:
            job.log.info("video.stream_chosen", stream=info.stream_index, reason=info.stream_reason)
        if info.colours_lost:
            job.log.warning("video.colours_lost", reason=info.colours_lost)
        if record.attempts > 1 or record.error_kind == Kind.WORKER_LOST:
            self._suspects[record.id] = max(len(known) // CATCH_UP_PARTS, 1)
        try:
            found = await self._pass(job, film, info, known, single_thread=record.damaged)
        except DamageError as damage:
            reason = str(damage)
        else:
            reason = ""
        # Behind the block: what has failed is kept no longer than that, and its decoder with it.
        if reason:
            job.log.warning("video.damaged", reason=reason, action="decoding again with one thread")
            await self._store.flush()
            known = await self._store.frames.hashes(record.id)
            found = await self._pass(job, film, info, known, single_thread=True)
        if found is None:
            await self._store.flush()
            return False
        await film.require_unchanged()
        if found.frames == 0:
            raise VideoError(Kind.NO_FRAMES, "the video stream holds no frame that can be decoded")
        # Damage that only the export has shown leaves no sign in a decode with one thread.
        damaged = found.damaged or record.damaged
        seen, small = best_size(info, found.stretches, found.frames)
        scored = await self._store.frames.end_scoring(
            record.id,
            frames_decoded=found.frames,
            damaged=damaged,
            mixed=found.mixed,
            damage=found.damage or ("decoders do not agree about its pictures" if damaged else None),
            reserve=[
                *((first, last, "small") for first, last in small),
                *((first, last, "damaged") for first, last in found.damaged_spans),
            ],
            info=seen if seen.stretches else None,
            packets=found.packets,
            packet_index=found.index,
        )
        job.log.info(
            "video.scored",
            frames=found.frames,
            scored=scored,
            damaged=damaged,
            unread_bytes=found.unread_bytes,
            unread_s=round(found.unread_s, 3),
            lost_packets=found.lost_packets,
            frameless_packets=found.frameless_packets,
            corrupt_frames=found.corrupt_frames,
            damaged_frames=found.damaged_frames,
        )
        return True

    async def _give_back(self, job: VideoJob) -> None:
        """The room that a film took which may not have it is there for the others."""
        await self._store.flush()
        if frames := await self._store.room.give_back(job.record.id):
            job.log.warning("video.given_back", frames=frames)

    async def _read_whole(self, job: VideoJob, film: OpenFilm) -> None:
        """Note what the content is, by every byte of it.

        Raises VideoError(CHANGED) when it is not what was admitted; what is there now is queued in its own right.
        """
        record = job.record
        now = await film.content()
        if record.file.digest is None and now.digest is not None and now.fingerprint == record.file.fingerprint:
            await self._store.videos.keep_digest(record.id, now.digest)
        elif not same_content(record.file, now):
            await enter(self._store, now, copies=True)
            raise VideoError(Kind.CHANGED, "the file holds other content than when it was taken: that is taken now")

    async def _pass(
        self, job: VideoJob, film: OpenFilm, info: VideoInfo, known: list[str], *, single_thread: bool
    ) -> Findings | None:
        """One pass over the film, each row stored; None when stopped. Raises DamageError, VideoError, ScorerError."""
        meter = _Meter(self._config.log.progress_seconds, self._monotonic)
        budget = FilmBudget(self._config, self._store.room, self._monotonic)
        async with aclosing(film.scan(info, known, single_thread=single_thread)) as found:
            async for part in found:
                if isinstance(part, Findings):
                    for layout in part.unlike_chain:
                        reason = f"{layout}: FFmpeg's filters convert it, which takes longer"
                        job.log.warning("video.conversion_differs", reason=reason)
                    if part.without_device is not None:
                        job.log.warning("decode.fallback", to="software", reason=part.without_device)
                    return part
                await budget.require(part.end)
                await self._keep(job, part)
                progress = Progress(
                    video_id=job.record.id,
                    video=str(job.record.file.path),
                    frame=part.first,
                    frames_total=info.frames_estimate,
                    fps=meter.fps(part.end - part.first),
                    queue_bytes=part.queue_bytes,
                    batch=part.batch,
                )
                self._listener(progress)
                if meter.due():
                    _log_progress(job, progress)
        return None

    async def _keep(self, job: VideoJob, rows: Rows) -> None:
        """Write the rows that are new."""
        video_id = job.record.id
        await self._store.frames.add(video_id, rows.scored)
        await keep_pictures(self._store, video_id, rows.pictures)
        if rows.scored and self._suspects.pop(video_id, 0):
            # Progress since the last attempt: what ended that was not this video.
            await self._store.queue.reset_attempts(video_id)
        elif part := self._suspects.get(video_id):
            before, now = rows.first // part, rows.end // part
            if now > before:
                await self._store.queue.caught_up(video_id, now * part)
        self._listener(FramesScored(len(rows.scored)))


def _log_progress(job: VideoJob, progress: Progress) -> None:
    eta = progress.eta_s
    job.log.info(
        "video.progress",
        frame=progress.frame,
        frames_total=progress.frames_total,
        fps=round(progress.fps, 2),
        eta_s=None if eta is None else round(eta, 1),
        queue_bytes=progress.queue_bytes,
        batch=progress.batch,
    )


class _Meter:
    """Frames per second over the last half minute or so, and when to speak next."""

    def __init__(self, every_seconds: float, monotonic: Callable[[], float]) -> None:
        self._every = every_seconds
        self._monotonic = monotonic
        self._start = self._spoken = monotonic()
        self._frames = 0

    def fps(self, frames: int) -> float:
        self._frames += frames
        elapsed = self._monotonic() - self._start
        rate = self._frames / elapsed if elapsed > 0 else 0.0
        if elapsed > 30.0:
            self._start += elapsed / 2
            self._frames //= 2
        return rate

    def due(self) -> bool:
        now = self._monotonic()
        if now - self._spoken < self._every:
            return False
        self._spoken = now
        return True
