"""What runs on a machine of the cluster, one film at a time: the scanner of ``scan.local``, asked from far away.

Nothing here knows Ray: the driver makes an actor of ``Worker``. Every method but ``hello`` is a stream: None now and
then, so that silence means trouble, then what was asked for, or ``Failed`` as the last item.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, TypeVar

from daemon.cluster import calibration
from daemon.cluster.messages import Failed, FilmAsked, Settings, versions
from daemon.config.score import DecodeConfig, ScoreConfig
from daemon.config.watch import WatchConfig
from daemon.decode.damage import DamageError
from daemon.decode.spans import Begun, Span, WholeFilmError
from daemon.errors import Kind, StillwatchError
from daemon.job import VideoJob
from daemon.logs import setup
from daemon.model import Status, VideoInfo, VideoRecord
from daemon.runtime.memory import most_bytes
from daemon.runtime.stall import run_in_abandonable_thread
from daemon.runtime.tasks import cancel
from daemon.scan.local import LocalFilm, LocalScanner, warm
from daemon.scan.protocol import Findings, Rows
from daemon.scoring.batcher import Batcher
from daemon.scoring.open_scorer import open_scorer

T = TypeVar("T")

BEAT_SECONDS = 2.0
SETTLE_SECONDS = 30.0
"""A scan that nobody wants any more ends within so long, or its worker is not used again."""
CHUNK_ROWS = 96
"""So many rows travel together, at most: below 100 kB Ray passes them on by itself and stores nothing."""
CHUNK_SECONDS = 0.5
"""Rows wait no longer for others: what is under way when a worker is lost is scored again."""
HASH_BYTES = 20
LOOK_SECONDS = 30.0
"""A folder or file of which nothing comes for so long cannot be read here now."""
LOOK_BYTES = 65536
LOOKS = 4


class Worker:
    """Opens one film after the other and gives its rows."""

    def __init__(self) -> None:
        self._scanner: LocalScanner | None = None
        self._batcher: Batcher | None = None
        self._film: LocalFilm | None = None
        self._path: Path | None = None
        self._held = AsyncExitStack()
        # A scan that nobody wants any more ends before the next one begins.
        self._scanning = asyncio.Lock()

    def hello(self) -> dict[str, Any]:
        """Who is there: plain values, which every version understands."""
        return {"pid": os.getpid(), "versions": versions()}

    async def ready(self, settings: Settings) -> AsyncGenerator[Any, None]:
        """Open the scorer; gives its identity and its number for the calibration picture."""

        async def opened() -> dict[str, Any]:
            if level := settings.get("log_level"):
                setup.configure("json", level)
            score = ScoreConfig.model_validate(settings["score"])
            decode = DecodeConfig.model_validate(settings["decode"])
            watch = WatchConfig.model_validate(settings["watch"])
            self._batcher = batcher = await Batcher.open(lambda: open_scorer(score, settings["threads"]), "score")
            scorer = batcher.scorer
            await warm(decode)
            self._scanner = LocalScanner(decode, watch, batcher)
            number = await calibration.number(batcher)
            return {
                "identity": scorer.identity,
                "device": scorer.device,
                "number": number,
                "folder": await _why_unreadable(lambda: _list(settings["folder"])),
            }

        async for item in _answered(opened()):
            yield item

    async def open(self, asked: FilmAsked) -> AsyncGenerator[Any, None]:
        """Hold a film's file once it was found to be what was admitted; gives True."""

        async def opened() -> bool:
            await self._held.aclose()
            assert self._scanner is not None
            record = _record(asked)
            self._path = asked.file.path
            self._film = await self._held.enter_async_context(
                self._scanner.opened(VideoJob.of(record, asked.stall_seconds))
            )
            return True

        async for item in _answered(opened()):
            yield item

    async def content(self) -> AsyncGenerator[Any, None]:
        """The identity of the film's content."""
        async for item in _answered(self._open_film.content()):
            yield item

    async def probe(self) -> AsyncGenerator[Any, None]:
        """What a probe finds."""
        async for item in _answered(self._open_film.probe()):
            yield item

    async def unchanged(self) -> AsyncGenerator[Any, None]:
        """True when the file is what was admitted."""

        async def looked() -> bool:
            await self._open_film.require_unchanged()
            return True

        async for item in _answered(looked()):
            yield item

    async def look(self) -> AsyncGenerator[Any, None]:
        """Why the storage does not give the film any more; empty when it does, whatever is in memory of it."""
        path = self._path
        assert path is not None, "no film was opened"
        async for item in _answered(_why_unreadable(lambda: _read_anew(path))):
            yield item

    async def scan(self, info: VideoInfo, known: bytes, single_thread: bool) -> AsyncGenerator[Any, None]:
        """Rows without pictures; the findings are the last item."""
        scan = self._open_film.scan(info, unpacked(known), single_thread=single_thread)
        async with aclosing(self._parts(scan)) as parts:
            async for part in parts:
                yield part

    async def cut(self, info: VideoInfo, seconds: float) -> AsyncGenerator[Any, None]:
        """The film in spans of about so many seconds."""
        async for item in _answered(self._open_film.cut(info, seconds)):
            yield item

    async def scan_span(self, info: VideoInfo, span: Span, known: bytes) -> AsyncGenerator[Any, None]:
        """How the span begins, its rows without pictures, and its findings."""
        scan = self._open_film.scan_span(info, span, unpacked(known))
        async with aclosing(self._parts(scan)) as parts:
            async for part in parts:
                yield part

    async def _parts(self, scan: AsyncGenerator[Begun | Rows | Findings, None]) -> AsyncGenerator[Any, None]:
        async with self._scanning, aclosing(_answers(scan)) as answers, aclosing(chunks(answers)) as parts:
            async for part in parts:
                yield part

    async def stop(self) -> None:
        """Finish the batch in flight, then give no more."""
        if self._scanner is not None:
            self._scanner.stop()

    async def close(self) -> int:
        """Let go of the film; gives the most bytes of memory that it has taken here, with the processes for it.

        Raises TimeoutError where a scan does not end.
        """
        async with asyncio.timeout(SETTLE_SECONDS):
            await self._scanning.acquire()
        self._scanning.release()
        self._film = None
        await self._held.aclose()
        return await asyncio.to_thread(most_bytes)

    @property
    def _open_film(self) -> LocalFilm:
        assert self._film is not None, "no film is open"
        return self._film


