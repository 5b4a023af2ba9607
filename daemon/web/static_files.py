"""Scripts and styles: read once from the package, served from memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file's content and type; ``tag`` changes with the content."""

    content: bytes
    content_type: str
    tag: str


def load() -> dict[str, StaticFile]:
    """All of them by name."""
    found: dict[str, StaticFile] = {}
    for file in (files("daemon.web") / "static").iterdir():
        suffix = file.name.rpartition(".")[2]
        if suffix in TYPES:
            content = file.read_bytes()
            found[file.name] = StaticFile(content, TYPES[suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"')
    return found


async def static_file(request: Request) -> Response:
    """One of them."""
    file: StaticFile | None = request.app.state.static.get(request.path_params["name"])
    if file is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    headers = {"ETag": file.tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(file.content, media_type=file.content_type, headers=headers)
