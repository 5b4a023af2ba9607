"""What judges say of the sheets of ``make film-bench``: our marks beside those of every other system, film by film.

    python -m tests.film_marks KEY.json MARKS.csv [MARKS.csv ...] [--own stillwatch] [--films trailer,phone]

KEY.json: ``{"film": {"letters": {"A": "system"}, "kind": "edited"}}``. MARKS.csv has the columns film, letter, technique,
coverage, doubles, as_they_are, poster; one file per judge. A film's mark is the mean over the judges; ``sheet`` is the
mean of the first four marks. The difference to another system is taken film by film: its mean over the films, and
its standard error, the standard deviation of the differences over the root of their number.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SHEET = ("technique", "coverage", "doubles", "as_they_are")
COLUMNS = (*SHEET, "poster")

Marks = dict[str, dict[str, dict[str, float]]]
"""By film, system and column."""


def read(key: Mapping[str, Any], files: Iterable[Path]) -> Marks:
    """The mean of the judges' marks. Raises KeyError for a film or a letter that the key does not have."""
    told: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for file in files:
        with file.open(newline="") as rows:
            for row in csv.DictReader(rows):
                system = key[row["film"].strip()]["letters"][row["letter"].strip()]
                for column in COLUMNS:
                    told[row["film"].strip()][system][column].append(float(row[column]))
    found: Marks = {}
    for film, systems in told.items():
        found[film] = {}
        for system, columns in systems.items():
            means = {column: float(np.mean(marks)) for column, marks in columns.items()}
            found[film][system] = {**means, "sheet": float(np.mean([means[column] for column in SHEET]))}
    return found


def difference(marks: Marks, films: Sequence[str], own: str, other: str, column: str) -> tuple[float, float]:
    """Ours less the other's: the mean over films and its standard error, NaN for a single film."""
    gaps = np.array([marks[film][own][column] - marks[film][other][column] for film in films])
    error = float(gaps.std(ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else float("nan")
    return float(gaps.mean()), error


def table(marks: Marks, films: Sequence[str], own: str) -> list[str]:
    """Lines of Markdown: every system's means, and what ours has more."""
    systems = sorted({system for film in films for system in marks[film]}, key=lambda name: (name != own, name))
    lines = [
        f"| {len(films)} films | " + " | ".join(COLUMNS) + " | sheet | ours more, sheet | ours more, poster |",
        "| " + " | ".join(["---"] * (len(COLUMNS) + 4)) + " |",
    ]
    for system in systems:
        means = [np.mean([marks[film][system][column] for film in films]) for column in (*COLUMNS, "sheet")]
        more = ["", ""]
        if system != own:
            gaps = [difference(marks, films, own, system, column) for column in ("sheet", "poster")]
            more = [f"{gap:+.2f} ± {error:.2f}" for gap, error in gaps]
        lines.append(f"| {system} | " + " | ".join([*(f"{mean:.2f}" for mean in means), *more]) + " |")
    return lines


def main() -> None:
    """Print the tables: all films, and those of each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("key", type=Path)
    parser.add_argument("marks", type=Path, nargs="+")
    parser.add_argument("--own", default="stillwatch")
    arguments = parser.parse_args()
    key = json.loads(arguments.key.read_text())
    marks = read(key, arguments.marks)
    kinds: dict[str, list[str]] = defaultdict(list)
    for film in marks:
        kinds[key[film].get("kind", "")].append(film)
    for name, films in {"all": list(marks), **kinds}.items():
        print(f"\n{name}: {', '.join(films)}\n")
        print("\n".join(table(marks, films, arguments.own)))


if __name__ == "__main__":
    main()
