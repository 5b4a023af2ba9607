"""``make film-bench``: our strategies beside others on real films, counted by hand-made truth, and sheets to judge blind.

    python -m tests.film_bench FILMS [--truth TRUTH.json] [--count 8] [--cache FOLDER] [--sheets FOLDER] [--seed 1]

TRUTH.json holds ``{"name": {"file", "frames", "shots": [[first, last]...], "never": [[first, last, kind]...],
"most"}}`` in decode ordinals: what a good choice shows, spans that no still should come from, and how many different
pictures a film has where that is less than asked for. Without it all films of the folder are chosen from and drawn.

Counted per system: stills given of those asked for; shots shown of those that so many stills can show; bad: picks in
a ``never`` span; doubles: pairs of picks whose 96x54 pictures differ by less than 6 codes, root mean square. The
sheets have one row per system, its letter shuffled by film; ``key.json`` says which letter is which.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw

from tests.selection_bench import clips_in, ours, score, thumbnails, uniform

OWN = ("representative", "per-shot", "best", "even", "poster")
ALIKE_CODES = 6.0
TILE, MARGIN, COLUMNS = (320, 180), 18, 8
"""A picture's largest size on a sheet, the space for its words, and pictures in a row."""

System = Callable[[Path, int, int], list[int]]
"""From a film, its number of frames and the stills asked for to ordinals, best first."""


@dataclass
class Count:
    """One system's figures on one film or on all."""

    asked: int = 0
    given: int = 0
    shots: int = 0
    shown: int = 0
    bad: int = 0
    doubles: int = 0

    def add(self, other: Count) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def row(self, name: str) -> str:
        return f"| {name} | {self.given} of {self.asked} | {self.shown} of {self.shots} | {self.bad} | {self.doubles} |"


def frames_of(film: Path) -> int:
    """How many frames the decoder gives."""
    with av.open(str(film)) as container:
        return sum(1 for _ in container.decode(video=0))


