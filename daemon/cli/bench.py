"""``stillwatch bench``: the speed of each stage and of the whole, here, beside pyiqa's own loop.

All figures of one run are taken one after the other on the same file: compare them with each other, not
with those of another run.
"""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from daemon.config.schema import Config
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.export.ffmpeg_process import find_binary
from daemon.inbox import identity
from daemon.job import VideoJob
from daemon.model import FileIdentity, Picture, Scored, Status, VideoInfo
from daemon.pipeline.score_video import VideoScorer
from daemon.scoring import catalog
from daemon.scoring.batcher import Batcher
from daemon.scoring.open_scorer import open_scorer
from daemon.scoring.protocol import Scorer
from daemon.store.store import Store

SCORED_FRAMES = 60
PLAIN_FRAMES = 3
SAMPLE_SECONDS = 0.02
MIB = 1024 * 1024
MADE = (("720p", 1280, 720, 20), ("1080p", 1920, 1080, 60), ("4k", 3840, 2160, 10))
"""Name, size in pixels, seconds at 30 frames a second."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage alone: frames, wall seconds and CPU seconds of all threads."""

    frames: int
    wall_s: float
    cpu_s: float

    @property
    def fps(self) -> float:
        """Frames per wall second."""
        return self.frames / self.wall_s if self.wall_s else 0.0

    @property
    def cpu_per_frame(self) -> float:
        """CPU seconds per frame."""
        return self.cpu_s / self.frames if self.frames else 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """One file's figures.

    ``machine`` is the processor's name. ``decode`` is decoding and the one RGB conversion; ``efficiency`` is the
    ideal wall time of the whole, CPU seconds of decoding and of scoring over the cores, as a share of the real one.
    ``hash_share`` and ``store_share`` are shares of all CPU seconds of the whole.
    """

    video: str
    width: int
    height: int
    frames: int
    machine: str
    cores: int
    scorer: str
    decode_fps: float
    score_fps: float
    end_to_end_fps: float
    efficiency: float
    hash_share: float
    store_share: float
    peak_mib: float
    pyiqa_fps: float | None
    times_pyiqa: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


def bench(path: Path, config: Config) -> Result:
    """Measure one file. Raises StillwatchError like the daemon would."""
    info = probe(path, config.decode)
    scorer = open_scorer(config.score)
    try:
        pictures = _sample(info, config)
        scorer.score(pictures[:2])
        plain = _plain(config, scorer, pictures)
        scored = _measure(lambda: _score_all(scorer, pictures), len(pictures))
        decoded, hashed = _decode(info, config)
        whole, stored, peak = asyncio.run(_whole(path, config, scorer))
    finally:
        scorer.close()
    cores = len(os.sched_getaffinity(0))
    ideal = whole.frames * (decoded.cpu_per_frame + scored.cpu_per_frame) / cores
    return Result(
        video=path.name,
        width=info.width,
        height=info.height,
        frames=whole.frames,
        machine=machine(),
        cores=cores,
        scorer=scorer.identity,
        decode_fps=decoded.fps,
        score_fps=scored.fps,
        end_to_end_fps=whole.fps,
        efficiency=ideal / whole.wall_s,
        hash_share=hashed.cpu_s / whole.cpu_s,
        store_share=stored / whole.cpu_s,
        peak_mib=peak / MIB,
        pyiqa_fps=plain.fps if plain else None,
        times_pyiqa=scored.fps / plain.fps if plain else None,
    )


