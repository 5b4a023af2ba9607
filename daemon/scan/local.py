"""Scans films on this machine: a decoder in a process of its own for each, one scorer for all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

from daemon.config.score import DecodeConfig
from daemon.config.watch import WatchConfig
from daemon.decode import apart as opening
from daemon.decode.apart import probe_apart
from daemon.decode.spans import Begun, Cut, Span, WholeFilmError
from daemon.errors import Kind, ScorerError
from daemon.inbox.held_source import held
from daemon.inbox.identity import content_of, require_unchanged
from daemon.job import VideoJob
from daemon.media import filters
from daemon.media.scorable import scorable
from daemon.model import FileIdentity, Frame, VideoInfo
from daemon.runtime.stall import run_in_abandonable_thread, with_stall_timeout
from daemon.runtime.stream import ThreadStream
from daemon.scan import apart
from daemon.scan.apart import Decoding
from daemon.scan.decoded import opened, running
from daemon.scan.decoding import Request
from daemon.scan.protocol import Findings, Rows, ScorerFacts
from daemon.scan.rows import scored_row
from daemon.scan.spans import Cutting
from daemon.scoring.batcher import Batcher

CPU_BATCHES = 2
"""One batch is written while the next is scored."""
GPU_BATCHES = 3
"""And one more, so that its copy overlaps the forward of the one before."""


async def warm(decode: DecodeConfig) -> None:
    """Have the processes ready that open and decode films. Raises VideoError."""
    await asyncio.gather(asyncio.to_thread(opening.warm, decode), asyncio.to_thread(apart.warm, decode))


async def end_cells() -> None:
    """End those that are ready for a next film."""
    await asyncio.gather(asyncio.to_thread(opening.CELLS.close), asyncio.to_thread(apart.close))


class LocalScanner:
    """A ``Scanner`` around the scorer of this process. With ``strip`` small pictures are made for a film's strip."""

    def __init__(self, decode: DecodeConfig, watch: WatchConfig, batcher: Batcher, *, strip: bool = False) -> None:
        self._decode = decode
        self._watch = watch
        self._batcher = batcher
        self._strip = strip
        self._streams: set[ThreadStream[Frame]] = set()
        self._stopping = False

    def stop(self) -> None:
        """Finish the batches in flight, then give no more."""
        self._stopping = True
        for stream in self._streams:
            stream.stop()

    @asynccontextmanager
    async def opened(self, job: VideoJob) -> AsyncIterator[LocalFilm]:
        """The film, whose file is held."""
        async with held(job, self._watch, prove=False) as with_source:
            yield LocalFilm(self, with_source, self._decode, self._batcher, strip=self._strip)

    @asynccontextmanager
    async def running(self, stream: ThreadStream[Frame], decoding: Decoding[Any], job: VideoJob) -> AsyncIterator[None]:
        """The thread of a stream, which a stop ends too, and the process that it reads from."""
        async with running(stream, decoding, job):
            self._streams.add(stream)
            if self._stopping:
                # Asked for while the file was being opened.
                stream.stop()
            try:
                yield
            finally:
                self._streams.discard(stream)

    @property
    def stopping(self) -> bool:
        """Whether scans end before the end of their film."""
        return self._stopping


