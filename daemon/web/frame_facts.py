"""What is known of a frame: its score, its place among others, why it was or was not chosen, what else there is."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException

from daemon.model import ShotKind, VideoRecord
from daemon.selection.alternatives import alternatives
from daemon.web import shown
from daemon.web.context import Context
from daemon.web.curve import Film, percentile
from daemon.web.stills import stills_of

MOST_ALTERNATIVES = 8


async def frame_facts(here: Context, record: VideoRecord, frame: int) -> dict[str, Any]:
    """All of it, ready for JSON. Raises HTTPException(404) where the film has no such frame."""
    film = await here.films.film(record.id)
    at = _row_of(film, frame)
    table = film.columns
    row = (await here.store.frames.rows(record.id, [frame]))[frame]
    word = table.words[table.verdict[at]]
    stills, _ = await stills_of(here.store, record)
    still = next((one for one in stills if one["frame"] == frame), None)
    shots = await here.store.analysis.shots(record.id)
    shot = next((number for number, one in enumerate(shots) if one.first <= frame <= one.last), None)
    inside = slice(shots[shot].first, shots[shot].last + 1) if shot is not None else slice(0, film.frames)
    lower_better = bool(record.lower_better)
    origin = record.info.origin if record.info is not None else None
    scored = row.score is not None
    return {
        "frame": frame,
        "frames": film.frames,
        "time_s": row.time_s,
        "time": shown.clock(row.time_s),
        "pts": row.pts,
        "captured": origin.captured_after(row.time_s) if origin is not None else None,
        "metric": record.metric,
        "score": None if row.score is None else round(row.score, 4),
        "note": row.note,
        "verdict": word,
        "verdict_text": shown.VERDICTS.get(word, word),
        "percentile_film": percentile(table.score, row.score or 0.0, lower_better=lower_better) if scored else None,
        "percentile_shot": (
            percentile(table.score[inside], row.score or 0.0, lower_better=lower_better) if scored else None
        ),
        "shot": None if shot is None else shot + 1,
        "transition": shot is not None and shots[shot].kind is not ShotKind.SHOT,
        "rank": None if still is None else still["rank"],
        "why": _why(still, word, row.note),
        "alternatives": _others(film, at, inside, [one["frame"] for one in stills], lower_better),
    }


def _row_of(film: Film, frame: int) -> int:
    at = int(np.searchsorted(film.columns.frame, frame))
    if at >= film.frames or int(film.columns.frame[at]) != frame:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"the film has no frame {frame}")
    return at


def _why(still: dict[str, Any] | None, word: str, note: str | None) -> str:
    if still is not None:
        return f"Still {still['rank']}" + (f": {still['why']}" if still["why"] else "")
    if word == "good":
        return "Good, but another frame shows the same or scores better"
    if word == "":
        return f"Not judged{': ' + note if note else ''}"
    return f"Not chosen: {shown.VERDICTS.get(word, word)}"


def _others(film: Film, at: int, inside: slice, chosen: list[int], lower_better: bool) -> list[dict[str, Any]]:
    """Other good frames of the same moment that are not chosen, the best first."""
    table = film.columns
    usable = _good(film) & ~np.isin(table.frame, chosen)
    usable[: inside.start] = usable[inside.stop :] = False
    found = alternatives(table.time_s, table.score, usable, at, lower_better=lower_better, count=MOST_ALTERNATIVES)
    return [
        {
            "frame": int(table.frame[place]),
            "time": shown.clock(float(table.time_s[place])),
            "score": round(float(table.score[place]), 4),
        }
        for place in found
    ]


def _good(film: Film) -> NDArray[np.bool_]:
    words = film.columns.words
    return np.isin(
        film.columns.verdict, [code for code, word in enumerate(words) if word in ("good", "spared", "subtitled", "")]
    )
