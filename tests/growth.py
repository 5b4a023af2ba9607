"""Whether what grows stays as cheap: films from a minute to ten hours, and a database from 100 films to 10,000.

    python -m tests.growth lengths FILM [--minutes 1,10,60,600]
    python -m tests.growth database FILM [--films 100,10000] [--frames 20000000]

``lengths`` repeats a film without encoding it anew and takes each one through `once`, choice and stills included.
``database`` scores the film once and copies its rows until there are so many films with so many frames in all (the
strip's pictures are not copied). The commands are asked about that film, the page about the newest one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av

from daemon.cli.bench_stages import Cost, child, once
from daemon.config.schema import Config
from tests.acceptance.harness import write_config

SIZE = "426:240"
STILLS = 10
TURNS = 3
PER_FILM = ("shots", "packet_index", "decoded_frames", "frame_scores", "feature_blocks")
"""Tables whose rows belong to a film and are copied as they are."""


@dataclass(frozen=True, slots=True)
class Film:
    """What one length costs."""

    minutes: float
    frames: int
    cost: Cost
    memory_bytes: int

    def row(self) -> str:
        each = self.cost.cpu_s / self.frames * 1000
        return (
            f"| {self.minutes:g} | {self.frames} | {self.cost.cpu_s:.1f} | {each:.3f} | {self.cost.wall_s:.0f}"
            f" | {self.memory_bytes / 2**20:.0f} |"
        )


def frames_of(path: Path) -> int:
    """How many packets its video has."""
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def ffmpeg(*arguments: str) -> None:
    """Run FFmpeg. Raises CalledProcessError."""
    subprocess.run(["ffmpeg", "-nostdin", "-y", "-loglevel", "error", *arguments], check=True)


def small(film: Path, folder: Path) -> Path:
    """A minute of the film, repeated where it is shorter, in 426x240."""
    path = folder / "minute.mp4"
    coding = ["-t", "60", "-an", "-vf", f"scale={SIZE}", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "250"]
    ffmpeg("-stream_loop", "-1", "-i", str(film), *coding, str(path))
    return path


def lengths(film: Path, minutes: Sequence[int], folder: Path) -> Iterator[Film]:
    """Each length, taken through the pipeline."""
    minute = small(film, folder)
    for count in minutes:
        path = folder / f"{count}.mp4"
        ffmpeg("-stream_loop", str(count - 1), "-i", str(minute), "-c", "copy", str(path))
        out = folder / f"out-{count}"
        out.mkdir()
        cost, memory = once(path, Config(), out, count=STILLS)
        yield Film(count, frames_of(path), cost, memory)
        shutil.rmtree(out)
        path.unlink()


class Copies:
    """A database in which one film's rows stand many times, each time as a film of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(sqlite3.connect(path)) as db:
            (self.frames,) = db.execute("SELECT COUNT(*) FROM decoded_frames WHERE video_id = 1").fetchone()
            (self.here,) = db.execute("SELECT MAX(id) FROM videos").fetchone()
            columns = {name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in self._tables(db)}
        self._columns = columns

    @staticmethod
    def _tables(db: sqlite3.Connection) -> list[str]:
        return [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]

    def grow(self, films: int) -> None:
        """Up to so many films, each with its selection and its stills."""
        with closing(sqlite3.connect(self._path, isolation_level=None)) as db:
            for start in range(self.here + 1, films + 1, 100):
                db.execute("BEGIN")
                for number in range(start, min(start + 100, films + 1)):
                    self._copy(db, number)
                db.execute("COMMIT")
        self.here = max(self.here, films)

    def _copy(self, db: sqlite3.Connection, number: int) -> None:
        own = {"id": str(number), "fingerprint": f"'{number:064x}'", "digest": f"'{number:064x}'"}
        own["path"] = f"replace(path, '.mp4', '-{number}.mp4')"
        self._insert(db, "videos", own, "id = 1")
        for table in PER_FILM:
            self._insert(db, table, {"video_id": str(number)}, "video_id = 1")
        # Below those that choosing in between makes.
        selection = str(-number)
        self._insert(db, "selections", {"id": selection, "video_id": str(number)}, "id = 1")
        self._insert(db, "stills", {"selection_id": selection, "video_id": str(number)}, "selection_id = 1")

    def _insert(self, db: sqlite3.Connection, table: str, own: dict[str, str], where: str) -> None:
        columns = self._columns[table]
        values = ", ".join(own.get(column, column) for column in columns)
        db.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE {where}")


COMMANDS = (["status"], ["list"], ["show", "1"], ["show", "1", "--frame", "10"], ["select", "1", "--count", "5"])


def timed(command: Sequence[str], config: Path) -> float:
    """CPU seconds of a command, the least of some turns. Raises RuntimeError where it fails."""
    costs = []
    for _ in range(TURNS):
        whole = [sys.executable, "-m", "daemon", *command, "--config", str(config)]
        cost, _, code = child(whole, dict(os.environ))
        if code:
            raise RuntimeError(f"{command} ended with {code}")
        costs.append(cost.cpu_s)
    return min(costs)


def pages(config: Path, video: int) -> dict[str, float]:
    """Seconds until the list, a film's page and its curve have come, the least of some turns."""
    # Imported here: `lengths` has no use for it.
    from tests.acceptance.test_review_process import Client, reviewing

    paths = {"page: list": "/", "page: film": f"/films/{video}", "page: curve": f"/films/{video}/curve?columns=1000"}
    found: dict[str, float] = {}
    with reviewing(config) as (_, address), Client(address) as client:
        for name, path in paths.items():
            for _ in range(TURNS):
                started = time.perf_counter()
                client.get(path)
                found[name] = min(found.get(name, 1e9), time.perf_counter() - started)
    return found


def database(film: Path, films: Sequence[int], frames: int, folder: Path) -> Iterator[str]:
    """Rows of a table: what is asked, and what it takes at each number of films."""
    config = write_config(folder)
    each = max(frames // max(films), 1)
    source = folder / "film.mp4"
    ffmpeg("-stream_loop", "-1", "-i", str(small(film, folder)), "-c", "copy", "-frames:v", str(each), str(source))
    subprocess.run([sys.executable, "-m", "daemon", "once", str(source), "--config", str(config)], check=True)
    path = folder / "stillwatch.db"
    copies = Copies(path)
    found: list[dict[str, float]] = []
    for count in films:
        copies.grow(count)
        figures = {" ".join(command): timed(command, config) for command in COMMANDS}
        figures |= pages(config, count)
        figures["MiB on disk"] = path.stat().st_size / 2**20
        found.append(figures)
    yield "| | " + " | ".join(f"{count} films, {count * copies.frames} frames" for count in films) + " |"
    yield "| --- |" + " --- |" * len(films)
    for name in found[0]:
        yield f"| {name} | " + " | ".join(f"{figures[name]:.2f}" for figures in found) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("lengths", "database"))
    parser.add_argument("film", type=Path)
    parser.add_argument("--minutes", default="1,10,60,600")
    parser.add_argument("--films", default="100,10000")
    parser.add_argument("--frames", type=int, default=20_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stillwatch-growth-") as folder:
        if arguments.what == "lengths":
            print("| minutes | frames | CPU s | CPU ms a frame | wall s | MiB |\n" + "| --- " * 6 + "|")
            for one in lengths(arguments.film, [int(word) for word in arguments.minutes.split(",")], Path(folder)):
                print(one.row(), flush=True)
            return
        films = [int(word) for word in arguments.films.split(",")]
        for line in database(arguments.film, films, arguments.frames, Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
