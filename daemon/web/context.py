"""What every page works with, and how a request's numbers become a film and a frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.requests import Request

from daemon.config.schema import Config
from daemon.errors import StoreError
from daemon.model import VideoRecord
from daemon.store.store import Store
from daemon.web.exports import Exports
from daemon.web.films import Films
from daemon.web.guard import Secrets
from daemon.web.live import Live
from daemon.web.pictures import FullPictures
from daemon.web.previews import Previews
from daemon.web.stills import Cards
from daemon.web.strip_maker import StripMaker

MOST = 2**31 - 1
"""No id and no frame is larger."""


@dataclass(frozen=True, slots=True)
class Context:
    """Shared by all pages of one server."""

    config: Config
    store: Store
    films: Films
    pictures: FullPictures
    live: Live
    templates: Environment
    secrets: Secrets
    exports: Exports
    previews: Previews
    strips: StripMaker
    cards: Cards = field(default_factory=Cards)


def of(request: Request) -> Context:
    """The context of the server that a request came to."""
    context: Context = request.app.state.context
    return context


def number(request: Request, name: str, default: int | None = None) -> int:
    """A number of the address or its query; beyond all bounds it is the bound. Raises HTTPException(404)."""
    text = str(request.path_params.get(name, request.query_params.get(name, "")))
    if not text and default is not None:
        return default
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{name} is a number")
    value = MOST if len(digits) > 10 else min(int(digits), MOST)
    return -value if text.startswith("-") else value


async def film_of(request: Request) -> VideoRecord:
    """The film that the address names by its id. Raises HTTPException(404)."""
    try:
        return await of(request).store.videos.get(number(request, "film"))
    except StoreError as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, error.sentence) from error
