"""One line about what the daemon is doing, for ``systemctl status``: scoring clip.mp4 43 %, 2 queued."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from daemon.model import Status
from daemon.store.store import Store

EVERY_SECONDS = 3.0
NAMED = 2
"""This many videos are named, the others are counted."""


def compose(working: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> str:
    """The line for the rows of the query ``working`` and the number of videos in each status.

    >>> row = {"path": "/in/clip.mp4", "status": "scoring", "frames": 43, "info": '{"frames_estimate": 100}'}
    >>> compose([row], {"queued": 2})
    'scoring clip.mp4 43 %, 2 queued'
    """
    parts = [_described(row) for row in working[:NAMED]]
    if len(working) > NAMED:
        parts.append(f"{len(working) - NAMED} more in work")
    waiting = counts.get(Status.QUEUED, 0)
    if waiting:
        parts.append(f"{waiting} queued")
    if not parts:
        parts.append(f"waiting for videos, {counts.get(Status.DONE, 0)} done")
    return ", ".join(parts)


def _described(row: Mapping[str, Any]) -> str:
    name = "".join(sign if sign.isprintable() else "?" for sign in PurePath(str(row["path"])).name)
    line = f"{row['status']} {name}"
    total = json.loads(row["info"] or "{}").get("frames_estimate") or 0
    if row["status"] != Status.SCORING or not total:
        return line
    # The total is an estimate: there may be more frames than it says.
    return f"{line} {min(100 * (row['frames'] or 0) // total, 100)} %"


async def follow(store: Store, tell: Callable[[str], None], every_seconds: float = EVERY_SECONDS) -> None:
    """Tell the line whenever it has changed, at most every ``every_seconds``, until cancelled."""
    told = ""
    while True:
        try:
            line = compose(await store.queries.working(), await store.videos.counts())
        except Exception as error:
            # The work meets the same trouble and decides; here it is what there is to say.
            line = f"the database does not answer: {error}"
        if line != told:
            tell(line)
            told = line
        await asyncio.sleep(every_seconds)
