"""The export panel: what would be chosen, the export itself with progress and stop, and the stills to take away."""

from __future__ import annotations

import asyncio
import os
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from daemon.config.load import changed
from daemon.config.schema import Config
from daemon.errors import ConfigError
from daemon.export import file_names, published
from daemon.export.paths import MANIFEST, MANIFEST_BYTES
from daemon.model import Status, VideoRecord
from daemon.web import context
from daemon.web.body import json_body
from daemon.web.context import Context, film_of
from daemon.web.stills import stills_of

FIELDS = ("count", "strategy", "start", "end", "min_gap_seconds", "min_difference")
FILES = ("format", "size")
MOST_STILLS = 1000
MOST_NAME = 120
MISSING = "missing.txt"
"""The file of a zip that names the stills that it lacks."""
CHUNK_BYTES = 256 * 1024


async def preview(request: Request) -> Response:
    """What would be chosen with the panel's settings; nothing is written."""
    here, record = context.of(request), await film_of(request)
    config, anew, _ = await _asked(request, here)
    _require_done(record)
    return JSONResponse(await here.previews.choose(here.store, config, record, anew=anew))


async def prepare(request: Request) -> Response:
    """Read what previews of the film need, unless films are being scored: then that waits until it is asked for."""
    here, record = context.of(request), await film_of(request)
    wanted = record.status is Status.DONE and not here.live.scoring()
    if wanted:
        await here.previews.prepare(here.store, here.config, record)
    return JSONResponse({"prepared": wanted})


async def export(request: Request) -> Response:
    """Begin the export with the panel's settings; it becomes the current selection when all of it is proven."""
    here, record = context.of(request), await film_of(request)
    config, anew, folder = await _asked(request, here)
    _require_done(record)
    if not here.exports.start(config, record.id, anew=anew, folder=folder):
        raise HTTPException(HTTPStatus.CONFLICT, "this film is being exported")
    return await export_state(request)


async def export_state(request: Request) -> Response:
    """How the export stands."""
    state = context.of(request).exports.state((await film_of(request)).id)
    return JSONResponse({"state": "none"} if state is None else state.as_json())


async def stop(request: Request) -> Response:
    """End the export."""
    await context.of(request).exports.stop((await film_of(request)).id)
    return await export_state(request)


def _require_done(record: VideoRecord) -> None:
    if record.status is not Status.DONE:
        raise HTTPException(HTTPStatus.CONFLICT, f"the film is {record.status}: it can be exported once it is done")


async def _asked(request: Request, here: Context) -> tuple[Config, bool, str | None]:
    """The configuration with the panel's settings, whether there are any, and a folder of its own."""
    body = await json_body(request)
    settings = {key: body[key] for key in FIELDS if body.get(key) not in (None, "")}
    count = settings.get("count")
    if isinstance(count, int) and count > MOST_STILLS:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"at most {MOST_STILLS} stills")
    try:
        config = changed(here.config, "select", settings)
        config = changed(config, "output", {key: body[key] for key in FILES if body.get(key) not in (None, "")})
    except ConfigError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, error.sentence) from error
    folder = body.get("folder")
    if folder is not None and not (isinstance(folder, str) and len(folder) <= MOST_NAME):
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"folder is a name of at most {MOST_NAME} characters")
    return config, bool(settings), folder or None


async def stills_zip(request: Request) -> Response:
    """The stills of the newest selection and their manifest in one file."""
    here, record = context.of(request), await film_of(request)
    stills, _ = await stills_of(here.store, record)
    try:
        file = await asyncio.to_thread(_zipped, stills, here.config.output.path)
    except OSError as error:
        reason = f"the stills cannot be packed: {error.strerror or error}"
        raise HTTPException(HTTPStatus.INSUFFICIENT_STORAGE, reason) from error
    name = f"{file_names.safe_stem(record.file.path.stem)}-stills.zip"
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "Content-Length": str(os.fstat(file.fileno()).st_size),
    }
    return StreamingResponse(_chunks(file), media_type="application/zip", headers=headers)


def _zipped(stills: list[dict[str, Any]], output: Path) -> IO[bytes]:
    """The stills that are there, and their manifest; a list of those that are not, where some were moved or deleted.

    Each is read as the pages read it: whatever else is in its place is not taken along.
    """
    there, missing = 0, []
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by who sends it
    try:
        # Pictures do not get smaller. A zip has no times before 1980, which a file may well have.
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=False) as packed:
            for still in stills:
                path = Path(still["path"])
                try:
                    content = published.content(path, output, still["bytes"])
                except OSError:
                    missing.append(path.name)
                    continue
                packed.writestr(path.name, content)
                there += 1
            if not there:
                told = "the stills are not there any more: export them again" if stills else "there are no stills"
                raise HTTPException(HTTPStatus.NOT_FOUND, told)
            # An older selection, or one that was taken out, has none beside it.
            manifest = b""
            with suppress(OSError):
                manifest = published.content(Path(stills[0]["path"]).with_name(MANIFEST), output, MANIFEST_BYTES)
            if manifest:
                packed.writestr(MANIFEST, manifest)
            if missing:
                packed.writestr(MISSING, "These stills are not there any more:\n" + "\n".join(missing) + "\n")
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    read: Callable[[int], bytes] = file.read
    try:
        while part := await asyncio.to_thread(read, CHUNK_BYTES):
            yield part
    finally:
        file.close()
