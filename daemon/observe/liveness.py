"""Whether the daemon is alive and well, asked from another process: for health checks of containers."""

from __future__ import annotations

import http.client
from http import HTTPStatus
from pathlib import Path

from daemon.observe import progress_reader
from daemon.observe.listen_address import LOOPBACK, address_of
from daemon.runtime.lock import is_locked

ANSWER_SECONDS = 5.0
_ANY_ADDRESS = {"0.0.0.0": LOOPBACK, "::": "::1"}


def why_unwell(database: Path, http_setting: str) -> str:
    """Why the daemon of a database is not well, in one line; nothing when it is.

    It runs while the lock beside the database is held, and is at work once its progress file is there. With an
    address in ``http_setting`` (``service.http``) it is also asked for ``/healthz``: only that notices a daemon
    that hangs.
    """
    if not is_locked(database):
        return f"no daemon works with {database}"
    if not progress_reader.read(database):
        return "starting"
    return _asked(http_setting) if http_setting else ""


def _asked(setting: str) -> str:
    host, port = address_of(setting)
    connection = http.client.HTTPConnection(_ANY_ADDRESS.get(host, host), port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"service.http = {setting} does not answer: {error or type(error).__name__}"
    finally:
        connection.close()
    return "" if answer.status == HTTPStatus.OK else text
