"""A film's report: one HTML file that holds everything, for sending. It shows what the page shows."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment

from daemon.model import ShotKind, VideoRecord
from daemon.store.store import Store
from daemon.web import shown
from daemon.web.curve import Film, curve
from daemon.web.sheet import columns_of, facts_line, small_picture, upright
from daemon.web.stills import small_still, stills_of

WIDTH, HEIGHT, BAND, TOP = 1200, 260, 10, 14
STRIP_PICTURES = 24
TIMES = 8
STILL_PIXELS = 960
COLOURS = {
    "unscored": "#7d8590", "black": "#3d4451", "white": "#c9c2b2", "flat": "#8d99ae", "title": "#4c7bd9",
    "titled": "#6f95e0", "transition": "#8f6fd1", "burnt": "#e0a100", "dark": "#5b4a8a", "blur": "#d2603a",
    "blocks": "#b0457b", "combed": "#2d9c8f", "bars": "#3f8f4f", "snow": "#6b7f99", "spared": "#a8b545",
    "subtitled": "#8fb3e8", "leader": "#9c7a4a", "glitch": "#c2185b",
}  # fmt: skip
"""As in curve.js."""


async def report(store: Store, record: VideoRecord, templates: Environment, output: Path) -> str:
    """The whole file as text; the stills are below ``output``. Raises StoreError."""
    columns = await columns_of(store, record)
    film = Film(columns, await store.review.second(record.id, columns.frame))
    stills, selection = await stills_of(store, record)
    data = curve(film, 0, film.frames - 1, WIDTH)
    step = max(film.frames // STRIP_PICTURES, 1)
    strip = []
    for frame in range(step // 2, film.frames, step):
        picture = await small_picture(store, record, frame)
        if picture is not None:
            score = float(columns.score[frame]) if frame < len(columns.score) else float("nan")
            strip.append(
                {
                    "picture": _embedded(picture),
                    "time": shown.clock(float(columns.time_s[frame])),
                    "score": None if score != score else round(score, 2),
                }
            )
    for still in stills:
        still["picture"] = await asyncio.to_thread(_still, still, output)
    decided = await store.decisions.decided(record.id)
    shots = [(one.kind is ShotKind.SHOT, one.first, one.last) for one in await store.analysis.shots(record.id)]
    return templates.get_template("report.html").render(
        name=shown.shown_name(record.file.path.name),
        facts=facts_line(record, len(stills)),
        record=record,
        stills=stills,
        selection=selection,
        strip=strip[:STRIP_PICTURES],
        drawing=drawing(data, film, shots, stills, lower_better=bool(record.lower_better)),
        verdicts=await store.analysis.verdicts(record.id),
        colours=COLOURS,
        decided=decided,
        notes=dict(decided.notes),
        upright=upright(record),
        width=WIDTH,
        height=HEIGHT,
    )


def drawing(
    data: dict[str, Any],
    film: Film,
    shots: list[tuple[bool, int, int]],
    stills: list[dict[str, Any]],
    *,
    lower_better: bool,
) -> dict[str, Any]:
    """The curve as the coordinates of an SVG: ``raw`` and ``rolling`` are paths, the rest is in pixels."""
    count = max(film.frames, 1)
    y = _heights([*data["low"], *data["high"]], lower_better=lower_better)

    def x(frame: float) -> float:
        return round(frame / count * WIDTH, 1)

    ends = [*data["starts"][1:], count]
    # In a short film, whole seconds would name the same time twice; a film without frames has none.
    seconds = float(film.columns.time_s[-1] - film.columns.time_s[0]) if film.frames else 0.0
    cut = -4 if seconds >= 2 * TIMES else -1
    raw: list[str] = []
    rolling: list[str] = []
    bands: list[dict[str, Any]] = []
    pen = dot = "M"
    for start, end, least, most, middle, verdict in zip(
        data["starts"], ends, data["low"], data["high"], data["rolling"], data["verdict"], strict=True
    ):
        if least is None:
            dot = "M"
        elif film.frames <= WIDTH:
            raw.append(f"{dot}{x((start + end) / 2)} {y(least)}")
            dot = "L"
        else:
            raw.append(f"M{x((start + end) / 2)} {y(least) - 0.5}V{y(most) + 0.5}")
        if middle is None:
            pen = "M"
        else:
            rolling.append(f"{pen}{x((start + end) / 2)} {y(middle)}")
            pen = "L"
        word = film.columns.words[verdict]
        if word not in COLOURS:
            continue
        if bands and bands[-1]["word"] == word and bands[-1]["end"] == start:
            bands[-1]["end"] = end
        else:
            bands.append({"word": word, "start": start, "end": end})
    return {
        "second": _second(data, x, ends),
        "raw": "".join(raw),
        "rolling": "".join(rolling),
        "bands": [
            {"x": x(one["start"]), "width": max(x(one["end"] - one["start"]), 1), "colour": COLOURS[one["word"]],
             "word": shown.VERDICTS.get(one["word"], one["word"])}
            for one in bands
        ],
        "band_y": HEIGHT - BAND,
        "band": BAND,
        "times": [
            (x(frame), shown.clock(float(film.columns.time_s[int(frame)]))[:cut])
            for frame in ((part + 0.5) * count / TIMES for part in range(TIMES))
        ],
        "ticks": [x(first) for is_shot, first, _ in shots if is_shot],
        "mixes": [(x(first), max(x(last + 1 - first), 1)) for is_shot, first, last in shots if not is_shot],
        "dots": [
            {"x": x(one["frame"] + 0.5), "y": y(one["score"]), "rank": one["rank"], "time": one["time"]}
            for one in stills
        ],
    }  # fmt: skip


def _heights(scores: Iterable[float | None], *, lower_better: bool) -> Callable[[float], float]:
    """From a score to its pixel, the better the higher; the range is that of all but the outermost hundredths."""
    known = sorted(score for score in scores if score is not None)
    low, high = (known[len(known) // 100], known[-1 - len(known) // 100]) if known else (0.0, 1.0)

    def y(score: float) -> float:
        share = min(max((score - low) / ((high - low) or 1), -0.03), 1.03)
        return round(TOP + 8 + (share if lower_better else 1 - share) * (HEIGHT - BAND - TOP - 24), 1)

    return y


def _second(data: dict[str, Any], x: Callable[[float], float], ends: list[int]) -> dict[str, str] | None:
    """The second metric's curve as a path, over its own range."""
    second = data.get("second")
    if second is None or all(value is None for value in second["score"]):
        return None
    y = _heights(second["score"], lower_better=second["lowerBetter"])
    parts, pen = [], "M"
    for start, end, value in zip(data["starts"], ends, second["score"], strict=True):
        if value is None:
            continue
        parts.append(f"{pen}{x((start + end) / 2)} {y(value)}")
        pen = "L"
    return {"path": "".join(parts), "metric": second["metric"]}


def _embedded(picture: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(picture).decode("ascii")


def _still(still: dict[str, Any], output: Path) -> str | None:
    pixels = still["width"] * still["height"]
    try:
        return _embedded(small_still(Path(still["path"]), output, STILL_PIXELS, pixels))
    except (OSError, SyntaxError, ValueError):
        # It was moved or deleted, or is not ours any more: the report says what there was all the same.
        return None
