"""The pages for people: the list of films, a film, a frame. They show everything without JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from daemon.media import filters
from daemon.media.info_text import info_of
from daemon.model import Status, VideoRecord
from daemon.observe import reports
from daemon.pipeline.explain import explain
from daemon.web import context, decide, shown
from daemon.web.context import film_of, number
from daemon.web.frame_facts import frame_facts
from daemon.web.stills import stills_of

LISTED = 60
MAX_SEARCH = 200
MOST_EXPLAINED = 20_000
AGAIN = (Status.FAILED, Status.REJECTED, Status.MISSING)
"""Films that can be queued again."""
FILM_SCRIPTS = (
    "api.js", "curve.js", "decide.js", "export.js", "focus.js", "keys.js", "live.js", "panes.js", "strip.js", "view.js",
)  # fmt: skip
"""What film.js imports: asked for at once instead of one after the other."""


async def list_page(request: Request) -> Response:
    """The films, newest first; ``q`` searches their paths, ``before`` goes on with older ones."""
    films = await _listed(request)
    return _page(request, "list.html", **films)


async def list_rows(request: Request) -> Response:
    """The same lines alone, for a list that is open."""
    return _page(request, "list_rows.html", **await _listed(request))


async def changes(request: Request) -> Response:
    """Server-sent events: something has changed."""
    live = context.of(request).live
    if live.full:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "too many pages are open")
    return StreamingResponse(live.changes(), media_type="text/event-stream")


async def _listed(request: Request) -> dict[str, Any]:
    here = context.of(request)
    search = request.query_params.get("q", "")[:MAX_SEARCH]
    before = number(request, "before", 0) or None
    rows = await here.store.review.films(LISTED + 1, search, before)
    state = await reports.current(here.store, here.config.database.path)
    working = {one["id"]: one for one in state["working"]}
    return {
        "films": [_line(row, working.get(row["id"])) for row in rows[:LISTED]],
        "older": rows[LISTED - 1]["id"] if len(rows) > LISTED else None,
        "counts": {status: count for status, count in state["videos"].items() if count},
        "running": state["running"],
        "cluster": state["cluster"],
        "search": search,
        "folder": shown.shown_name(str(here.config.watch.path)),
    }


def _line(row: Mapping[str, Any], working: Mapping[str, Any] | None) -> dict[str, Any]:
    info = info_of(row["info"], Path(row["path"]))
    return {
        **row,
        "name": shown.shown_name(Path(row["path"]).name),
        "folder": shown.shown_name(str(Path(row["path"]).parent)),
        "duration": None if info is None or info.duration_s is None else _whole_seconds(info.duration_s),
        "size": None if info is None else "{} × {}".format(*filters.picture_size(info)),
        "error": None if row["error"] is None else shown.shown_name(row["error"]),
        "progress": _progress(working),
        "again": row["status"] in AGAIN,
    }


def _progress(working: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if working is None:
        return None
    said = working["progress"] or {}
    frames = max(said.get("frame") or 0, working["frames"] or 0)
    total = working["frames_total"]
    return {
        "frames": frames,
        "total": total,
        "percent": None if not total else min(100, 100 * frames // total),
        "fps": said.get("fps"),
        "left": None if said.get("eta_s") is None else _whole_seconds(said["eta_s"]),
    }


def _whole_seconds(seconds: float) -> str:
    return shown.clock(round(seconds)).partition(".")[0]


async def film_page(request: Request) -> Response:
    """A film: its stills with their reasons, filmstrip and curve."""
    here, record = context.of(request), await film_of(request)
    page = _page(request, "film.html", **await _film(request, record))
    if not here.live.scoring():
        here.films.read_ahead(record.id)
    return page


async def _film(request: Request, record: VideoRecord) -> dict[str, Any]:
    here = context.of(request)
    frames = await here.store.review.frames(record.id)
    stills, selection = await stills_of(here.store, record)
    strip = await here.store.strips.size(record.id)
    info = record.info
    data: dict[str, Any] = {
        "id": record.id,
        "frames": frames,
        "metric": record.metric,
        "lowerBetter": bool(record.lower_better),
        "shots": [[one.kind.value, one.first, one.last] for one in await here.store.analysis.shots(record.id)],
        "stills": [{"frame": one["frame"], "rank": one["rank"], "score": one["score"]} for one in stills],
        "rate": float(info.frame_rate) if info is not None and info.frame_rate else None,
        "status": record.status.value,
        "final": record.status.final,
        "decisions": await decide.state(here, record),
        "size": None if info is None else filters.picture_size(info),
    }
    return {
        "record": record,
        "name": shown.shown_name(record.file.path.name),
        "folder": shown.shown_name(str(record.file.path.parent)),
        "note": next((one["note"] for one in data["decisions"]["notes"] if one["frame"] is None), None),
        "error": None if record.error is None else shown.shown_name(record.error),
        "info": info,
        "frames": frames,
        "duration": None if info is None or info.duration_s is None else shown.clock(info.duration_s),
        "stills": stills,
        "selection": selection,
        "strip": strip,
        "data": data,
        "scripts": FILM_SCRIPTS,
        "done": record.status is Status.DONE,
        "again": record.status in AGAIN,
        "asked": {**here.config.select.model_dump(mode="json"), **(selection["params"] if selection else {})},
        "format": here.config.output.format,
        "size": here.config.output.size,
        "output": shown.shown_name(str(here.config.output.path)),
        "still_folder": shown.shown_name(str(Path(stills[0]["path"]).parent)) if stills else None,
    }


async def make_strip(request: Request) -> Response:
    """Begin to make the strip pictures of a film that has none."""
    here, record = context.of(request), await film_of(request)
    here.strips.start(record, (await here.films.film(record.id)).frames)
    return await strip_state(request)


async def strip_state(request: Request) -> Response:
    """How the strip stands."""
    here, record = context.of(request), await film_of(request)
    size = await here.store.strips.size(record.id)
    said = here.strips.said.get(record.id, "")
    return JSONResponse({"running": here.strips.running(record.id), "pictures": size.pictures, "sentence": said})


async def retry(request: Request) -> Response:
    """Queue a film again that failed, was refused or is missing."""
    queued = await context.of(request).store.queue.requeue([(await film_of(request)).id])
    return JSONResponse({"queued": queued})


async def frame_page(request: Request) -> Response:
    """One frame: the picture in full, what is known of it, and its neighbours."""
    record = await film_of(request)
    frame = number(request, "frame")
    here = context.of(request)
    facts = await frame_facts(here, record, frame)
    # In a long film this takes seconds: the scripts ask for it by themselves.
    short = facts["frames"] <= MOST_EXPLAINED
    facts["because"] = (await explain(here.store, record, here.config, frame))["because"] if short else None
    name = shown.shown_name(record.file.path.name)
    return _page(request, "frame.html", record=record, name=name, facts=facts)


def _page(request: Request, template: str, **values: Any) -> HTMLResponse:
    here = context.of(request)
    text = here.templates.get_template(template).render(csrf=here.secrets.csrf, **values)
    return HTMLResponse(text.encode("utf-8", "backslashreplace"))
