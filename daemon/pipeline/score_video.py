"""One video's way through the stages, the first half: decode, score, store. ``finalize`` is the other half."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from daemon.analysis.measure import measure
from daemon.config.schema import Config
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.errors import Kind, ScorerError, VideoError
from daemon.events import FramesScored, Listener, Progress
from daemon.inbox.identity import require_readable, require_unchanged
from daemon.logs.setup import get
from daemon.media import filters
from daemon.model import Frame, Outcome, Picture, Scored, Status, VideoInfo, VideoRecord
from daemon.runtime.channel import Channel
from daemon.runtime.stall import produce, run_in_abandonable_thread, with_stall_timeout
from daemon.scoring.batcher import Batcher
from daemon.scoring.protocol import Scorer
from daemon.store.store import Store

log = get(__name__)

JOIN_SECONDS = 5.0
CPU_BATCHES = 2
"""One batch is written while the next is scored."""
GPU_BATCHES = 3
"""And one more, so that its copy overlaps the forward of the one before."""


class Pipeline:
    """Takes videos through the stages, several at once; ``stop`` ends the scoring early."""

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
        self._channels: set[Channel[Frame]] = set()
        self._suspects: set[int] = set()
        self._stopping = False

    def stop(self) -> None:
        """Finish the batch in flight, commit it, and give the video back."""
        self._stopping = True
        for channel in self._channels:
            channel.stop()

    def reconfigure(self, config: Config) -> None:
        """Go on with these settings."""
        self._config = config

    async def score(self, record: VideoRecord, batcher: Batcher) -> bool:
        """Decode, score and store every frame; False when stopped before the end.

        Frames that are stored already with the same hash are not scored again. Raises VideoError.
        """
        try:
            return await self._score(record, batcher)
        except VideoError as error:
            if error.kind.rejects:
                # A refusal is final: a disk or share that fails in the middle must not look like a bad file.
                await require_readable(record.file, self._config.service.stuck_seconds)
            raise

    async def _score(self, record: VideoRecord, batcher: Batcher) -> bool:
        await require_unchanged(record.file, self._config.service.stuck_seconds)
        scorer = batcher.scorer
        info = await self._probe(record.file.path)
        known = await self._store.begin_scoring(record.id, info, scorer.metric, scorer.lower_better, scorer.identity)
        bound = log.bind(video=str(record.file.path), video_id=record.id)
        bound.info(
            "video.started",
            codec=info.codec,
            width=info.width,
            height=info.height,
            pix_fmt=info.pix_fmt,
            frames_total=info.frames_estimate,
            frames_stored=len(known),
            scorer=scorer.identity,
        )
        if record.attempts > 1:
            self._suspects.add(record.id)
        single = record.damaged
        try:
            report = await self._pass(record, info, known, batcher, scorer, single_thread=single)
        except DamageError as damage:
            bound.warning("video.damaged", reason=str(damage), action="decoding again with one thread")
            known = await self._committed(record.id)
            report = await self._pass(record, info, known, batcher, scorer, single_thread=True)
        if report is None:
            await self._store.flush()
            return False
        await require_unchanged(record.file, self._config.service.stuck_seconds)
        if report.frames == 0:
            raise VideoError(Kind.NO_FRAMES, "the video stream holds no frame that can be decoded")
        # Damage that only the export has shown leaves no sign in a decode with one thread.
        damaged = report.damaged or record.damaged
        scored = await self._store.end_scoring(
            record.id,
            frames_decoded=report.frames,
            damaged=damaged,
            mixed=report.mixed,
            damage=report.summary() or ("decoders do not agree about its pictures" if damaged else None),
        )
        bound.info("video.scored", frames=report.frames, scored=scored, damaged=damaged)
        return True

    async def _probe(self, path: Path) -> VideoInfo:
        opening = run_in_abandonable_thread(lambda: probe(path, self._config.decode), "probe")
        return await with_stall_timeout(opening, self._config.service.stuck_seconds, "opening the file")

    async def _next_batch(self, channel: Channel[Frame], size: int) -> Sequence[Frame]:
        """Raises VideoError(STUCK) when not a single frame comes; a slow decoder fills its batch in its own time."""
        seconds = self._config.service.stuck_seconds
        return await with_stall_timeout(channel.take(size), seconds, "the decoder", lambda: channel.received)

    async def _committed(self, video_id: int) -> list[str]:
        await self._store.flush()
        return await self._store.hashes(video_id)

    async def _pass(
        self,
        record: VideoRecord,
        info: VideoInfo,
        known: list[str],
        batcher: Batcher,
        scorer: Scorer,
        *,
        single_thread: bool,
    ) -> DecodeReport | None:
        """One pass over the file; None when stopped. Raises DamageError, VideoError."""
        report = DecodeReport()
        channel: Channel[Frame] = Channel(self._config.decode.queue_bytes // self._config.decode.concurrency)
        self._channels.add(channel)
        if self._stopping:
            # Asked for while the file was being opened.
            channel.stop()
        frames = decode_frames(info, self._config.decode, report, single_thread=single_thread, known=known)
        decoder = threading.Thread(
            target=produce,
            args=(_measured(frames), channel, lambda frame: frame.nbytes),
            name=f"decode-{record.id}",
            daemon=True,
        )
        meter = _Meter(self._config.log.progress_seconds, self._monotonic)
        width, height = filters.picture_size(info)
        itemsize = filters.bits(info, filters.layout_of(info)) // 8
        outstanding: deque[asyncio.Task[None]] = deque()
        depth = CPU_BATCHES if batcher.scorer.device == "cpu" else GPU_BATCHES
        decoder.start()
        try:
            size = batcher.scorer.batch_size(height, width, itemsize)
            while batch := await self._next_batch(channel, size):
                outstanding.append(asyncio.create_task(self._score_batch(record.id, batch, batcher, scorer)))
                if len(outstanding) >= depth:
                    await outstanding[0]
                    outstanding.popleft()
                progress = Progress(
                    video_id=record.id,
                    video=str(record.file.path),
                    frame=batch[0].index,
                    frames_total=info.frames_estimate,
                    fps=meter.fps(len(batch)),
                    queue_bytes=channel.queued_bytes,
                    batch=size,
                )
                self._tell(progress, meter.due())
                size = batcher.scorer.batch_size(height, width, itemsize)
            while outstanding:
                await outstanding[0]
                outstanding.popleft()
        finally:
            channel.stop()
            self._channels.discard(channel)
            # Their errors follow from the one that is being raised.
            await asyncio.gather(*outstanding, return_exceptions=True)
            await asyncio.to_thread(decoder.join, JOIN_SECONDS)
            if decoder.is_alive():
                log.error("decode.stuck", video=str(record.file.path), video_id=record.id)
        return None if self._stopping else report

    async def _score_batch(self, video_id: int, batch: Sequence[Frame], batcher: Batcher, scorer: Scorer) -> None:
        """Score the frames that need it and write their rows."""
        fresh = [frame for frame in batch if frame.picture is not None]
        pictures = [frame.picture for frame in fresh if frame.picture is not None]
        outcomes = await self._outcomes(pictures, batcher, scorer)
        await self._store.add_frames(video_id, [_row(f, o) for f, o in zip(fresh, outcomes, strict=True)])
        if fresh and video_id in self._suspects:
            # It gets further than the last time: what ended that was not this film.
            self._suspects.discard(video_id)
            await self._store.reset_attempts(video_id)
        self._listener(FramesScored(len(fresh)))

    async def _outcomes(self, pictures: Sequence[Picture], batcher: Batcher, scorer: Scorer) -> list[Outcome]:
        if batcher.scorer is not scorer:
            # Its rows must not be mixed with those of another scorer.
            raise ScorerError(Kind.DEVICE, "the scorer was opened again in mid-video")
        try:
            return await with_stall_timeout(batcher.score(pictures), self._config.service.stuck_seconds, "the scorer")
        except VideoError as error:
            if error.kind is not Kind.STUCK:
                raise
            # Its thread cannot be ended: only a new process gets a scorer that works.
            raise ScorerError(Kind.STUCK, error.sentence) from error

    def _tell(self, progress: Progress, due: bool) -> None:
        self._listener(progress)
        if due:
            eta = progress.eta_s
            log.info(
                "video.progress",
                video=progress.video,
                video_id=progress.video_id,
                frame=progress.frame,
                frames_total=progress.frames_total,
                fps=round(progress.fps, 2),
                eta_s=None if eta is None else round(eta, 1),
                queue_bytes=progress.queue_bytes,
                batch=progress.batch,
            )


def status_after(error: Exception) -> Status:
    """The state in which an error leaves a video."""
    kind = getattr(error, "kind", Kind.INTERNAL)
    if kind in (Kind.MISSING, Kind.CHANGED):
        return Status.MISSING
    return Status.REJECTED if kind.rejects else Status.FAILED


def _measured(frames: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
    """The frames with their features; ends the decoding when it is closed."""
    with closing(frames):
        for frame in frames:
            yield frame if frame.picture is None else replace(frame, features=measure(frame.picture))


def _row(frame: Frame, outcome: Outcome) -> Scored:
    note = "corrupt" if frame.corrupt and outcome.note is None else outcome.note
    return Scored(frame.index, frame.pts, frame.time_s, outcome.score, note, frame.hash, frame.features)


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
