"""Decisions that come from a page: the same functions as the command line's, and what holds then."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daemon.model import VideoRecord
from daemon.pipeline.wishes import draft
from daemon.store.decisions import DecisionKind
from daemon.web import context
from daemon.web.body import json_body
from daemon.web.context import Context, film_of


async def decisions(request: Request) -> Response:
    """What holds for a film, and what its stills would be."""
    return JSONResponse(await state(context.of(request), await film_of(request)))


async def decide(request: Request) -> Response:
    """Decide ``kind`` about ``frame``, with a ``note``; answers when it is on the disk."""
    here, record = context.of(request), await film_of(request)
    body = await json_body(request)
    kind, frame, note = body.get("kind"), body.get("frame"), body.get("note")
    if kind not in [one.value for one in DecisionKind]:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "kind is accept, reject, pin, ban, reset or note")
    if not (_is_frame(frame) or (frame is None and kind == DecisionKind.NOTE)):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "frame is a number")
    if note is not None and not isinstance(note, str):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "note is text")
    await here.store.decisions.decide(record.id, DecisionKind(kind), frame, note)
    return await _held(here, record)


async def undo(request: Request) -> Response:
    """Take the last decision back."""
    here, record = context.of(request), await film_of(request)
    turned = await here.store.decisions.undo(record.id)
    return await _held(here, record, turned=turned)


async def redo(request: Request) -> Response:
    """Decide again what was taken back."""
    here, record = context.of(request), await film_of(request)
    turned = await here.store.decisions.redo(record.id)
    return await _held(here, record, turned=turned)


async def _held(here: Context, record: VideoRecord, *, turned: bool = True) -> Response:
    # What was acknowledged survives a power failure.
    await here.store.make_durable()
    return JSONResponse({**await state(here, record), "turned": turned})


async def state(here: Context, record: VideoRecord) -> dict[str, Any]:
    """What holds for a film; ``draft`` are the frames of its stills with the marks applied, ``status`` and
    ``selection`` tell a page that is open whether it still shows what there is."""
    decided = await here.store.decisions.decided(record.id)
    made = await draft(here.store, record.id, decided, here.config.select.min_gap_seconds, bool(record.lower_better))
    instead = {str(frame): other for frame, other in made.instead.items()}
    newest = await here.store.queries.current_selection(record.id)
    selection = None if newest is None else newest["id"]
    now = {"status": record.status.value, "selection": selection}
    return {**decided.as_json(), "draft": list(made.frames), "instead": instead, **now}


def _is_frame(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= context.MOST