def machine() -> str:
    """The processor, as far as the system tells."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "Hardware"):
                return value.strip()
    return platform.processor() or platform.machine()


def run(file: Path | None, config: Config) -> Iterator[Result]:
    """Measure one file, or made clips of 720p, 1080p and 4K."""
    if file is not None:
        yield bench(file, config)
        return
    with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as folder:
        binary = find_binary(config.export.ffmpeg)
        for name, width, height, seconds in MADE:
            clip = Path(folder) / f"{name}.mp4"
            _make(binary, clip, width, height, seconds)
            yield bench(clip, config)
            clip.unlink()


def _make(binary: str, clip: Path, width: int, height: int, seconds: int) -> None:
    """Moving test pictures with noise, which costs a decoder about what hand-held footage does."""
    source = f"testsrc2=size={width}x{height}:rate=30:duration={seconds},noise=alls=12:allf=t"
    command = [binary, "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264"]
    command += ["-preset", "veryfast", "-crf", "26", "-pix_fmt", "yuv420p", "-y", str(clip)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _measure(stage: Callable[[], object], frames: int) -> Stage:
    before, started = _cpu_seconds(), time.perf_counter()
    stage()
    return Stage(frames, time.perf_counter() - started, _cpu_seconds() - before)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _sample(info: VideoInfo, config: Config) -> list[Picture]:
    wanted = frozenset(range(SCORED_FRAMES))
    frames = decode_frames(info, config.decode, DecodeReport(), single_thread=True, wanted=wanted)
    return [frame.picture for frame in frames if frame.picture is not None]


def _score_all(scorer: Scorer, pictures: list[Picture]) -> None:
    height, width = pictures[0].shape[:2]
    at = 0
    while at < len(pictures):
        size = scorer.batch_size(height, width, pictures[0].itemsize)
        scorer.score(pictures[at : at + size])
        at += size


def _plain(config: Config, scorer: Scorer, pictures: list[Picture]) -> Stage | None:
    """pyiqa's own loop on a few of the pictures; None where it is not installed or not comparable."""
    if pictures[0].itemsize != 1 or config.score.metric not in ("niqe", "piqe") or scorer.device != "cpu":
        return None
    if catalog.lacking():
        return None
    from daemon.cli.bench_baseline import plain_loop_seconds

    few = pictures[:: max(1, len(pictures) // PLAIN_FRAMES)][:PLAIN_FRAMES]
    return Stage(len(few), plain_loop_seconds(config.score.metric, few), 0.0)


def _decode(info: VideoInfo, config: Config) -> tuple[Stage, Stage]:
    """Decoding with the RGB conversion but without the hash, and the hash alone.

    Three passes: everything; hashes without pictures, since they are known; neither, up to the last frame.
    """
    hashes: list[str] = []

    def everything() -> None:
        frames = decode_frames(info, config.decode, DecodeReport(), single_thread=False)
        hashes.extend(frame.hash for frame in frames)

    def run(**options: Any) -> None:
        for _ in decode_frames(info, config.decode, DecodeReport(), single_thread=False, **options):
            pass

    whole = _measure(everything, 0)
    count = len(hashes)
    no_picture = _measure(lambda: run(known=hashes), count)
    neither = _measure(lambda: run(wanted=frozenset({count - 1})), count)
    hashed = Stage(count, no_picture.wall_s - neither.wall_s, no_picture.cpu_s - neither.cpu_s)
    return Stage(count, whole.wall_s - hashed.wall_s, whole.cpu_s - hashed.cpu_s), hashed


async def _whole(path: Path, config: Config, scorer: Scorer) -> tuple[Stage, float, float]:
    """Decode, score, hash and persist as the daemon does: stage, CPU seconds of storing, peak bytes above the start."""
    with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as folder, ThreadPoolExecutor(1) as thread:
        database = config.database.model_copy(update={"path": Path(folder) / "bench.db"})
        store = await Store.open(database)
        try:
            await store.queue.enqueue(identity.fingerprint(path))
            record = await store.queue.claim(Status.QUEUED, Status.SCORING)
            assert record is not None
            job = VideoJob.of(record, config.service.stuck_seconds)
            video_scorer = VideoScorer(config, store, lambda _: None)
            with _peak_memory() as peak:
                before, started = _cpu_seconds(), time.perf_counter()
                await video_scorer.score(job, Batcher(scorer, thread))
                stage = Stage(0, time.perf_counter() - started, _cpu_seconds() - before)
            frames = (await store.videos.get(record.id)).frames_decoded or 0
            rows = list((await store.frames.rows(record.id, range(frames))).values())
            stored = await _store_cost(store, rows)
            return Stage(len(rows), stage.wall_s, stage.cpu_s), stored, peak[0]
        finally:
            await store.close()


async def _store_cost(store: Store, rows: list[Scored]) -> float:
    """CPU seconds of writing all rows once more, in batches."""
    video_id = await store.queue.enqueue(FileIdentity(Path("again"), "again", 1, 1))
    before = _cpu_seconds()
    for start in range(0, len(rows), 16):
        await store.frames.add(video_id, rows[start : start + 16])
    await store.flush()
    return _cpu_seconds() - before


@contextmanager
def _peak_memory() -> Iterator[list[float]]:
    """The highest resident size above that at the start, sampled while the block runs."""
    process = psutil.Process()
    base = process.memory_info().rss
    peak = [0.0]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], float(process.memory_info().rss - base))

    sampler = threading.Thread(target=sample, name="memory")
    sampler.start()
    try:
        yield peak
    finally:
        done.set()
        sampler.join()
