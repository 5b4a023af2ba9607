"""``stillwatch bench``: where the time of a film goes here, beside what decoding it alone costs.

The base is FFmpeg's own decode of the file. Each stage is measured alone, one after the other, in CPU seconds of
all its threads; ``once`` runs as a process of its own, as the shell's ``time`` would see it. Compare the figures of one
run with each other, not with those of another run.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from daemon.cli import bench_clips, bench_stages
from daemon.cli.bench_processes import Usage
from daemon.cli.bench_stages import Cost
from daemon.config.schema import Config
from daemon.decode.probe import probe
from daemon.export.ffmpeg_process import find_binary
from daemon.model import Picture
from daemon.scoring import catalog
from daemon.scoring.open_scorer import open_scorer
from daemon.scoring.protocol import Scorer

PLAIN_FRAMES, PLAIN_SIDE = 3, 192
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Result:
    """One file's figures. Seconds are of all frames.

    ``machine`` is the processor's name, ``ffmpeg`` and ``pyav`` are plain decodes, ``stages`` the costs of each stage
    alone, ``once`` the whole as a process of its own with its ``memory_mib`` at the highest, FFmpeg's left out.
    ``ratio`` is CPU of the whole over that of FFmpeg's decode. ``parts`` are CPU seconds of that very run by who took
    them, ``accounted`` is their share of the whole, ``alone`` that of the stages, each of which was measured alone.
    """

    video: str
    codec: str
    pix_fmt: str
    width: int
    height: int
    frames: int
    machine: str
    cores: int
    ffmpeg_version: str
    scorer: str
    ffmpeg: Cost
    pyav: Cost
    once: Cost
    memory_mib: float
    ratio: float
    accounted: float
    alone: float
    pyiqa_fps: float | None
    times_pyiqa: float | None
    stages: dict[str, Cost] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def bench(path: Path, config: Config) -> Result:
    """Measure one file. Raises StillwatchError like the daemon would."""
    info = probe(path, config.decode)
    binary = find_binary(config.export.ffmpeg)
    # What is to be compiled on this machine is compiled now, not while the clock runs.
    bench_stages.start(config)
    ffmpeg = bench_stages.ffmpeg_decode(binary, path, info.stream_index)
    with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as folder:
        usage = Usage()
        whole, memory = bench_stages.once(path, config, Path(folder), count=config.select.count, usage=usage)
        # Nothing is scored any more: it starts, chooses by another count, and exports. A still that is there would be
        # taken as it is.
        with suppress(FileNotFoundError):
            shutil.rmtree(Path(folder) / bench_stages.STILLS)
        again, _ = bench_stages.once(path, config, Path(folder), count=(config.select.limit or 10) + 1)
    scorer = open_scorer(config.score)
    try:
        start = bench_stages.start(config)
        pyav = bench_stages.pyav_decode(info, config)
        frames, stages, sample = bench_stages.decode_stages(info, config, scorer)
        stages["score"] = bench_stages.score(scorer, sample, frames)
        stages["store"] = asyncio.run(bench_stages.store(config, frames, sample))
        stages = {"start": start, **stages, "choose and export": again.less(start)}
        plain = _plain_fps(config, scorer, bench_stages.pictures(info, config, sample, PLAIN_SIDE, PLAIN_FRAMES))
    finally:
        scorer.close()
    scoring, parts = stages["score"], usage.by_work
    return Result(
        video=path.name,
        codec=info.codec,
        pix_fmt=info.pix_fmt,
        width=info.width,
        height=info.height,
        frames=frames,
        machine=machine(),
        cores=len(os.sched_getaffinity(0)),
        ffmpeg_version=bench_stages.version(binary),
        scorer=scorer.identity,
        ffmpeg=ffmpeg,
        pyav=pyav,
        once=whole,
        memory_mib=memory / MIB,
        ratio=whole.cpu_s / ffmpeg.cpu_s,
        accounted=sum(parts.values()) / whole.cpu_s,
        alone=sum(cost.cpu_s for cost in stages.values()) / whole.cpu_s,
        pyiqa_fps=plain,
        times_pyiqa=frames / scoring.wall_s / plain if plain else None,
        stages=stages,
        parts=parts,
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
    """Measure one file, or made clips of several sizes, depths and codecs."""
    if file is not None:
        yield bench(file, config)
        return
    with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as folder:
        for clip in bench_clips.made(find_binary(config.export.ffmpeg), Path(folder)):
            yield bench(clip, config)
            clip.unlink()


def _plain_fps(config: Config, scorer: Scorer, pictures: list[Picture]) -> float | None:
    """Frames a second of pyiqa's own loop; None where it is not installed or not comparable."""
    if not pictures or pictures[0].itemsize != 1 or config.score.metric not in ("niqe", "piqe"):
        return None
    if scorer.device != "cpu" or catalog.lacking():
        return None
    from daemon.cli.bench_baseline import plain_loop_seconds

    return len(pictures) / plain_loop_seconds(config.score.metric, pictures)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return round(value, 4) if isinstance(value, float) else value
