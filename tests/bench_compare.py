"""What a film costs here and elsewhere: FFmpeg's ``thumbnail`` filter, PySceneDetect, wallpaper-frame-picker.

``make bench-compare FILM=film.mp4``. Each runs as a process of its own, one after the other, best of ``--rounds`` by CPU;
those that are not installed are left out. Beside the cost stands what it gives: nobody else's picks are proven, and
no other leaves a score for every frame.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from daemon.cli.bench import machine
from daemon.cli.bench_stages import Cost, child, version
from daemon.export.ffmpeg_process import find_binary

STILLS = 10
Command = Callable[[Path, Path], list[str]]
"""From a film and a folder for what it makes to a command line."""

_SCENES = (
    "import sys; from scenedetect import AdaptiveDetector, detect;"
    "open(sys.argv[2] + '/scenes.txt', 'w').write('\\n'.join(map(str, detect(sys.argv[1], AdaptiveDetector()))))"
)


def systems(ffmpeg: str) -> dict[str, tuple[str, Command]]:
    """What it gives and how it is called, by name, of those that are here."""
    quiet = [ffmpeg, "-nostdin", "-loglevel", "error", "-i"]
    found: dict[str, tuple[str, Command]] = {
        "FFmpeg's decode": ("nothing", lambda film, _: [*quiet, str(film), "-an", "-f", "null", "-"]),
        "stillwatch once": (
            f"a score for every frame, shots, {STILLS} proven stills",
            lambda film, _: [sys.executable, "-m", "daemon", "once", str(film)],
        ),
        "FFmpeg's thumbnail filter": (
            "of every 180 frames the one that is most like their mean",
            lambda film, folder: [
                *quiet, str(film), "-an", "-vf", "thumbnail=180", "-fps_mode", "passthrough", f"{folder}/%04d.png"
            ],
        ),
    }  # fmt: skip
    if importlib.util.find_spec("scenedetect"):
        found["PySceneDetect, adaptive"] = (
            "where scenes begin and end",
            lambda film, folder: [sys.executable, "-c", _SCENES, str(film), str(folder)],
        )
    if picker := shutil.which("wallpaper-frame-picker"):
        found["wallpaper-frame-picker"] = ("its picks", lambda film, _: [picker, str(film)])
    return found


def best(command: Command, film: Path, rounds: int) -> Cost | None:
    """The least CPU of some runs, each in a folder of its own; None where one fails."""
    costs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as folder:
            settings = {
                "STILLWATCH_DATABASE__PATH": f"{folder}/bench.db",
                "STILLWATCH_OUTPUT__PATH": f"{folder}/stills",
                "STILLWATCH_SELECT__COUNT": str(STILLS),
                "STILLWATCH_LOG__LEVEL": "error",
            }
            cost, _, code = child(command(film, Path(folder)), {**os.environ, **settings})
        if code:
            return None
        costs.append(cost)
    return min(costs, key=lambda cost: cost.cpu_s)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ffmpeg = find_binary("")
    base: Cost | None = None
    print("| | CPU s | times FFmpeg's decode | wall s | gives |\n| --- | --- | --- | --- | --- |")
    for name, (gives, command) in systems(ffmpeg).items():
        cost = best(command, arguments.film.absolute(), arguments.rounds)
        base = base or cost
        if cost is None or base is None:
            print(f"| {name} | fails | | | |", flush=True)
            continue
        ratio = cost.cpu_s / base.cpu_s
        print(f"| {name} | {cost.cpu_s:.2f} | {ratio:.2f} | {cost.wall_s:.2f} | {gives} |", flush=True)
    print(f"\n{len(os.sched_getaffinity(0))} cores of {machine()}; FFmpeg {version(ffmpeg)}")


if __name__ == "__main__":
    main()
