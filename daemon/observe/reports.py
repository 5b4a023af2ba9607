"""What is known of the videos, gathered from the store for whoever shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daemon.model import Status, VideoRecord
from daemon.observe import progress_reader
from daemon.runtime.lock import is_locked
from daemon.store.store import Store

ERRORS_SHOWN = 5


async def summary(store: Store, records: Sequence[VideoRecord]) -> list[dict[str, Any]]:
    """Per video: status, error, shortfall, and the stills of its newest selection."""
    return [await _summary_of(store, record) for record in records]


async def _summary_of(store: Store, record: VideoRecord) -> dict[str, Any]:
    selections = await store.rows("selections", (record.id,))
    latest = selections[-1] if selections and record.status is Status.DONE else None
    return {
        "id": record.id,
        "video": str(record.file.path),
        "status": record.status.value,
        "ok": record.status is Status.DONE or record.error_kind == "duplicate",
        "metric": record.metric,
        "frames": record.frames_decoded,
        "error_kind": record.error_kind,
        "error": record.error,
        "shortfall": latest["shortfall"] if latest else None,
        "stills": await _stills(store, latest["id"]) if latest else [],
    }


async def _stills(store: Store, selection_id: int) -> list[dict[str, Any]]:
    """The stills of a selection with the reasons for them; those of older versions have none."""
    stills = await store.rows("stills", (selection_id,))
    for still in stills:
        still["reason"] = json.loads(still["reason"]) if still["reason"] else None
    return stills


async def current(store: Store, database: Path) -> dict[str, Any]:
    """Whether a daemon runs, how many videos stand where, what is in work and how far, the last errors.

    ``frames`` of a video in work are those that are committed; ``progress`` is the daemon's own word
    (``frame``, ``fps``, ``eta_s`` and so on), None when no daemon runs or it has not spoken of that video.
    """
    working = await store.rows("working")
    running = is_locked(database)
    said = progress_reader.read(database) if running else {}
    progress = {(one["video_id"], one["status"]): one for one in said.get("working", [])}
    for row in working:
        info = json.loads(row.pop("info") or "{}")
        row["frames_total"] = info.get("frames_estimate") or None
        row["progress"] = progress.get((row["id"], row["status"]))
    return {
        "running": running,
        "started_at": said.get("started_at"),
        "pid": said.get("pid"),
        "version": said.get("version"),
        "videos": await store.counts(),
        "working": working,
        "errors": await store.rows("errors", (ERRORS_SHOWN,)),
    }


async def detail(store: Store, key: str) -> dict[str, Any]:
    """Everything that is known of one video, without its frames."""
    record = await store.find(key)
    (video,) = await store.rows("video", (record.id,))
    video["info"] = json.loads(video["info"]) if video["info"] else None
    selections = await store.rows("selections", (record.id,))
    for selection in selections:
        selection["params"] = json.loads(selection["params"])
        selection["reasons"] = json.loads(selection["reasons"]) if selection["reasons"] else None
        selection["stills"] = await _stills(store, selection["id"])
    (scores,) = await store.rows("range", (record.id,))
    source = await store.rows("source", (record.id,))
    return {
        **video,
        "source": source[0] if source else None,
        "scores": scores,
        "notes": {row["note"]: row["frames"] for row in await store.rows("notes", (record.id,))},
        "verdicts": {row["verdict"]: row["frames"] for row in await store.rows("verdicts", (record.id,))},
        "shots": await store.rows("shots", (record.id,)),
        "selections": selections,
    }
