"""A cluster without its machines: fake workers stream rows at given rates into the real daemon's side of it.

    python -m tests.cluster_bench [--workers 1,64,512] [--fps 40] [--seconds 8] [--minutes 1,10,60] [--export-seconds 5]

The way from a chunk of rows, as it comes over the network, into SQLite is the daemon's own: ``VideoScorer``, ``Frames``,
the one connection. So is choosing. What workers would do costs nothing here: their chunks are made ahead. Exporting is
accounted for with ``--export-seconds``, since it works on a real film.

1. The cost of a frame and of a film, with workers that wait for nothing.
2. Paced: each worker gives ``--fps`` frames a second; what arrives, how late, and what that costs.
3. From both: how many workers each of writer, network and exporter can serve, and films per hour.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from daemon.config.schema import Config
from daemon.events import ignore
from daemon.job import VideoJob
from daemon.logs import setup
from daemon.model import FileIdentity, Selection, Status, VideoInfo
from daemon.pipeline.refine import Refiner
from daemon.pipeline.score_video import VideoScorer
from daemon.pipeline.select_frames import FrameSelector
from daemon.scan.protocol import Findings, OpenFilm, Rows, Scanner, ScorerFacts
from daemon.store.store import Store
from tests import writer_bench

CHUNK_ROWS, CHUNK_SECONDS = 96, 0.5
"""A worker sends what it has when it has so many rows, or after this time."""
AHEAD = 4
"""Chunks that a worker makes ahead of the daemon."""
LINK_BYTES = 1e9 / 8 * 0.94
"""What a link of 1 Gbit/s carries beside the frames of Ethernet, IP and TCP."""
FILM_FPS = 25
INFO = VideoInfo(
    Path("/in/a.mp4"), "mov", 0, "h264", 1920, 1080, "yuv420p", 8, Fraction(1, 12800), Fraction(25), 0, None, 0.0
)


@dataclass(frozen=True, slots=True)
class Film:
    """A film's rows as they come over the network, ``chunk`` frames at a time."""

    frames: int
    chunk: int
    chunks: tuple[bytes, ...]

    @classmethod
    def of(cls, frames: int, chunk: int, records: Sequence[bytes]) -> Film:
        """One of so many frames."""
        found = []
        for first in range(0, frames, chunk):
            end = min(first + chunk, frames)
            scored = tuple(writer_bench.rows(end - first, records, first))
            found.append(pickle.dumps(Rows(first, end, scored), protocol=pickle.HIGHEST_PROTOCOL))
        return cls(frames, chunk, tuple(found))

    @property
    def frame_bytes(self) -> float:
        """What a frame has on the network."""
        return sum(map(len, self.chunks)) / self.frames


def chunk_frames(fps: float) -> int:
    """How many frames a worker of this pace sends at once.

    >>> chunk_frames(40), chunk_frames(400)
    (20, 96)
    """
    return max(1, min(CHUNK_ROWS, int(fps * CHUNK_SECONDS)))


class FakeWorkers:
    """A scanner whose films all have the same rows, each coming ``fps`` frames a second; 0: as fast as they are taken."""

    def __init__(self, film: Film, fps: float) -> None:
        self._film = film
        self._seconds = film.chunk / fps if fps else 0.0
        self.late_s: list[float] = []
        self.arrived = 0
        self._opened = 0

    @asynccontextmanager
    async def opened(self, job: VideoJob) -> AsyncIterator[OpenFilm]:
        self._opened += 1
        # No two begin at the same moment: the golden ratio spreads them.
        yield FakeFilm(self, job, self._opened * 0.618 % 1.0)

    def stop(self) -> None:
        return

    async def rows(self, start: float) -> AsyncGenerator[Rows | Findings, None]:
        """Chunk after chunk when it is due; a worker is never more than ``AHEAD`` chunks ahead of whoever takes them."""
        loop = asyncio.get_running_loop()
        due = loop.time() + start * self._seconds
        for chunk in self._film.chunks:
            due = max(due + self._seconds, loop.time() - AHEAD * self._seconds)
            await asyncio.sleep(max(due - loop.time(), 0.0))
            self.late_s.append(loop.time() - due)
            rows: Rows = pickle.loads(chunk)
            self.arrived += rows.end - rows.first
            yield rows
        yield Findings(self._film.frames)