class LocalFilm:
    """An ``OpenFilm`` whose file is held by this process."""

    def __init__(
        self,
        scanner: LocalScanner,
        job: VideoJob,
        decode: DecodeConfig,
        batcher: Batcher,
        *,
        strip: bool,
    ) -> None:
        self._scanner = scanner
        self._job = job
        self._decode = decode
        self._batcher = batcher
        self._scorer = batcher.scorer
        self._strip = strip

    @property
    def scorer(self) -> ScorerFacts:
        """The one of this process."""
        return ScorerFacts(self._scorer.identity, self._scorer.metric, self._scorer.lower_better)

    async def content(self) -> FileIdentity:
        """Reads the whole file; the decoder then finds it in memory."""
        job, path = self._job, self._job.record.file.path
        return replace(await content_of(job.source, job.stall_seconds, job.on_progress, named=path), path=path)

    async def probe(self) -> VideoInfo:
        """Opens the file in a process of its own first."""
        path, stuck_seconds = self._job.source, self._job.stall_seconds
        probing = run_in_abandonable_thread(
            lambda: probe_apart(path, self._decode, stuck_seconds=stuck_seconds), "probe"
        )
        return await with_stall_timeout(probing, stuck_seconds, "opening the file")

    async def require_unchanged(self) -> None:
        """By the name of the file."""
        await require_unchanged(self._job.record.file, self._job.stall_seconds)

    async def scan(
        self, info: VideoInfo, known: Sequence[str], *, single_thread: bool
    ) -> AsyncGenerator[Rows | Findings, None]:
        """One pass over the held file."""
        async with aclosing(self._scan(info, known, single_thread=single_thread)) as items:
            async for item in items:
                assert not isinstance(item, Begun)
                yield item

    async def scan_span(
        self, info: VideoInfo, span: Span, known: Sequence[str]
    ) -> AsyncGenerator[Begun | Rows | Findings, None]:
        """The frames of a span, with whose hashes ``known`` begins; first, how it begins. Raises WholeFilmError."""
        async with aclosing(self._scan(info, known, single_thread=False, span=span)) as items:
            async for item in items:
                # Its packets are those of the film.
                yield replace(item, packets=0, index=b"") if isinstance(item, Findings) else item

    async def cut(self, info: VideoInfo, seconds: float) -> Cut | None:
        """The film in spans of about so many seconds; None when stopped. Raises WholeFilmError, VideoError."""
        info = replace(info, path=self._job.source)
        decoding = Decoding(Cutting(info, self._decode, seconds))
        await opened(decoding, self._job)
        stream = self._stream(decoding)
        async with self._scanner.running(stream, decoding, self._job):
            await stream.take(1)
        return decoding.findings

    async def _scan(
        self, info: VideoInfo, known: Sequence[str], *, single_thread: bool, span: Span | None = None
    ) -> AsyncGenerator[Begun | Rows | Findings, None]:
        info = replace(info, path=self._job.source)
        request = Request(info, self._decode, single_thread, known, self._scorer.gray_from, self._strip, span)
        decoding = Decoding(request)
        await opened(decoding, self._job)
        stream = self._stream(decoding)
        begun: Begun | None = None
        async with self._scanner.running(stream, decoding, self._job), aclosing(self._rows(stream, info)) as scored:
            async for rows in scored:
                if span is not None and begun is None:
                    begun = _begun(decoding)
                    yield begun
                yield rows
        if not self._scanner.stopping:
            assert decoding.findings is not None
            if span is not None and begun is None:
                yield _begun(decoding)
            yield decoding.findings

    def _stream(self, decoding: Decoding[Any]) -> ThreadStream[Frame]:
        return ThreadStream(
            decoding.frames(),
            name=f"decode-{self._job.record.id}",
            what="the decoder",
            stall_seconds=self._job.stall_seconds,
            capacity_bytes=self._decode.queue_bytes // self._decode.concurrency,
            nbytes=lambda frame: frame.nbytes,
            progress=lambda: decoding.at,
        )

    async def _rows(self, stream: ThreadStream[Frame], info: VideoInfo) -> AsyncGenerator[Rows, None]:
        """Score the frames in batches, some of them under way at once, to the end of the stream."""
        scorer = self._scorer
        width, height = filters.picture_size(info)
        itemsize = filters.bits(info, filters.layout_of(info)) // 8
        outstanding: deque[asyncio.Task[Rows]] = deque()
        depth = CPU_BATCHES if scorer.device == "cpu" else GPU_BATCHES
        try:
            size = scorer.batch_size(height, width, itemsize)
            # A slow decoder fills its batch in its own time; it hangs when not a single frame comes.
            while batch := await stream.take(size):
                outstanding.append(asyncio.create_task(self._scored(batch, info.ground)))
                for picture in (frame.picture for frame in batch if frame.picture is not None):
                    if picture.nbytes > height * width * 3 * itemsize:
                        # The film's pictures have grown: fewer fit.
                        height, width, itemsize = *picture.shape[:2], picture.itemsize
                if len(outstanding) >= depth:
                    rows = await outstanding[0]
                    outstanding.popleft()
                    yield replace(rows, queue_bytes=stream.queued_bytes, batch=size)
                size = scorer.batch_size(height, width, itemsize)
            while outstanding:
                rows = await outstanding[0]
                outstanding.popleft()
                yield replace(rows, batch=size)
        finally:
            stream.stop()
            # Their errors follow from the one that is being raised.
            await asyncio.gather(*outstanding, return_exceptions=True)

    async def _scored(self, batch: Sequence[Frame], ground: str) -> Rows:
        """Score the frames that need it."""
        if self._batcher.scorer is not self._scorer:
            # Its rows must not be mixed with those of another scorer.
            raise ScorerError(Kind.DEVICE, "the scorer was opened again in mid-video")
        fresh = [frame for frame in batch if scorable(frame) is not None]
        pictures = [picture for frame in fresh if (picture := scorable(frame)) is not None]
        outcomes = await self._batcher.score(pictures, self._job.stall_seconds)
        rows = tuple(scored_row(frame, outcome, ground) for frame, outcome in zip(fresh, outcomes, strict=True))
        return Rows(batch[0].index, batch[-1].index + 1, rows, tuple(fresh))


def _begun(decoding: Decoding[Any]) -> Begun:
    """How a span begins, which is said before its first frame. Raises WholeFilmError where it is not."""
    if decoding.begun is None:
        raise WholeFilmError("the process that decodes does not say how a span begins")
    return decoding.begun
