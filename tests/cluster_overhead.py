"""What scoring through Ray costs beside scoring here: seconds of a processor for the same film, by turns.

    python -m tests.cluster_overhead [--turns 5] [--seconds 30] [--size 1280x720] [--scale 6]

Two daemons run side by side, one that scores here and one that scores on a Ray cluster of this machine, in a network of
its own (root). Both have scored a film before the first turn, so that starting counts for neither. In a turn each gets
the same film, one after the other, from the folder to its stills. Processes are known by a variable of their
environment, and by who has started them; all count, also Ray's own, with the children that have ended.

``--scale``: then so many films at once, on one worker and on two, each with one core; by the clock, and beside it how
much of the machine's processors they had, as others may use it too.
"""

from __future__ import annotations

import argparse
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import films
from tests.acceptance.harness import Daemon, write_config
from tests.cluster.ray_cluster import ROOT, RayCluster

TICKS = os.sysconf("SC_CLK_TCK")
MARK = "MEASURED_BY"
PATIENCE_SECONDS = 900.0
IDLE_SECONDS = 10.0
"""Nothing is given to them for so long: what they take then is what idleness costs."""


def processes(mark: bytes) -> Iterator[Path]:
    """The folders of those in whose environment the mark is, and of all that they have started."""
    marked: set[int] = set()
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if mark in (folder / "environ").read_bytes():
                    marked.add(int(folder.name))
            except OSError:
                continue
    for process in parents:
        line = [process]
        while line[-1] in parents and line[-1] not in marked:
            line.append(parents[line[-1]])
        if line[-1] in marked:
            marked.update(line)
    yield from (Path("/proc", str(process)) for process in marked)


def cpu_seconds(mark: bytes) -> float:
    """What they and their children that have ended have used of a processor."""
    ticks = 0
    for folder in processes(mark):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


def held_bytes(mark: bytes) -> dict[str, int]:
    """Proportional memory by what a process is called."""
    found: dict[str, int] = {}
    for folder in processes(mark):
        try:
            lines = (folder / "smaps_rollup").read_text().splitlines()
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        name = next((word for word in words if word.startswith((b"daemon", b"ray::", b"stillwatch"))), words[0])
        pss = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
        label = Path(name.decode("utf-8", "replace")).name[:40]
        found[label] = found.get(label, 0) + pss * 1024
    return found


@dataclass
class Side:
    """One of the two daemons."""

    name: str
    folder: Path
    daemon: Daemon
    mark: bytes

    def score(self, *sources: tuple[Path, int]) -> tuple[float, float]:
        """Give it films; seconds of a processor, and by the clock, until all are done."""
        before, began = cpu_seconds(self.mark), time.monotonic()
        for source, number in sources:
            put(source, self.folder / "inbox", number)
        for _ in sources:
            self.daemon.wait_for(lambda event: event["event"] in ("video.done", "video.failed"), PATIENCE_SECONDS)
        elapsed = time.monotonic() - began
        return cpu_seconds(self.mark) - before, elapsed


def put(source: Path, folder: Path, number: int) -> None:
    """The film once more: a box that every reader skips makes its bytes others."""
    own = number.to_bytes(8)
    part = folder / f".{number}.part"
    part.write_bytes(source.read_bytes() + (8 + len(own)).to_bytes(4) + b"free" + own)
    part.rename(folder / f"{number}.mp4")


def settings(folder: Path, cluster: dict[str, Any]) -> Path:
    """The configuration of one side."""
    folder.mkdir()
    service = {"poll_seconds": 0.2, "pause_seconds": 1.0, "retry_seconds": 0.5}
    return write_config(folder, service=service, cluster=cluster, select={"count": 1, "across": False})


@contextmanager
def here(folder: Path) -> Iterator[Side]:
    """The daemon that scores here, with one thread to decode as a worker with one core."""
    mark = secrets.token_hex(16)
    config = settings(folder, {})
    command = ["env", f"{MARK}={mark}", f"PYTHONPATH={ROOT}", sys.executable, "-P", "-m", "daemon", "run"]
    with Daemon(config, [*command, "--config", str(config)]) as daemon:
        daemon.ready()
        yield Side("here", folder, daemon, mark.encode())
        daemon.stop()


