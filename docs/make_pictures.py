"""Make the picture of the README again: the stills that stillwatch chooses beside uniform sampling of the same film.

    python docs/make_pictures.py FILM [--count 5] [--credit "title, author, licence"] [--strategies]

With ``--strategies``, the picture of docs/choosing.md: a row for every way to choose.

The film goes through ``stillwatch once`` in a scratch folder. Uniform sampling takes the frame that is shown at
(i + 0.5) / count of the duration. Both rows are in the order of time. The film itself is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/images/chosen-beside-uniform.jpg"
STRATEGIES_PICTURE = ROOT / "docs/images/strategies.jpg"
STRATEGIES = {
    "representative": "representative: good, unlike each other, together what is in the film",
    "per-shot": "per-shot: one of each scene",
    "best": "best: the best scores, a gap apart",
    "even": "even: one of each equal part",
    "poster": "poster: one to stand for the film, and its alternatives",
}
"""What the rows are called."""
CREDIT = "Film: Big Buck Bunny, © 2008 Blender Foundation, peach.blender.org, CC BY 3.0"

WIDTH = 1240
"""Pixels of the whole picture: GitHub shows a README some 900 wide, screens of double density some more."""
GAP = 8
LABEL = 30
BACKGROUND = "white"
INK = "#222222"
JPEG_QUALITY = 85

Row = Sequence[tuple[float, Image.Image]]
"""Seconds from the start, and the picture."""


def chosen(film: Path, count: int, strategy: str = "representative") -> Row:
    """The stills that ``stillwatch once`` makes of the film, with nothing set but their number and the strategy.

    In the order of time; for a poster, by rank.
    """
    with tempfile.TemporaryDirectory() as scratch:
        settings = {
            "STILLWATCH_DATABASE__PATH": f"{scratch}/stillwatch.db",
            "STILLWATCH_OUTPUT__PATH": f"{scratch}/stills",
            "STILLWATCH_SELECT__COUNT": str(count),
            "STILLWATCH_SELECT__STRATEGY": strategy,
            "STILLWATCH_LOG__LEVEL": "error",
        }
        command = [sys.executable, "-m", "daemon", "once", "--json", str(film.resolve())]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, check=True)
        video: dict[str, Any] = json.loads(done.stdout)[0]
        stills = sorted(video["stills"], key=lambda still: still["rank" if strategy == "poster" else "time_s"])
        return [(still["time_s"], Image.open(still["path"]).convert("RGB")) for still in stills]


def uniform(film: Path, count: int) -> Row:
    """The frames that are shown in the middle of ``count`` equal parts of the film."""
    with av.open(str(film)) as container:
        duration = container.duration
        if duration is None:
            raise SystemExit(f"{film} does not say how long it is: take another one")
        row: list[tuple[float, Image.Image]] = []
        wanted = [(number + 0.5) / count * duration / av.time_base for number in range(count)]
        before: tuple[float, Image.Image] | None = None
        for frame in container.decode(video=0):
            start = container.start_time or 0
            second = float(frame.time or 0.0) - start / av.time_base
            while before is not None and len(row) < count and second > wanted[len(row)]:
                row.append(before)
            before = second, Image.fromarray(frame.to_ndarray(format="rgb24"))
        # Sound may last longer than the pictures: the last one is shown to the end.
        return row + [before] * (count - len(row)) if before is not None else row


def sheet(rows: Sequence[tuple[str, Row]], credit: str) -> Image.Image:
    """One picture of labelled rows, the same size for every cell, with the film's author and licence below."""
    columns = max(len(row) for _, row in rows)
    first = rows[0][1][0][1]
    cell = (WIDTH - GAP * (columns + 1)) // columns
    height = round(cell * first.height / first.width)
    picture = Image.new("RGB", (WIDTH, len(rows) * (LABEL + height + GAP) + LABEL), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    font, small = ImageFont.load_default(19), ImageFont.load_default(14)
    top = 0
    for label, row in rows:
        draw.text((GAP, top + LABEL / 2), label, INK, font, anchor="lm")
        for column, (_, still) in enumerate(row):
            picture.paste(
                still.resize((cell, height), Image.Resampling.LANCZOS), (GAP + column * (cell + GAP), top + LABEL)
            )
        top += LABEL + height + GAP
    draw.text((WIDTH - GAP, top + LABEL / 2 - GAP / 2), credit, INK, small, anchor="rm")
    return picture


def main() -> None:
    """Read the arguments, make the picture, say where it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--count", type=int, default=5, help="stills in a row")
    parser.add_argument("--credit", default=CREDIT, help="title, author and licence of the film")
    parser.add_argument("--strategies", action="store_true", help="a row for every way to choose")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.strategies:
        rows = [(told, chosen(given.film, given.count, strategy)) for strategy, told in STRATEGIES.items()]
    else:
        rows = [
            (f"stillwatch: {given.count} stills, chosen from every frame", chosen(given.film, given.count)),
            ("Uniform sampling of the same film", uniform(given.film, given.count)),
        ]
    output: Path = given.output or (STRATEGIES_PICTURE if given.strategies else PICTURE)
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet(rows, given.credit).save(output, quality=JPEG_QUALITY, optimize=True)
    sys.stdout.write(f"{output}: {output.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
