"""The stills of a film as people are shown them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from daemon.model import VideoRecord
from daemon.store.store import Store
from daemon.web import shown


async def stills_of(store: Store, record: VideoRecord) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The stills of a film's current selection by rank, with their reasons as sentences; and that selection."""
    newest = await store.queries.current_selection(record.id)
    if newest is None:
        return [], None
    stills = [
        {
            **still,
            "time": shown.clock(still["time_s"]),
            "file": shown.shown_name(Path(still["path"]).name),
            "size": shown.size(still["bytes"]),
            "why": shown.why_chosen(json.loads(still["reason"]) if still["reason"] else None),
        }
        for still in await store.queries.stills(newest["id"])
    ]
    return stills, {**newest, "params": json.loads(newest["params"])}
