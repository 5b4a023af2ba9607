"""What the pages' scripts ask for: the curve and frames as JSON, pictures as files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daemon.export import published
from daemon.pipeline.explain import explain
from daemon.web import context, shown
from daemon.web.context import film_of, number
from daemon.web.curve import curve
from daemon.web.frame_facts import frame_facts
from daemon.web.pictures import PictureError
from daemon.web.sheet import small_picture
from daemon.web.stills import stills_of

FOR_A_DAY = {"Cache-Control": "private, max-age=86400"}
NO_STILL = "the still is not there any more"
STILL_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


async def curve_data(request: Request) -> Response:
    """The columns of a part of the curve."""
    record = await film_of(request)
    film = await context.of(request).films.film(record.id)
    first, last = number(request, "first", 0), number(request, "last", film.frames - 1)
    return JSONResponse(curve(film, first, last, number(request, "columns", 1200)))


async def frame_data(request: Request) -> Response:
    """What is known of a frame."""
    record = await film_of(request)
    facts = await frame_facts(context.of(request), record, number(request, "frame"))
    return JSONResponse(facts)


async def why_data(request: Request) -> Response:
    """The figures that decided a frame's verdict, in a sentence. Every gate is asked again, which reads the film."""
    here, record = context.of(request), await film_of(request)
    found = await explain(here.store, record, here.config, number(request, "frame"))
    return JSONResponse({"because": found["because"], "current": found["current"]})


async def scores_data(request: Request) -> Response:
    """The scores and times of some frames: what stands below the pictures of the strip."""
    record = await film_of(request)
    table = (await context.of(request).films.film(record.id)).columns
    asked = [int(text) for text in request.query_params.get("frames", "").split(",")[:100] if text.isdecimal()]
    rows: dict[str, Any] = {}
    for frame in asked:
        if frame <= context.MOST:
            at = int(np.searchsorted(table.frame, frame))
            if at < len(table.frame) and table.frame[at] == frame:
                score = float(table.score[at])
                rows[str(frame)] = {
                    "time": shown.clock(float(table.time_s[at])),
                    "score": None if score != score else round(score, 2),
                    "verdict": table.words[table.verdict[at]],
                }
    return JSONResponse(rows)


async def strip_picture(request: Request) -> Response:
    """The picture of the strip that is nearest to a frame; where there is no strip, the frame's tiny thumbnail."""
    here = context.of(request)
    record = await film_of(request)
    frame = number(request, "frame")
    picture = await small_picture(here.store, record, frame)
    if picture is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "there is no small picture of this frame")
    return Response(picture, media_type="image/jpeg", headers=FOR_A_DAY)


async def full_picture(request: Request) -> Response:
    """A frame in full, decoded there and then."""
    here = context.of(request)
    record = await film_of(request)
    frame = number(request, "frame")
    film = await here.films.film(record.id)
    if not 0 <= frame < film.frames:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"the film has no frame {frame}")
    try:
        picture = await here.pictures.get(record, frame, film.frames)
    except PictureError as error:
        raise HTTPException(error.status, error.reason) from error
    return Response(picture.jpeg, media_type="image/jpeg", headers=FOR_A_DAY)


async def still_file(request: Request) -> Response:
    """A published still of the newest selection, by its rank."""
    still, path = await _still(request)
    with _gone():
        content = await asyncio.to_thread(published.content, path, _output(request), still["bytes"])
    return Response(content, media_type=STILL_TYPES[path.suffix])


async def still_preview(request: Request) -> Response:
    """The same, reduced for a card; whoever has it already is told so."""
    still, path = await _still(request)
    with _gone():
        pixels = still["width"] * still["height"]
        picture, tag = await context.of(request).cards.get(path, _output(request), pixels)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(picture, media_type="image/jpeg", headers=headers)


async def _still(request: Request) -> tuple[dict[str, Any], Path]:
    record = await film_of(request)
    rank = number(request, "rank")
    stills, _ = await stills_of(context.of(request).store, record)
    still = next((one for one in stills if one["rank"] == rank), None)
    if still is None or Path(still["path"]).suffix not in STILL_TYPES:
        raise HTTPException(HTTPStatus.NOT_FOUND, NO_STILL)
    return still, Path(still["path"])


def _output(request: Request) -> Path:
    return context.of(request).config.output.path


@contextmanager
def _gone() -> Iterator[None]:
    """Whatever else is in a still's place is not shown."""
    try:
        yield
    except (OSError, SyntaxError, ValueError) as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, NO_STILL) from error
