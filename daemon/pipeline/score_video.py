"""One video's way through the stages, the first half: decode, score, store. ``export_video`` is the other half."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace

from daemon.analysis.measure import measure, measure_rows, rows_looked_at
from daemon.config.schema import Config
from daemon.decode.apart import probe_apart
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.gray import GrayWanted
from daemon.decode.stretches import best_size
from daemon.errors import Kind, ScorerError, VideoError
from daemon.events import FramesScored, Listener, Progress
from daemon.inbox.enqueue import enter
from daemon.inbox.held_source import held
from daemon.inbox.identity import content_of, require_readable, require_unchanged, same_content
from daemon.job import VideoJob
from daemon.media import alpha, filters
from daemon.media.rules import scored_by
from daemon.media.scorable import scorable
from daemon.model import Frame, Outcome, Scored, VideoInfo
from daemon.pipeline.film_budget import FilmBudget
from daemon.pipeline.strip import in_strip, keep_pictures
from daemon.runtime.stall import run_in_abandonable_thread, with_stall_timeout
from daemon.runtime.stream import ThreadStream
from daemon.scoring.batcher import Batcher
from daemon.scoring.protocol import Scorer
from daemon.store.store import Store

JOIN_SECONDS = 5.0
GIVES_BACK = (Kind.TOO_LARGE, Kind.NO_ROOM)
"""Ends of a film that took more than it may."""
CATCH_UP_PARTS = 10
"""A film that is caught up with by this share of its stored frames more than ever before has made progress."""
CPU_BATCHES = 2
"""One batch is written while the next is scored."""
GPU_BATCHES = 3
"""And one more, so that its copy overlaps the forward of the one before."""


class VideoScorer:
    """Scores videos from the queue, several at once; ``stop`` ends the scoring early."""

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
        self._streams: set[ThreadStream[Frame]] = set()
        self._suspects: dict[int, int] = {}
        """Films whose work has ended the process before, and how many frames of catching up count as progress."""
        self._stopping = False

    def stop(self) -> None:
        """Finish the batch in flight, commit it, and give the video back."""
        self._stopping = True
        for stream in self._streams:
            stream.stop()

    def reconfigure(self, config: Config) -> None:
        """Go on with these settings."""
        self._config = config

    async def score(self, job: VideoJob, batcher: Batcher) -> bool:
        """Decode, score and store every frame; False when stopped before the end.

        Frames that are stored already with the same hash are not scored again. Raises VideoError, ScorerError.
        """
        try:
            async with held(job, self._config.watch, prove=False) as with_source:
                return await self._score(with_source, batcher)
        except VideoError as error:
            if error.kind in GIVES_BACK:
                await self._give_back(job)
            if error.kind.rejects:
                # A refusal is final: a disk or share that fails in the middle must not look like a bad file.
                await require_readable(job.record.file, job.stall_seconds)
            raise

    async def _score(self, job: VideoJob, batcher: Batcher) -> bool:
        record, scorer = job.record, batcher.scorer
        await self._read_whole(job)
        info = await self._probe(job)
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
        if record.attempts > 1:
            self._suspects[record.id] = max(len(known) // CATCH_UP_PARTS, 1)
        try:
            report = await self._pass(job, info, known, batcher, scorer, single_thread=record.damaged)
        except DamageError as damage:
            reason = str(damage)
        else:
            reason = ""
        # Behind the block: what has failed is kept no longer than that, and its decoder with it.
        if reason:
            job.log.warning("video.damaged", reason=reason, action="decoding again with one thread")
            await self._store.flush()
            known = await self._store.frames.hashes(record.id)
            report = await self._pass(job, info, known, batcher, scorer, single_thread=True)
        if report is None:
            await self._store.flush()
            return False
        await require_unchanged(record.file, job.stall_seconds)
        if report.frames == 0:
            raise VideoError(Kind.NO_FRAMES, "the video stream holds no frame that can be decoded")
        # Damage that only the export has shown leaves no sign in a decode with one thread.
        damaged = report.damaged or record.damaged
        seen, small = best_size(info, report.stretches, report.frames)
        scored = await self._store.frames.end_scoring(
            record.id,
            frames_decoded=report.frames,
            damaged=damaged,
            mixed=report.mixed,
            damage=report.summary() or ("decoders do not agree about its pictures" if damaged else None),
            reserve=[
                *((first, last, "small") for first, last in small),
                *((first, last, "damaged") for first, last in report.damaged_spans),
            ],
            info=seen if seen.stretches else None,
            packets=report.index.packets,
            packet_index=report.index.packed(),
        )
        job.log.info(
            "video.scored",
            frames=report.frames,
            scored=scored,
            damaged=damaged,
            unread_bytes=report.unread_bytes,
            unread_s=round(report.unread_s, 3),
            lost_packets=report.lost_packets,
            frameless_packets=report.frameless_packets,
            corrupt_frames=report.corrupt_frames,
            damaged_frames=report.damaged_frames,
        )
        return True

    async def _give_back(self, job: VideoJob) -> None:
        """The room that a film took which may not have it is there for the others."""
        await self._store.flush()
        if frames := await self._store.room.give_back(job.record.id):
            job.log.warning("video.given_back", frames=frames)

    async def _read_whole(self, job: VideoJob) -> None:
        """Note what the content is, by every byte of it; the decoder then finds them in memory.

        Raises VideoError(CHANGED) when it is not what was admitted; what is there now is queued in its own right.
        """
        record = job.record
        path = record.file.path
        now = replace(await content_of(job.source, job.stall_seconds, job.on_progress, named=path), path=path)
        if record.file.digest is None and now.digest is not None and now.fingerprint == record.file.fingerprint:
            await self._store.videos.keep_digest(record.id, now.digest)
        elif not same_content(record.file, now):
            await enter(self._store, now, copies=True)
            raise VideoError(Kind.CHANGED, "the file holds other content than when it was taken: that is taken now")

    async def _probe(self, job: VideoJob) -> VideoInfo:
        path, stuck_seconds = job.source, job.stall_seconds
        probing = run_in_abandonable_thread(
            lambda: probe_apart(path, self._config.decode, stuck_seconds=stuck_seconds), "probe"
        )
        return await with_stall_timeout(probing, job.stall_seconds, "opening the file")

    async def _pass(
        self,
        job: VideoJob,
        info: VideoInfo,
        known: list[str],
        batcher: Batcher,
        scorer: Scorer,
        *,
        single_thread: bool,
    ) -> DecodeReport | None:
        """One pass over the file; None when stopped. Raises DamageError, VideoError, ScorerError."""
        report = DecodeReport()
        gray = None if scorer.gray_from is None else GrayWanted(scorer.gray_from, rows_looked_at, in_strip)
        frames = decode_frames(
            info,
            self._config.decode,
            report,
            single_thread=single_thread,
            known=known,
            gray=gray,
            compiled=True,
        )
        stream = ThreadStream(
            _measured(frames),
            name=f"decode-{job.record.id}",
            what="the decoder",
            stall_seconds=job.stall_seconds,
            capacity_bytes=self._config.decode.queue_bytes // self._config.decode.concurrency,
            nbytes=lambda frame: frame.nbytes,
        )
        async with stream:
            self._streams.add(stream)
            if self._stopping:
                # Asked for while the file was being opened.
                stream.stop()
            try:
                await self._score_stream(stream, job, info, batcher, scorer)
            finally:
                self._streams.discard(stream)
                if not await stream.join(JOIN_SECONDS):
                    job.log.error("decode.stuck")
        for layout in report.unlike_chain:
            job.log.warning(
                "video.conversion_differs", reason=f"{layout}: FFmpeg's filters convert it, which takes longer"
            )
        return None if self._stopping else report

    async def _score_stream(
        self, stream: ThreadStream[Frame], job: VideoJob, info: VideoInfo, batcher: Batcher, scorer: Scorer
    ) -> None:
        """Score the frames in batches, some of them under way at once, to the end of the stream."""
        meter = _Meter(self._config.log.progress_seconds, self._monotonic)
        budget = FilmBudget(self._config, self._store.room, self._monotonic)
        width, height = filters.picture_size(info)
        itemsize = filters.bits(info, filters.layout_of(info)) // 8
        outstanding: deque[asyncio.Task[None]] = deque()
        depth = CPU_BATCHES if scorer.device == "cpu" else GPU_BATCHES
        try:
            size = batcher.scorer.batch_size(height, width, itemsize)
            # A slow decoder fills its batch in its own time; it hangs when not a single frame comes.
            while batch := await stream.take(size):
                await budget.require(batch[-1].index + 1)
                outstanding.append(asyncio.create_task(self._score_batch(job, info.ground, batch, batcher, scorer)))
                for picture in (frame.picture for frame in batch if frame.picture is not None):
                    if picture.nbytes > height * width * 3 * itemsize:
                        # The film's pictures have grown: fewer fit.
                        height, width, itemsize = *picture.shape[:2], picture.itemsize
                if len(outstanding) >= depth:
                    await outstanding[0]
                    outstanding.popleft()
                progress = Progress(
                    video_id=job.record.id,
                    video=str(job.record.file.path),
                    frame=batch[0].index,
                    frames_total=info.frames_estimate,
                    fps=meter.fps(len(batch)),
                    queue_bytes=stream.queued_bytes,
                    batch=size,
                )
                self._listener(progress)
                if meter.due():
                    _log_progress(job, progress)
                size = batcher.scorer.batch_size(height, width, itemsize)
            while outstanding:
                await outstanding[0]
                outstanding.popleft()
        finally:
            stream.stop()
            # Their errors follow from the one that is being raised.
            await asyncio.gather(*outstanding, return_exceptions=True)

    async def _score_batch(
        self, job: VideoJob, ground: str, batch: Sequence[Frame], batcher: Batcher, scorer: Scorer
    ) -> None:
        """Score the frames that need it and write their rows."""
        if batcher.scorer is not scorer:
            # Its rows must not be mixed with those of another scorer.
            raise ScorerError(Kind.DEVICE, "the scorer was opened again in mid-video")
        video_id = job.record.id
        fresh = [frame for frame in batch if scorable(frame) is not None]
        pictures = [picture for frame in fresh if (picture := scorable(frame)) is not None]
        outcomes = await batcher.score(pictures, job.stall_seconds)
        rows = [scored_row(frame, outcome, ground) for frame, outcome in zip(fresh, outcomes, strict=True)]
        await self._store.frames.add(video_id, rows)
        await keep_pictures(self._store, video_id, fresh)
        if fresh and self._suspects.pop(video_id, 0):
            # Progress since the last attempt: what ended that was not this video.
            await self._store.queue.reset_attempts(video_id)
        elif part := self._suspects.get(video_id):
            before, now = batch[0].index // part, (batch[-1].index + 1) // part
            if now > before:
                await self._store.queue.caught_up(video_id, now * part)
        self._listener(FramesScored(len(fresh)))


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


def _measured(frames: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
    """The frames with their features; ends the decoding when it is closed."""
    with closing(frames):
        for frame in frames:
            if frame.picture is not None:
                yield replace(frame, features=measure(frame.picture))
            elif frame.gray is not None:
                features = measure_rows(frame.gray.rows, frame.gray.gray.shape[0])
                # Nobody else looks at them.
                yield replace(frame, features=features, gray=replace(frame.gray, rows=frame.gray.rows[:0]))
            else:
                yield frame


def scored_row(frame: Frame, outcome: Outcome, ground: str) -> Scored:
    """The row of a frame that was scored; ``ground`` is what its alpha was laid over."""
    note = "corrupt" if frame.corrupt and outcome.note is None else outcome.note
    if ground and frame.picture is not None and alpha.nothing_seen(frame.picture, ground):
        note = alpha.NOTE
    return Scored(
        frame.index, frame.pts, frame.time_s, outcome.score, note, frame.hash, frame.features, frame.duration_s
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