@contextmanager
def there(folder: Path, cluster: RayCluster, videos: int) -> Iterator[Side]:
    """The daemon that scores on the cluster, whose token marks its processes."""
    wanted = {"address": cluster.address, "num_cpus": 1, "videos": videos, "gone_seconds": 30.0}
    config = settings(folder, wanted)
    environment = [f"{key}={value}" for key, value in {**cluster.token, "PYTHONPATH": str(ROOT)}.items()]
    command = cluster.inside("env", *environment, sys.executable, "-P", "-m", "daemon", "run", "--config", str(config))
    with Daemon(config, command) as daemon:
        daemon.ready()
        yield Side("through Ray", folder, daemon, cluster.token["RAY_AUTH_TOKEN"].encode())
        daemon.stop()


def encoded(path: Path, size: str, seconds: int) -> Path:
    """Moving noise at 25 frames a second."""
    source = f"testsrc2=size={size}:rate=25:duration={seconds},noise=alls=12:allf=t"
    ffmpeg = films.ffmpeg_binaries()[0]
    command = [ffmpeg, "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264"]
    subprocess.run([*command, "-preset", "veryfast", "-g", "50", "-y", str(path)], check=True)
    return path


def turns(folder: Path, film: Path, warm: Path, count: int) -> None:
    """The table, and the share by which Ray costs more."""
    with ExitStack() as open_ones:
        cluster = open_ones.enter_context(RayCluster("node"))
        ray = open_ones.enter_context(there(folder / "there", cluster, 1))
        own = open_ones.enter_context(here(folder / "here"))
        for side in (own, ray):
            side.score((warm, 0))
        before, began = cpu_seconds(ray.mark), time.monotonic()
        time.sleep(IDLE_SECONDS)
        idle = (cpu_seconds(ray.mark) - before) / (time.monotonic() - began)
        print(f"Ray, the worker and the daemon while nothing is done: {idle:.3f} of a core")
        print("turn  here s  through Ray s  times   (by the clock)", flush=True)
        shares = []
        for turn in range(1, count + 1):
            # Whoever comes second finds another machine: each is first as often.
            pair = (own, ray) if turn % 2 else (ray, own)
            taken = {side.name: side.score((film, turn)) for side in pair}
            (cost, clock), (ray_cost, ray_clock) = taken[own.name], taken[ray.name]
            shares.append(ray_cost / cost)
            clocks = f"({clock:.0f} and {ray_clock:.0f} s)"
            print(f"{turn:4}  {cost:6.2f}  {ray_cost:13.2f}  {shares[-1]:5.3f}   {clocks}", flush=True)
        print(f"through Ray costs {statistics.median(shares):.3f} times as much (median of {count} turns)")
        for label, held in sorted(held_bytes(ray.mark).items(), key=lambda one: -one[1])[:12]:
            print(f"  {held / 2**20:6.0f} MiB  {label}")


def scaling(folder: Path, film: Path, warm: Path, count: int, seconds: int) -> None:
    """Films at once, on one worker and on two."""
    for workers in (1, 2):
        nodes = [f"node-{at}" for at in range(workers)]
        with RayCluster(*nodes) as cluster, there(folder / f"scale-{workers}", cluster, workers) as side:
            side.score(*((warm, at) for at in range(workers)))
            cost, clock = side.score(*((film, 100 + at) for at in range(count)))
        print(
            f"{workers} workers: {count} films of {seconds} s in {clock:.0f} s, {count * 3600 / clock:.0f} films an hour;"
            f" they had {cost / clock:.2f} processors, of which a film takes {cost / count:.2f} s",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--scale", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = encoded(folder / "film.mp4", asked.size, asked.seconds)
        warm = encoded(folder / "warm.mp4", asked.size, 4)
        if asked.turns:
            turns(folder, film, warm, asked.turns)
        if asked.scale:
            scaling(folder, film, warm, asked.scale, asked.seconds)


if __name__ == "__main__":
    main()
