"""What ``stillwatch bench`` measures: plain decodes, each stage alone, and the whole as a process of its own."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from daemon.analysis.measure import measure, measure_rows, rows_looked_at
from daemon.cli.bench_processes import Usage
from daemon.config.schema import Config
from daemon.decode import frames as decoding
from daemon.decode.container import opened
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.gray import GrayWanted
from daemon.decode.packets import decoded_frames
from daemon.decode.picture import FrameHasher
from daemon.errors import Kind, VideoError
from daemon.media.scorable import Scorable, scorable, size_of
from daemon.media.strip_step import in_strip
from daemon.model import FileIdentity, Frame, Picture, Scored, VideoInfo
from daemon.pipeline.strip import keep_pictures
from daemon.scoring.protocol import Scorer
from daemon.scoring.unscorable import why_not
from daemon.store.store import Store

SCORED_FRAMES = 64
STILLS = "stills"
"""The folder of ``once``'s stills."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of processor time of all threads, and by the clock."""

    cpu_s: float
    wall_s: float

    def less(self, other: Cost) -> Cost:
        """What is left when another is taken away."""
        return Cost(max(self.cpu_s - other.cpu_s, 0.0), max(self.wall_s - other.wall_s, 0.0))

    def times(self, factor: float) -> Cost:
        """So many times as much."""
        return Cost(self.cpu_s * factor, self.wall_s * factor)


@dataclass(slots=True)
class _Sum:
    """Costs of one thread, added up call by call."""

    cpu_s: float = 0.0
    wall_s: float = 0.0

    @contextmanager
    def adding(self) -> Iterator[None]:
        cpu, wall = time.thread_time(), time.perf_counter()
        try:
            yield
        finally:
            self.cpu_s += time.thread_time() - cpu
            self.wall_s += time.perf_counter() - wall

    def around(self, function: Callable[..., T]) -> Callable[..., T]:
        def timed(*arguments: object, **named: object) -> T:
            with self.adding():
                return function(*arguments, **named)

        return timed

    @property
    def cost(self) -> Cost:
        return Cost(self.cpu_s, self.wall_s)


def measured(work: Callable[[], object]) -> Cost:
    """What a piece of work costs in this process."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def version(binary: str) -> str:
    """FFmpeg's own word."""
    printed = subprocess.run([binary, "-version"], check=True, capture_output=True, text=True).stdout
    return printed.split(" Copyright", 1)[0].removeprefix("ffmpeg version ")


def ffmpeg_decode(binary: str, path: Path, stream: int) -> Cost:
    """FFmpeg decodes the stream and drops every frame."""
    command = [binary, "-nostdin", "-loglevel", "quiet", "-i", str(path), "-map", f"0:{stream}", "-f", "null", "-"]
    return child(command, None)[0]


def once(path: Path, config: Config, folder: Path, *, count: int | str, usage: Usage | None = None) -> tuple[Cost, int]:
    """``stillwatch once`` on the file with its output in a folder: its cost, and its own most bytes of memory.

    ``usage`` gets what each part of it takes. Raises VideoError where it fails.
    """
    environment = _environment(config, folder) | {
        "STILLWATCH_OUTPUT__PATH": str(folder / STILLS),
        "STILLWATCH_SELECT__COUNT": str(count),
        "STILLWATCH_DECODE__THREADS": str(config.decode.threads),
    }
    cost, memory, code = child([sys.executable, "-m", "daemon", "once", str(path)], environment, usage)
    if code:
        raise VideoError(Kind.DECODE, f"`stillwatch once {path.name}` fails: run it to see why")
    return cost, memory


def start(config: Config) -> Cost:
    """What ``once`` costs before its first and after its last frame: its workers start and stop, and get no film."""
    with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as folder:
        program = (
            "import asyncio, sys; from pathlib import Path; from daemon.config.load import load;"
            "from daemon.pipeline.workers import running_workers; from daemon.store.store import Store\n"
            "async def main():\n"
            "    config = load()\n"
            "    store = await Store.open(config.database)\n"
            "    async with running_workers(config, store, lambda event: None): pass\n"
            "    await store.close()\n"
            "asyncio.run(main())"
        )
        return child([sys.executable, "-c", program], _environment(config, Path(folder)))[0]


def _environment(config: Config, folder: Path) -> dict[str, str]:
    """For a process that scores as configured, with its database in a folder."""
    return {
        **os.environ,
        "STILLWATCH_DATABASE__PATH": str(folder / "bench.db"),
        "STILLWATCH_SCORE__METRIC": config.score.metric,
        "STILLWATCH_SCORE__IMPLEMENTATION": config.score.implementation,
        "STILLWATCH_LOG__LEVEL": "error",
    }


def pyav_decode(info: VideoInfo, config: Config) -> Cost:
    """The daemon's own decoder drops every frame."""

    def work() -> None:
        with opened(info.path, config.decode) as container:
            (stream,) = (one for one in container.streams.video if one.index == info.stream_index)
            for _ in decoded_frames(container, stream, config.decode, DecodeReport(), single_thread=False):
                pass

    return measured(work)