@dataclass(frozen=True, slots=True)
class FakeFilm:
    """A film on a fake worker."""

    workers: FakeWorkers
    job: VideoJob
    start: float

    @property
    def scorer(self) -> ScorerFacts:
        return ScorerFacts("niqe|simulated", "niqe", True)

    async def content(self) -> FileIdentity:
        return self.job.record.file

    async def probe(self) -> VideoInfo:
        return INFO

    def scan(
        self,
        info: VideoInfo,
        known: Sequence[str],
        *,
        single_thread: bool,
    ) -> AsyncGenerator[Rows | Findings, None]:
        return self.workers.rows(self.start)

    async def require_unchanged(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of the processor and of the clock."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Load:
    """What so many workers brought: frames per second, the daemon's processors for it, and how late chunks were.

    ``starved`` is the share of the time that the daemon's threads waited for a processor which others had: where that
    is much, the machine was too busy for this to say anything but ``cores``.
    """

    workers: int
    wanted: float
    arrived: float
    cores: float
    late_s: float
    starved: float


@asynccontextmanager
async def opened_store(folder: Path, films: int) -> AsyncIterator[tuple[Config, Store]]:
    """A store with films in its queue."""
    config = Config.model_validate({"database": {"path": folder / "s.db"}})
    store = await Store.open(config.database)
    try:
        for number in range(films):
            digest = f"{number:064x}"
            await store.queue.enqueue(FileIdentity(Path(f"/in/{number}.mp4"), digest, 1, 1, digest))
        yield config, store
    finally:
        await store.close()


async def score_films(config: Config, store: Store, scanner: Scanner, side_by_side: int) -> None:
    """Take every film of the queue to ``scored``, so many at once."""
    scorer = VideoScorer(config, store, ignore)

    async def one_after_the_other() -> None:
        while (record := await store.queue.claim(Status.QUEUED, Status.SCORING)) is not None:
            await scorer.score(VideoJob.of(record, 60.0), scanner)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(side_by_side):
            tasks.create_task(one_after_the_other())


async def film_cost(film: Film) -> Cost:
    """What choosing from a film takes, for the first time."""
    with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as folder:
        async with opened_store(Path(folder), 1) as (config, store):
            await score_films(config, store, FakeWorkers(film, 0.0), 1)
            record = await store.queue.claim(Status.SCORED, Status.EXPORTING)
            assert record is not None
            cpu, wall = time.process_time(), time.perf_counter()
            chosen = await FrameSelector(config, store, VideoJob.of(record, 60.0), Refiner(config, store)).select()
            await store.selections.finish(record.id, Selection((), 0, None, chosen.params), [])
            return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def waited_s() -> float:
    """For how long this process's threads were ready to run and had no processor."""
    files = Path("/proc/self/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[1]) for file in files) / 1e9


async def load(film: Film, workers: int, fps: float, seconds: float) -> Load:
    """So many workers for some seconds, in which none comes to the end of its film; ``fps`` 0: as fast as may be."""
    scanner = FakeWorkers(film, fps)
    with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as folder:
        async with opened_store(Path(folder), workers) as (config, store):
            scoring = asyncio.create_task(score_films(config, store, scanner, workers))
            while not scoring.done() and len(scanner.late_s) < 2 * workers:
                await asyncio.sleep(0.1)
            scanner.late_s.clear()
            before, cpu, wall, waited = scanner.arrived, time.process_time(), time.perf_counter(), waited_s()
            await asyncio.wait({scoring}, timeout=seconds)
            elapsed = time.perf_counter() - wall
            found = Load(
                workers=workers,
                wanted=workers * fps,
                arrived=(scanner.arrived - before) / elapsed,
                cores=(time.process_time() - cpu) / elapsed,
                late_s=sorted(scanner.late_s)[int(len(scanner.late_s) * 0.95)] if scanner.late_s else 0.0,
                starved=(waited_s() - waited) / elapsed,
            )
            scoring.cancel()
            await asyncio.wait({scoring})
    return found


@dataclass(frozen=True, slots=True)
class Capacity:
    """Frames per second that each part of the daemon's side can take, for films of ``frames`` frames."""

    frames: int
    writer: float
    network: float
    exporter: float

    def bound(self, workers: int, fps: float) -> tuple[str, float]:
        """What ends the growth at so many workers, and the frames per second that are left."""
        parts = {"workers": workers * fps, "writer": self.writer, "network": self.network, "exporter": self.exporter}
        name = min(parts, key=lambda part: parts[part])
        return name, parts[name]

    def films_per_hour(self, workers: int, fps: float) -> float:
        """At the pace of whatever is the bound."""
        return self.bound(workers, fps)[1] * 3600 / self.frames


async def simulate(given: argparse.Namespace) -> None:
    """Measure and print."""
    records, chunk, most = writer_bench.looks(512), chunk_frames(given.fps), max(given.workers)
    # No film ends: a worker that is slowed down has frames left, one that waits for nothing gets further.
    film = Film.of(int(given.fps * given.seconds * 3) + 4 * chunk, chunk, records)
    full = await load(film, most, 0.0, given.seconds)
    frame_s = full.cores / full.arrived
    print(
        f"a frame, {chunk} in a chunk: {film.frame_bytes:.0f} bytes on the network, {frame_s * 1e6:.1f} us of a"
        f" processor in the daemon; {full.arrived:,.0f} a second were taken from {most} workers that wait for nothing"
    )
    capacities = []
    for minutes in given.minutes:
        frames = minutes * 60 * FILM_FPS
        choosing = await film_cost(Film.of(frames, CHUNK_ROWS, records))
        last = choosing.cpu + given.export_seconds
        capacities.append(Capacity(frames, 1 / frame_s, LINK_BYTES / film.frame_bytes, frames / last))
        print(
            f"a film of {minutes} min, {frames} frames: choosing {choosing.cpu:.1f} s of a processor ({choosing.wall:.1f} s by"
            f" the clock), exporting {given.export_seconds:g} s: {frames / last:,.0f} frames/s through the exporter"
        )
    heads = ["workers", "frames/s wanted", "arrived", "processors of the daemon", "95 % of chunks late by at most"]
    print(f"\n| {' | '.join(heads)} | waited for a processor |\n|{' --- |' * 6}")
    for workers in given.workers:
        found = await load(film, workers, given.fps, given.seconds)
        cells = f"{found.wanted:,.0f} | {found.arrived:,.0f} | {found.cores:.2f} | {found.late_s * 1e3:.0f} ms"
        print(f"| {workers} | {cells} | {found.starved:.0%} |")
    heads = [f"films of {minutes} min per hour (bound)" for minutes in given.minutes]
    print(f"\n| workers | Mbit/s | {' | '.join(heads)} |\n| --- | --- |{' --- |' * len(heads)}")
    for workers in given.workers:
        rates = [
            f"{one.films_per_hour(workers, given.fps):,.0f} ({one.bound(workers, given.fps)[0]})" for one in capacities
        ]
        print(f"| {workers} | {workers * given.fps * film.frame_bytes * 8 / 1e6:,.0f} | {' | '.join(rates)} |")
    for one, minutes in zip(capacities, given.minutes, strict=True):
        served = [
            f"{one.writer / given.fps:,.0f}",
            f"{one.network / given.fps:,.0f}",
            f"{one.exporter / given.fps:,.0f}",
        ]
        print(
            f"\nWorkers of {given.fps:g} frames/s that each can serve, films of {minutes} min: writer {served[0]},"
            f" network of 1 Gbit/s {served[1]}, exporter {served[2]}"
        )


def numbers(text: str) -> list[int]:
    """Numbers between commas."""
    return [int(one) for one in text.split(",")]


def main() -> None:
    """Read the arguments and simulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=numbers, default=[1, 8, 32, 64, 128, 256, 512])
    parser.add_argument("--fps", type=float, default=40.0, help="frames per second of a worker")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each paced run")
    parser.add_argument("--minutes", type=numbers, default=[1, 10, 60], help="lengths of films")
    parser.add_argument("--export-seconds", type=float, default=5.0, help="what exporting the stills of a film takes")
    given = parser.parse_args()
    setup.configure("auto", "error")
    asyncio.run(simulate(given))


if __name__ == "__main__":
    main()
