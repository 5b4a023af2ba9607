"""What is known of the videos, gathered from the store for whoever shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from daemon.errors import Kind, StillwatchError
from daemon.inbox.companions import companions_of
from daemon.model import Status, VideoRecord
from daemon.observe import progress_reader
from daemon.runtime.lock import is_locked
from daemon.store.queries import WorkingVideo
from daemon.store.store import Store

ERRORS_SHOWN = 5


async def summary(store: Store, records: Sequence[VideoRecord], *, newest: bool = False) -> list[dict[str, Any]]:
    """Per video: status, error, shortfall, and the stills of its current selection, or of the ``newest`` of all."""
    return [await _summary_of(store, record, newest=newest) for record in records]


def refused(path: Path, error: StillwatchError) -> dict[str, Any]:
    """The summary of a name that means no file; nothing of it is stored."""
    return {
        "id": None,
        "video": str(path),
        "status": "not_taken",
        "ok": False,
        "metric": None,
        "frames": None,
        "error_kind": error.kind.value,
        "error": error.sentence,
        "shortfall": None,
        "stills": [],
        "known_as": None,
    }


async def _summary_of(store: Store, record: VideoRecord, *, newest: bool) -> dict[str, Any]:
    latest = await store.queries.current_selection(record.id) if record.status is Status.DONE else None
    if latest is not None and newest:
        latest = (await store.queries.selections(record.id))[-1]
    return {
        "id": record.id,
        "video": str(record.file.path),
        "status": record.status.value,
        "ok": record.status is Status.DONE or record.error_kind == Kind.DUPLICATE,
        "metric": (latest["metric"] if latest else None) or record.metric,
        "frames": record.frames_decoded,
        "error_kind": record.error_kind,
        "error": record.error,
        "shortfall": latest["shortfall"] if latest else None,
        "stills": await _stills(store, latest["id"]) if latest else [],
        "known_as": await _known_as(store, record) if record.error_kind == Kind.DUPLICATE else None,
    }


async def _known_as(store: Store, copy: VideoRecord) -> dict[str, Any] | None:
    """The video that a duplicate is a copy of, and the folder of its stills; None when it is not known any more."""
    same = await store.videos.same_content(copy.file.fingerprint)
    originals = [record for record in same if record.error_kind != Kind.DUPLICATE]
    if not originals:
        return None
    original = originals[0]
    latest = await store.selections.latest(original.id)
    return {
        "id": original.id,
        "video": str(original.file.path),
        "status": original.status.value,
        "folder": str(latest.paths[0].parent) if latest is not None and latest.paths else None,
    }


async def _stills(store: Store, selection_id: int) -> list[dict[str, Any]]:
    """The stills of a selection with the reasons for them; those of older versions have none."""
    return [{**still, "reason": _parsed(still["reason"])} for still in await store.queries.stills(selection_id)]


def _parsed(text: str | None) -> Any:
    return json.loads(text) if text else None


async def current(store: Store, database: Path) -> dict[str, Any]:
    """Whether a daemon runs, how many videos stand where, what is in work and how far, the last errors.

    ``frames`` of a video in work are those that are committed; ``progress`` is the daemon's own word
    (``frame``, ``fps``, ``eta_s`` and so on), None when no daemon runs or it has not spoken of that video. ``cluster``
    is None where films are scored by the daemon itself.
    """
    running = is_locked(database)
    said = progress_reader.read(database) if running else {}
    progress = {(video["video_id"], video["status"]): video for video in said.get("working", [])}
    working = [_working(row, progress) for row in await store.queries.working()]
    return {
        "running": running,
        "started_at": said.get("started_at"),
        "pid": said.get("pid"),
        "version": said.get("version"),
        "videos": await store.videos.counts(),
        "working": working,
        "not_taken": said.get("not_taken", progress_reader.NOTHING_LEFT_ALONE),
        "waiting": said.get("waiting", progress_reader.NOTHING_LEFT_ALONE),
        "cluster": said.get("cluster"),
        "errors": await store.queries.errors(ERRORS_SHOWN),
    }


def _working(row: WorkingVideo, progress: Mapping[tuple[int, str], dict[str, Any]]) -> dict[str, Any]:
    shown: dict[str, Any] = {key: value for key, value in row.items() if key != "info"}
    shown["frames_total"] = json.loads(row["info"] or "{}").get("frames_estimate") or None
    shown["progress"] = progress.get((row["id"], row["status"]))
    return shown


async def detail(store: Store, key: str) -> dict[str, Any]:
    """Everything that is known of one video, without its frames."""
    record = await store.videos.find(key)
    queries = store.queries
    video = await queries.video(record.id)
    verdicts = await store.analysis.verdicts(record.id)
    selections = [
        {
            **selection,
            "params": json.loads(selection["params"]),
            "reasons": _parsed(selection["reasons"]),
            "stills": await _stills(store, selection["id"]),
        }
        for selection in await queries.selections(record.id)
    ]
    return {
        **video,
        "info": _parsed(video["info"]),
        "companions": [str(path) for path in companions_of(record.file.path)],
        "source": await queries.source(record.id),
        "scores": await queries.score_range(record.id),
        "scorers": [asdict(one) for one in await store.scores.scorers(record.id)],
        "notes": await queries.notes(record.id),
        "verdicts": dict(sorted(verdicts.items(), key=lambda item: -item[1])),
        "shots": await queries.shots(record.id),
        "selections": selections,
        "decisions": (await store.decisions.decided(record.id)).as_json(),
    }