def decode_stages(info: VideoInfo, config: Config, scorer: Scorer) -> tuple[int, dict[str, Cost], list[Frame]]:
    """Frames decoded, the costs of decoding, hashing, converting and measuring them, and some of them.

    One pass as the daemon makes it, on this thread: what the other steps do not take of it is decoding.
    """
    hashing, converting, measuring = _Sum(), _Sum(), _Sum()
    gray = None if scorer.gray_from is None else GrayWanted(scorer.gray_from, rows_looked_at, in_strip)
    sample: list[Frame] = []
    count = 0

    def work() -> None:
        nonlocal count
        with _timed(hashing, converting):
            frames = decode_frames(info, config.decode, DecodeReport(), single_thread=False, gray=gray, compiled=True)
            for frame in frames:
                count += 1
                with measuring.adding():
                    features = _features(frame)
                if len(sample) < SCORED_FRAMES and count % _every(info) == 0:
                    sample.append(replace(frame, features=features))

    whole = measured(work)
    parts = {"hash": hashing.cost, "convert": converting.cost, "measure": measuring.cost}
    decoding_alone = whole
    for part in parts.values():
        decoding_alone = decoding_alone.less(part)
    return count, {"decode": decoding_alone, **parts}, sample


def score(scorer: Scorer, sample: Sequence[Frame], frames: int) -> Cost:
    """What scoring all frames costs, by those of a sample."""
    pictures: list[Scorable] = [one for frame in sample if (one := scorable(frame)) is not None]
    if not pictures:
        return Cost(0.0, 0.0)
    scorer.score(pictures[:2])

    def work() -> None:
        at = 0
        while at < len(pictures):
            size = scorer.batch_size(*size_of(pictures[at]), 1)
            scorer.score(pictures[at : at + size])
            at += size

    return measured(work).times(frames / len(pictures))


async def store(config: Config, frames: int, sample: Sequence[Frame]) -> Cost:
    """What writing all rows and the pictures of the strip costs, by a sample."""
    if not sample:
        return Cost(0.0, 0.0)
    with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as folder:
        database = config.database.model_copy(update={"path": Path(folder) / "bench.db"})
        opened_store = await Store.open(database)
        try:
            video_id = await opened_store.queue.enqueue(FileIdentity(Path("bench"), "bench", 1, 1))
            numbered = [replace(sample[n % len(sample)], index=n) for n in range(min(frames, 8 * len(sample)))]
            cpu, wall = time.process_time(), time.perf_counter()
            for batch in _batched(numbered, config.score.max_batch):
                rows = [
                    Scored(one.index, one.pts, one.time_s, 1.0, None, one.hash, one.features, one.duration_s)
                    for one in batch
                ]
                await opened_store.frames.add(video_id, rows)
                await keep_pictures(opened_store, video_id, batch)
            await opened_store.flush()
            cost = Cost(time.process_time() - cpu, time.perf_counter() - wall)
        finally:
            await opened_store.close()
    return cost.times(frames / len(numbered))


def pictures(info: VideoInfo, config: Config, sample: Sequence[Frame], side: int, count: int) -> list[Picture]:
    """The first of a sample that can be scored, in RGB."""
    scored = [frame for frame in sample if (one := scorable(frame)) is not None and why_not(one, side) is None]
    wanted = frozenset(frame.index for frame in scored[:count])
    found = decode_frames(info, config.decode, DecodeReport(), single_thread=False, wanted=wanted)
    return [frame.picture for frame in found if frame.picture is not None]


@contextmanager
def _timed(hashing: _Sum, converting: _Sum) -> Iterator[None]:
    """Decoding with a clock around its own steps."""
    sha1, make = FrameHasher.sha1, decoding._Maker.make
    FrameHasher.sha1 = hashing.around(sha1)  # type: ignore[method-assign]
    decoding._Maker.make = converting.around(make)  # type: ignore[method-assign]
    try:
        yield
    finally:
        FrameHasher.sha1 = sha1  # type: ignore[method-assign]
        decoding._Maker.make = make  # type: ignore[method-assign]


def _features(frame: Frame) -> bytes | None:
    if frame.gray is not None:
        return measure_rows(frame.gray.rows, frame.gray.gray.shape[0])
    return measure(frame.picture) if frame.picture is not None else None


def _every(info: VideoInfo) -> int:
    """The sample comes from the whole film."""
    return max(info.frames_estimate // SCORED_FRAMES, 1)


def _batched(frames: Sequence[Frame], size: int) -> Iterator[list[Frame]]:
    remaining = iter(frames)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def child(
    command: Sequence[str], environment: dict[str, str] | None, usage: Usage | None = None
) -> tuple[Cost, int, int]:
    """Cost of a process and of those it waited for, its own most bytes of memory, and its exit code."""
    usage = Usage() if usage is None else usage
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with usage.watching(process):
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    return Cost(used.ru_utime + used.ru_stime, wall), usage.most_bytes, process.returncode
