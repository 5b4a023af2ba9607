"""The JSON that a change comes with."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

BODY_SECONDS = 10.0


async def json_body(request: Request) -> dict[str, Any]:
    """The object in a request's body. Raises HTTPException(400) for anything else."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = json.loads(await request.body())
        # Half of a character, as a script may send it, can be neither stored nor answered.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError, TimeoutError) as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "JSON is expected") from error
    if not isinstance(body, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "an object is expected")
    return body
