"""Why one frame has its verdict: judged again from the stored features, with somebody who listens.

::

    stored   features, shots, verdict, newest selection
                 |
    gates again, for this frame's window alone  -->  each gate's figures, limits and comparable frames
                 |
    verdict and because, place among the scores, moment, still  -->  `show VIDEO --frame N`, the review page
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.analysis import features, gates
from daemon.analysis.film_figures import FilmFigures
from daemon.analysis.witness import Figure, Heard, Witness
from daemon.config.schema import Config
from daemon.errors import Kind, StoreError
from daemon.media import alpha
from daemon.model import Shot, VideoRecord
from daemon.pipeline.analyse_video import settings
from daemon.pipeline.calm_sharp_frames import with_calm_and_sharp
from daemon.pipeline.film import film_of, percentile, without_damaged
from daemon.pipeline.looks import FilmLooks
from daemon.pipeline.spool import spool
from daemon.selection.moments import MOMENT_SECONDS, moment_of
from daemon.selection.quality import Film
from daemon.store.frames import ScoreTable
from daemon.store.store import Store

_WRITTEN = {
    ("subtitled", "subtitled"): "a line of letters comes and goes over its picture, so it comes after the good ones",
    ("subtitled", "titled"): "it is writing on one shade, like all around it, so it comes after the good ones",
    ("titled", "subtitled"): "a line of letters comes and goes over its picture, in a shot with title cards",
}
"""By verdict and gate, what is said of letters, of which no figure tells more."""
SHOWN_COMPARABLE = 12
"""Numbers of comparable frames that are listed; all of them are counted."""


async def explain(store: Store, record: VideoRecord, config: Config, frame: int) -> dict[str, Any]:
    """All that is known of one frame of a scored film, ready for JSON.

    ``verdict`` is the stored word and ``because`` a sentence for it; ``judged`` has every gate that was asked, in
    order, with its figures. ``left_out`` says that it is not chosen as it is damaged and others near it are whole.
    ``current`` is false where the verdict was found with other settings than today's: the figures are then today's.
    Raises StoreError(NOT_FOUND) where the film has no such frame.
    """
    table = await store.frames.table(record.id)
    at = int(np.searchsorted(table.frame, frame))
    if at >= len(table.frame) or int(table.frame[at]) != frame:
        held = f"0 to {int(table.frame[-1])}" if len(table.frame) else "none so far"
        raise StoreError(Kind.NOT_FOUND, f"{record.file.path.name} has no frame {frame}: its frames are {held}")
    row = (await store.frames.rows(record.id, [frame]))[frame]
    shots = await store.analysis.shots(record.id)
    verdict, reserve = await store.analysis.verdict_of(record.id, frame)
    heard = await _heard(store, record, config, table, shots, at) if shots else []
    film = film_of(table, shots or None, lower_better=bool(record.lower_better))
    film = await with_calm_and_sharp(FilmLooks(store, record.id), film) if shots else film
    selection = await store.queries.current_selection(record.id)
    facts = json.loads(selection["reasons"] or "{}") if selection is not None else {}
    whole = film if facts.get("strategy", config.select.strategy) == "even" else _whole(film, config)
    current = await store.analysis.settings(record.id) == settings(config)
    shot = next((number for number, one in enumerate(shots) if one.first <= at <= one.last), None)
    still = None if selection is None else await _still(store, selection["id"], frame)
    return {
        "video_id": record.id,
        "video": str(record.file.path),
        "frame": frame,
        "frames": len(table.frame),
        "time_s": row.time_s,
        "pts": row.pts,
        "metric": record.metric,
        "lower_better": record.lower_better,
        "score": row.score,
        "note": row.note,
        "verdict": verdict,
        "because": because(verdict, heard, row.note, current=current),
        "current": current,
        "reserve": reserve,
        "left_out": still is None and bool(film.good[at] and not whole.good[at]),
        "percentile_film": percentile(film, at, np.ones(len(table.frame), np.bool_)),
        "percentile_shot": None if shot is None else percentile(film, at, _inside(shots[shot], len(table.frame))),
        "shot": None
        if shot is None
        else {"number": shot, "kind": shots[shot].kind.value, "first": shots[shot].first, "last": shots[shot].last},
        "moment": _moment(whole, at, float(facts.get("moment_seconds", MOMENT_SECONDS))),
        "still": still,
        "judged": [_plain(one, table.frame) for one in heard],
    }


async def _heard(
    store: Store, record: VideoRecord, config: Config, table: ScoreTable, shots: list[Shot], at: int
) -> list[Heard]:
    """What each gate says of a frame; nothing where the film has frames without features."""
    views = features.ViewFinder()
    witness = Witness(at)
    # Who asks may not be allowed to write beside the database.
    with spool() as file:
        figures = FilmFigures(len(table.frame), file)
        async for blobs in store.frames.feature_records(record.id):
            records = features.unpack(blobs)
            if (records["version"] == 0).any():
                return []
            figures.add(features.figures(records))
            await asyncio.to_thread(views.feed, features.sketch(records["thumbnail"]))
        transparent = np.isin(table.frame, await store.frames.with_note(record.id, alpha.NOTE))
        scored = ~table.noted & np.isfinite(table.score)
        await asyncio.to_thread(
            gates.judge,
            figures,
            table.time_s,
            scored,
            shots,
            views.found(),
            config.gates,
            transparent,
            witness,
            table.reserve,
        )
    return witness.heard


def because(verdict: str | None, heard: list[Heard], note: str | None, *, current: bool = True) -> str:
    """A sentence for the verdict: the figures that decided, or the one that came nearest to deciding otherwise.

    A verdict that is not ``current`` was found with other settings than what is heard.
    """
    if verdict is None:
        return f"not judged{': ' + note if note else ''}"
    refused = next((one for one in heard if one.refused), None)
    if verdict == "unscored":
        return f"the metric has no score for it{': ' + note if note else ''}"
    if not heard:
        return "what it was judged by is not known: the film was scored by a version that kept no features"
    if refused is None:
        near = _nearest(heard)
        return "no gate refuses it" + (f"; nearest to it comes {near[0].word}: {told(near[1])}" if near else "")
    against = [figure for figure in refused.figures if figure.against] or list(refused.figures)
    words = ", ".join(told(figure) for figure in against)
    if any(figure.reference is not None for figure in against) and len(refused.comparable):
        words += f" (of {len(refused.comparable)} comparable frames)"
    if verdict == "spared":
        return f"{refused.word} like all around it, so it comes after the good ones{': ' + words if words else ''}"
    if current and (verdict, refused.word) in _WRITTEN:
        return _WRITTEN[verdict, refused.word]
    if verdict != refused.word:
        return f"today's settings say {refused.word}{': ' + words if words else ''}"
    return words or "it looks like one, and there is no figure for it"


def told(figure: Figure) -> str:
    """One figure in words.

    >>> told(Figure("contrast", 12.0, 24.0, below=True, reference=40.0))
    'contrast 12 is below 24, usual is 40'
    """
    usual = "" if figure.reference is None else f", usual is {figure.reference:.4g}"
    if not np.isfinite(figure.limit):
        return f"{figure.name} {figure.value:.4g}, with nothing to compare it with"
    side = ("below" if figure.value < figure.limit else "above") if figure.value != figure.limit else "at"
    return f"{figure.name} {figure.value:.4g} is {side} {figure.limit:.4g}{usual}"


def _nearest(heard: list[Heard]) -> tuple[Heard, Figure] | None:
    """The gate that came nearest to refusing, and its figure that kept it from that."""
    found = []
    for one in heard:
        kept = [figure for figure in one.figures if not figure.against and np.isfinite(figure.limit)]
        if kept:
            share = min(_share(figure) for figure in kept)
            found.append((share, one, min(kept, key=_share)))
    return max(found, key=lambda each: each[0])[1:] if found else None


def _share(figure: Figure) -> float:
    """How far a figure is on its way to the limit: 1 at it, 0 far away."""
    high, low = max(abs(figure.value), abs(figure.limit)), min(abs(figure.value), abs(figure.limit))
    return low / high if high > 0 else 1.0


def _plain(one: Heard, frame: NDArray[np.int64]) -> dict[str, Any]:
    rows = frame[one.comparable]
    shown = rows[np.linspace(0, len(rows) - 1, min(len(rows), SHOWN_COMPARABLE)).round().astype(np.int64)]
    return {
        "gate": one.word,
        "refused": one.refused,
        "figures": [
            {
                "name": figure.name,
                "value": _number(figure.value),
                "limit": _number(figure.limit),
                "refused_if": "below" if figure.below else "above",
                "reference": None if figure.reference is None else _number(figure.reference),
                "against": figure.against,
            }
            for figure in one.figures
        ],
        "comparable": {"frames": len(rows), "some": shown.tolist()},
    }


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _inside(shot: Shot, count: int) -> NDArray[np.bool_]:
    mask = np.zeros(count, np.bool_)
    mask[shot.first : shot.last + 1] = True
    return mask


def _whole(film: Film, config: Config) -> Film:
    """The film without the damaged frames that are left out of what is chosen from."""
    end = np.inf if config.select.end is None else config.select.end
    inside = (film.time_s >= config.select.start) & (film.time_s < end)
    chosen_from = without_damaged(replace(film, good=film.good & inside))[0]
    return replace(film, good=film.good & (chosen_from.good | ~inside))


def _moment(film: Film, at: int, moment_seconds: float) -> dict[str, Any] | None:
    """The moment that a frame lies in, and that moment's best frame; None in a transition."""
    places, best = moment_of(film, at, moment_seconds)
    if len(places) == 0:
        return None
    return {
        "first": int(film.frame[places[0]]),
        "last": int(film.frame[places[-1]]),
        "frames": len(places),
        "seconds": round(float(film.seconds[places].sum()), 3),
        "best": None if best is None else int(film.frame[best]),
    }


async def _still(store: Store, selection_id: int, frame: int) -> dict[str, Any] | None:
    """The still of a selection that is this frame: its rank, and what it stands for."""
    row = next((one for one in await store.queries.stills(selection_id) if one["frame"] == frame), None)
    if row is None:
        return None
    return {"rank": row["rank"], "path": row["path"], "reason": json.loads(row["reason"]) if row["reason"] else None}