def _record(asked: FilmAsked) -> VideoRecord:
    return VideoRecord(
        id=asked.video_id,
        file=asked.file,
        status=Status.SCORING,
        metric=None,
        lower_better=None,
        scorer=None,
        info=None,
        frames_decoded=None,
        frames_scored=None,
        damaged=asked.damaged,
        mixed=False,
        error_kind=None,
        error=None,
        attempts=1,
    )


async def _why_unreadable(look: Callable[[], object]) -> str:
    """Why looking fails; empty when it does not."""
    task = asyncio.ensure_future(run_in_abandonable_thread(look, "look"))
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await task
    except TimeoutError:
        return f"nothing came for {LOOK_SECONDS:g} s"
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _read_anew(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        # What is in memory tells nothing of the storage.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for at in range(0, size, max(size // LOOKS, LOOK_BYTES)):
            os.pread(file.fileno(), LOOK_BYTES, at)


def _list(folder: str) -> None:
    if folder:
        with os.scandir(folder) as entries:
            next(entries, None)


def failed(error: Exception) -> Failed:
    """An error as plain data."""
    if isinstance(error, DamageError):
        return Failed("DamageError", "", str(error))
    if isinstance(error, WholeFilmError):
        return Failed("WholeFilmError", "", str(error))
    if isinstance(error, StillwatchError):
        return Failed(type(error).__name__, error.kind.value, error.sentence)
    if isinstance(error, MemoryError):
        return Failed("VideoError", Kind.OUT_OF_MEMORY.value, f"memory ran out on the worker ({error}): free some")
    setup.get(__name__).error("cluster.crashed", exc_info=error)
    kind = Kind.INTERNAL.value
    return Failed("VideoError", kind, f"an unexpected {type(error).__name__} on the worker: {error}; please report it")


async def _answered(work: Awaitable[T]) -> AsyncGenerator[T | Failed | None, None]:
    """None until there is an answer, then that, or why there is none."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=BEAT_SECONDS)
            if not task.done():
                yield None
        try:
            answer: T | Failed = task.result()
        except Exception as error:
            answer = failed(error)
        yield answer
    finally:
        # A generator that still runs cannot be closed.
        await cancel([task])


async def _answers(items: AsyncGenerator[T, None]) -> AsyncGenerator[T | Failed | None, None]:
    """The items of a stream, None while none comes, and why it has ended early."""
    async with aclosing(items):
        while True:
            async with aclosing(_answered(anext(items, None))) as answers:
                answer: T | Failed | None = None
                async for answer in answers:
                    if answer is None:
                        yield None
            if answer is None:
                return
            yield answer
            if isinstance(answer, Failed):
                return


async def chunks(items: AsyncIterator[Begun | Rows | Findings | Failed | None]) -> AsyncGenerator[Any, None]:
    """The same with rows put together, none of them with pictures."""
    clock = asyncio.get_running_loop().time
    held: Rows | None = None
    since = clock()
    async for item in items:
        if isinstance(item, Rows):
            held = joined(held, item)
            while len(held.scored) > CHUNK_ROWS:
                first, held = _cut(held, CHUNK_ROWS)
                yield first
            if len(held.scored) == CHUNK_ROWS or clock() - since >= CHUNK_SECONDS:
                yield held
                held, since = None, clock()
            continue
        if held is not None:
            yield held
            held, since = None, clock()
        yield item
    if held is not None:
        yield held


def joined(before: Rows | None, rows: Rows) -> Rows:
    """Rows behind rows, without their pictures."""
    if before is None:
        return Rows(rows.first, rows.end, rows.scored, (), rows.queue_bytes, rows.batch)
    return Rows(before.first, rows.end, before.scored + rows.scored, (), rows.queue_bytes, rows.batch)


def _cut(rows: Rows, count: int) -> tuple[Rows, Rows]:
    at = rows.scored[count].frame
    first = Rows(rows.first, at, rows.scored[:count], (), rows.queue_bytes, rows.batch)
    return first, Rows(at, rows.end, rows.scored[count:], (), rows.queue_bytes, rows.batch)


def packed(hashes: list[str]) -> bytes:
    """Hashes of frames, 20 bytes each; zeros for those that are not known.

    >>> unpacked(packed(["", "ab" * 20])) == ["", "ab" * 20]
    True
    """
    return b"".join(bytes.fromhex(one) if one else bytes(HASH_BYTES) for one in hashes)


def unpacked(known: bytes) -> list[str]:
    """What ``packed`` has put together."""
    none = bytes(HASH_BYTES)
    parts = (known[at : at + HASH_BYTES] for at in range(0, len(known), HASH_BYTES))
    return ["" if part == none else part.hex() for part in parts]