def pictures(film: Path, wanted: set[int]) -> dict[int, Image.Image]:
    """Frames by ordinal, of the size of a sheet's pictures."""
    found: dict[int, Image.Image] = {}
    with av.open(str(film)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                picture: Image.Image = frame.to_image()
                picture.thumbnail(TILE, Image.Resampling.BOX)
                found[number] = picture
    return found


def count(truth: Mapping[str, Any], picks: Sequence[int], asked: int, seen: Mapping[int, Image.Image]) -> Count:
    """What the truth says of some picks."""
    ordered = sorted(set(picks))
    bad = {pick for pick in ordered for first, last, _ in truth["never"] if first <= pick <= last}
    shots = [span for span in truth["shots"] if not _mostly_never(span, truth["never"])]
    shown = sum(any(first <= pick <= last and pick not in bad for pick in ordered) for first, last in shots)
    small = {p: np.asarray(seen[p].resize((96, 54), Image.Resampling.BOX), np.float32) for p in ordered if p in seen}
    doubles = sum(
        float(np.sqrt(((small[one] - small[other]) ** 2).mean())) < ALIKE_CODES
        for at, one in enumerate(ordered)
        for other in ordered[at + 1 :]
        if one in small and other in small
    )
    most = min(asked, truth.get("most", asked))
    return Count(most, min(len(ordered), most), min(len(shots), asked), min(shown, asked), len(bad), doubles)


def _mostly_never(span: Sequence[int], never: Sequence[Sequence[Any]]) -> bool:
    return any(min(span[1], last) - max(span[0], first) > (span[1] - span[0]) / 2 for first, last, _ in never)


def scene_middles(film: Path, frames: int, asked: int) -> list[int]:
    """The middles of PySceneDetect's scenes, the longest of them where there are more than asked for."""
    from scenedetect import AdaptiveDetector, detect

    spans = [(a.get_frames(), b.get_frames()) for a, b in detect(str(film), AdaptiveDetector())] or [(0, frames)]
    spans.sort(key=lambda span: span[0] - span[1])
    return [(first + after) // 2 for first, after in spans[:asked]]


def systems(cache: Path) -> dict[str, System]:
    """Every system that is here, by name."""

    def own(strategy: str) -> System:
        def choose(film: Path, _: int, asked: int) -> list[int]:
            asyncio.run(score(film, cache / "scores.db"))
            return asyncio.run(ours(film, cache / "scores.db", strategy, asked))

        return choose

    found = {strategy: own(strategy) for strategy in OWN}
    found["uniform"] = lambda _, frames, asked: uniform(frames, asked)
    found["ffmpeg thumbnail"] = thumbnails
    if importlib.util.find_spec("scenedetect"):
        found["PySceneDetect"] = scene_middles
    return found


def sheet(rows: Sequence[tuple[str, Sequence[int]]], seen: Mapping[int, Image.Image]) -> Image.Image:
    """One row per system under its letter, the picks in order of time."""
    wide, tall = TILE
    lines = [(letter, sorted(picks)[start : start + COLUMNS], start == 0) for letter, picks in rows
             for start in range(0, max(len(picks), 1), COLUMNS)]  # fmt: skip
    drawn = Image.new("RGB", (MARGIN + COLUMNS * (wide + 4), len(lines) * (tall + 4)), "white")
    draw = ImageDraw.Draw(drawn)
    for line, (letter, picks, first) in enumerate(lines):
        if first:
            draw.text((4, line * (tall + 4) + 4), letter, fill="black")
        for column, pick in enumerate(picks):
            drawn.paste(seen[pick], (MARGIN + column * (wide + 4), line * (tall + 4)))
    return drawn


def draw_sheets(chosen: Mapping[str, Mapping[str, list[int]]], films: Mapping[str, Path], folder: Path, seed: int,
                names: Sequence[str]) -> None:  # fmt: skip
    """A sheet per film with shuffled letters, and ``key.json`` beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    key: dict[str, dict[str, str]] = {}
    for film, picks in chosen.items():
        order = [names[at] for at in rng.permutation(len(names))]
        letters = {chr(ord("A") + at): name for at, name in enumerate(order)}
        seen = pictures(films[film], {pick for name in names for pick in picks[name]})
        rows = [(letter, [pick for pick in picks[name] if pick in seen]) for letter, name in letters.items()]
        sheet(rows, seen).save(folder / f"{film}.png")
        key[film] = letters
    (folder / "key.json").write_text(json.dumps(key, indent=1))


def run(films: Mapping[str, Path], truth: Mapping[str, Any], asked: int, cache: Path,
        tell: Callable[[str], None]) -> tuple[dict[str, dict[str, list[int]]], dict[str, Count]]:  # fmt: skip
    """What every system takes of every film, and what the truth says of it."""
    chosen: dict[str, dict[str, list[int]]] = {}
    totals: dict[str, Count] = {}
    for name, film in films.items():
        frames = frames_of(film)
        chosen[name] = {system: choose(film, frames, asked) for system, choose in systems(cache).items()}
        if name not in truth:
            continue
        seen = pictures(film, {pick for picks in chosen[name].values() for pick in picks})
        for system, picks in chosen[name].items():
            counted = count(truth[name], picks, asked, seen)
            totals.setdefault(system, Count()).add(counted)
            tell(f"{name:12} {counted.row(system)}")
    return chosen, totals


def main() -> None:
    """Print the table, and draw the sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, help="a folder of films")
    parser.add_argument("--truth", type=Path, help="what is in them")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--cache", type=Path, help="keep scores here")
    parser.add_argument("--sheets", type=Path, help="draw contact sheets into this folder")
    parser.add_argument("--systems", help="on the sheets, by comma; all of them unless told")
    parser.add_argument("--seed", type=int, default=1, help="of the shuffled letters")
    parser.add_argument("--verbose", action="store_true", help="a line per film and system")
    arguments = parser.parse_args()
    truth = json.loads(arguments.truth.read_text()) if arguments.truth else {}
    films = {name: arguments.films / one["file"] for name, one in truth.items()}
    films = films or {path.stem: path for path in clips_in(arguments.films)}
    with tempfile.TemporaryDirectory(prefix="stillwatch-bench-") as scratch:
        cache = arguments.cache or Path(scratch)
        cache.mkdir(parents=True, exist_ok=True)
        tell = print if arguments.verbose else lambda _: None
        chosen, totals = run(films, truth, arguments.count, cache, tell)
    if totals:
        print("| system | stills given | shots shown | bad | doubles |\n| --- | --- | --- | --- | --- |")
        for system, total in totals.items():
            print(total.row(system))
    if arguments.sheets:
        names = arguments.systems.split(",") if arguments.systems else list(next(iter(chosen.values())))
        draw_sheets(chosen, films, arguments.sheets, arguments.seed, names)


if __name__ == "__main__":
    main()
