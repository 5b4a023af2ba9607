"""The contract of the log as a JSON schema: which events there are, and which facts each one carries.

A fact means the same and has the same type wherever it appears. ``frame?`` may be absent, the others
are always there, and no event has a fact that is not listed.
"""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
NUMBER = {"type": "number", "minimum": 0}

FACTS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("action", "address", "codec", "device", "error", "ffmpeg", "file_system", "fix", "folder"), TEXT),
    **dict.fromkeys(
        ("metric", "path", "pix_fmt", "precision", "reason", "scorer", "target", "task", "thread", "key"), TEXT
    ),
    **dict.fromkeys(("to", "video", "stage", "worker"), TEXT),
    **dict.fromkeys(("attempts", "frame", "frames", "frames_stored", "frames_total", "leftovers_removed"), COUNT),
    **dict.fromkeys(
        (
            "queue_bytes",
            "requested",
            "chosen",
            "faces",
            "films",
            "moments",
            "resumed",
            "scored",
            "set_aside",
            "spans",
            "stills",
        ),
        COUNT,
    ),
    **dict.fromkeys(("batch", "memory_bytes", "height", "new", "old", "size_bytes", "video_id", "width"), COUNT),
    **dict.fromkeys(("key", "key_before", "missed"), COUNT),
    **dict.fromkeys(("fps", "seconds", "again_every_s", "again_in_s", "paused_s", "watchdog_seconds"), NUMBER),
    **dict.fromkeys(("away_s", "cores"), NUMBER),
    **dict.fromkeys(("lines", "losses", "retry", "stream", "files"), COUNT),
    **dict.fromkeys(("corrupt_frames", "damaged_frames", "frameless_packets", "lost_packets", "unread_bytes"), COUNT),
    "unread_s": NUMBER,
    "again": {"const": True},
    "damaged": {"type": "boolean"},
    "by": COUNT,
    "version": {"type": ["string", "integer"]},
    "error_kind": {"type": "string", "pattern": "^[a-z_]+$"},
    "eta_s": {"type": ["number", "null"], "minimum": 0},
    "method": {"enum": ["batch", "single", "decode"]},
    "mode": {"enum": ["native", "polling"]},
    "shortfall": {"type": ["string", "null"]},
    "status": {
        "enum": ["queued", "scoring", "scored", "exporting", "done", "failed", "rejected", "missing", "replaced"]
    },
    "signal": {"enum": ["SIGINT", "SIGTERM"]},
    "spearman": {"type": ["number", "null"], "minimum": -1, "maximum": 1},
    **{
        key: {"type": "array", "items": TEXT}
        for key in ("changed", "names", "needs_restart", "stages", "tasks", "threads", "workers")
    },
}

EVENTS: dict[str, str] = {
    "service.ready": "version path mode resumed set_aside leftovers_removed",
    "service.stopping": "signal",
    "service.stopped": "",
    "service.late": "tasks seconds? reason?",
    "service.forced": "threads seconds",
    "service.paused": "stage error_kind error again_every_s",
    "service.resumed": "stage paused_s",
    "service.reloaded": "changed needs_restart",
    "service.reload_failed": "error",
    "service.stuck": "stages watchdog_seconds",
    "service.failed": "error_kind error",
    "service.crashed": "error",
    "database.upgrading": "path version",
    "database.upgraded": "path version frames seconds",
    "code.compiling": "",
    "code.compiled": "seconds",
    "log.dropped": "lines",
    "thread.crashed": "thread",
    "attendant.crashed": "task",
    "scorer.ready": "scorer device ffmpeg",
    "scorer.batch_resized": "device old new reason",
    "scorer.precision": "metric device precision spearman reason",
    "scorer.stuck": "device seconds",
    "scorer.lost": "device losses error",
    "scorer.close_failed": "scorer",
    "video.queued": "video video_id size_bytes again?",
    "video.known": "video video_id status",
    "video.replaced": "video video_id by",
    "video.started": "video video_id codec width height pix_fmt frames_total frames_stored scorer",
    "video.stream_chosen": "video video_id stream reason",
    "video.progress": "video video_id frame frames_total fps eta_s queue_bytes batch",
    "video.features_missing": "video video_id",
    "video.scored": "video video_id frames scored damaged unread_bytes unread_s lost_packets frameless_packets"
    " corrupt_frames damaged_frames",
    "video.refined": "video video_id scorer frames scored",
    "video.rescored": "video video_id scorer frames scored",
    "video.repeated": "video video_id moments films stills",
    "video.faces": "video video_id frames faces seconds",
    "video.selected": "video video_id requested chosen shortfall",
    "video.done": "video video_id stills shortfall",
    "video.postponed": "video video_id error_kind error retry again_in_s",
    "video.failed": "video video_id error_kind error",
    "video.rejected": "video video_id error_kind error",
    "video.damaged": "video video_id reason action",
    "video.colours_lost": "video video_id reason",
    "video.given_back": "video video_id frames",
    "video.conversion_differs": "video video_id reason",
    "decode.fallback": "video video_id to reason",
    "video.crashed": "video video_id",
    "decode.stuck": "video video_id",
    "export.batch": "video video_id frames method",
    "export.fallback": "video video_id to frames frame? reason",
    "export.sought": "video video_id key key_before missed",
    "export.verified": "video video_id stills folder",
    "export.not_beside": "video video_id? reason",
    "watch.started": "path mode file_system",
    "watch.limit": "path reason fix",
    "watch.overflow": "path reason fix",
    "watch.unreadable": "path reason",
    "watch.not_taken": "path files names reason key",
    "watch.waiting": "path files names reason",
    "watch.unavailable": "path reason",
    "watch.event_lost": "path reason",
    "watch.stuck": "path",
    "web.started": "address",
    "cluster.connected": "address workers cores away_s",
    "cluster.lost": "address error",
    "cluster.worker_ready": "worker scorer",
    "cluster.worker_refused": "worker reason again_in_s",
    "cluster.film_taken": "video video_id worker",
    "cluster.film_left": "video video_id worker frames fps memory_bytes",
    "cluster.scored_here": "error",
    "cluster.in_spans": "video video_id spans frames_total",
    "cluster.scored_whole": "video video_id reason",
    "cluster.span_lost": "video video_id error",
    "cluster.crashed": "",
    "web.crashed": "path",
    "review.started": "address",
    "notify.sent": "video video_id target",
    "notify.failed": "video video_id target attempts reason",
    "notify.dropped": "video video_id reason",
    "source.moved": "video video_id to",
    "source.deleted": "video video_id",
    "source.kept": "video video_id reason",
    "source.failed": "video video_id reason",
    "source.waiting": "reason video? video_id?",
    "progress.unwritable": "path reason",
}

MEANINGS: dict[str, str] = {
    "service.ready": "the daemon watches; what a killed run left was resumed, set aside, or cleared away",
    "service.stopping": "a signal asked for a stop",
    "service.stopped": "everything is committed and closed",
    "service.late": "tasks that had to be cancelled at the stop, or that could not write any more",
    "service.forced": "the stop took too long; these threads did not end",
    "service.paused": "a disk is full, a folder is away or the database is held: the stage tries until it works",
    "service.resumed": "the stage works again",
    "service.reloaded": "HUP: the settings that were taken over, and those that need a new start",
    "service.reload_failed": "HUP: the configuration is wrong; the old one stays",
    "service.stuck": "stages without progress; the watchdog is no longer fed",
    "service.failed": "it cannot start or continue, and the fix",
    "service.crashed": "an error that was not foreseen; please report it",
    "database.upgrading": "the database is brought to a new version in pieces; a kill loses nothing",
    "database.upgraded": "the database is of the version that this program writes",
    "code.compiling": "the first start of a version compiles its code, which takes half a minute of computing",
    "code.compiled": "it is ready to score; so many seconds have passed since",
    "log.dropped": "the log was not read for so long that its queue was full; these lines are missing here",
    "thread.crashed": "the same, in a thread",
    "attendant.crashed": "the same, in a task that runs beside the pipeline; the pipeline goes on",
    "scorer.ready": "the whole identity of the scores, and the FFmpeg that exports",
    "scorer.batch_resized": "a batch that shrank or grew, and why",
    "scorer.precision": "the precision of a deep metric, the rank correlation of the self-check, the reason",
    "scorer.stuck": "the device did not end its work at the stop",
    "scorer.lost": "the device was lost; the scorer is opened again",
    "scorer.close_failed": "closing the lost scorer failed, with its traceback",
    "video.queued": "taken; `again`: it was missing, or had failed before",
    "video.known": "dropped again or moved: the content is known, and there is nothing to do",
    "video.replaced": "the file holds other content now (video `by`); this row, its scores and stills are kept",
    "video.started": "what the probe found, and how many frames are scored already",
    "video.stream_chosen": "the file has several video streams; which is used, why, and what the others are",
    "video.progress": "at most every `log.progress_seconds`; the total is an estimate",
    "video.features_missing": "scored by an older version: chosen by score and gap alone",
    "video.scored": "every frame is stored; how many of them have a score, and what was lost or damaged",
    "video.rescored": "another metric has scored the film beside the first; `scored` of its frames just now",
    "video.refined": "the shortlist has scores of the second metric; how many of them are new",
    "video.repeated": "with `select.across`: how many moments look like what other films gave, and are left out",
    "video.faces": "shortlisted frames were looked at for faces: how many, the faces, and the seconds so far",
    "video.selected": "how many frames were chosen, and the shortfall",
    "video.done": "stills published and committed",
    "video.postponed": "the cause may pass by itself: the video is tried again",
    "video.failed": "something went wrong; `stillwatch retry` may help",
    "video.rejected": "not a video that stillwatch takes",
    "video.damaged": "the first sign of damage, and what is done about it",
    "decode.fallback": "the device of `decode.hwaccel` cannot be opened, fails or gives other frames than software, which decodes the film",
    "video.conversion_differs": "our own conversion to gray or RGB has not the bits of FFmpeg's filters, which are used instead",
    "video.colours_lost": "the film's true colours cannot be made, and why; it is scored and exported as it is",
    "video.given_back": "a film took more than it may: this many frames' rows were deleted, so that others have room",
    "video.crashed": "an error that was not foreseen, with its traceback; `video.failed` follows",
    "decode.stuck": "a decoder did not end in time",
    "export.batch": "stills made and proven",
    "export.fallback": "a proof that failed, and what is tried instead",
    "export.sought": "frames found by seeking to the key packet before them, to the one before that, and not found",
    "export.verified": "stills published",
    "export.not_beside": "why pictures are not beside the film (`output.beside`); the stills are where they belong",
    "watch.started": "how the folder is watched, and why",
    "watch.limit": "the kernel has no watches left; the folder is polled instead",
    "watch.overflow": "the kernel dropped events; the folder is listed anew",
    "watch.unreadable": "a subfolder that is skipped",
    "watch.not_taken": "files that are not taken, 20 of their names at most, why, and the key that decides; said once",
    "watch.waiting": "files that have settled but may be unfinished, 20 of their names at most, and why; said once",
    "watch.unavailable": "the watch folder is away; it is tried again",
    "watch.event_lost": "an event that could not be understood; the rescan finds the file",
    "watch.stuck": "a watching thread did not end in time",
    "web.started": "where `service.http` listens",
    "cluster.connected": "the cluster answers, after so many seconds in which it did not: its machines and their cores",
    "cluster.lost": "the cluster does not answer, or no machine of it can be used; said once until it can be used again",
    "cluster.worker_ready": "a worker was found to be what it has to be, and may score",
    "cluster.worker_refused": "a machine is refused for a while, with the reason and the fix",
    "cluster.film_taken": "a machine that decodes and scores the film from now on; one in spans has several",
    "cluster.film_left": "it is done with it: rows that came from there, how many in a second, the most memory of the worker",
    "cluster.in_spans": "the film is scored in so many spans, on as many workers as there are for it",
    "cluster.scored_whole": "the film is not, or no longer, scored in spans but whole, on one worker; the reason",
    "cluster.span_lost": "a further worker of a film in spans is gone; its span is scored by another one",
    "cluster.crashed": "in the log of a worker: an error that was not foreseen, with its traceback",
    "cluster.scored_here": "`cluster.if_gone` is `here`: films are scored by this process until the cluster is back",
    "web.crashed": "a page could not be made, for a reason that was not foreseen; please report it",
    "review.started": "what to open for the review page; on TCP it holds the token that everyone needs",
    "notify.sent": "a hook was delivered",
    "notify.failed": "a hook was given up after this many attempts",
    "notify.dropped": "a hook was not delivered: too many wait, or the daemon stopped",
    "source.moved": "`watch.after: move` moved the source",
    "source.deleted": "`watch.after: delete` deleted the source",
    "source.kept": "`watch.after` left a source where it is, and why",
    "source.failed": "`watch.after` could not act and tries again; with a traceback if the cause was not foreseen",
    "source.waiting": "`watch.after` waits for the database, or until a source has stood still for long enough",
    "progress.unwritable": "`stillwatch status` cannot show progress, and why",
}
"""What each event says; ``docs/events.md`` is written from it."""

# What any event may carry: a traceback, and the mark of a line that had to be cut.
COMMON = {
    "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"},
    "level": {"enum": ["debug", "info", "warning", "error", "critical"]},
    "exception": {"type": "array", "items": {"type": "object", "required": ["exc_type", "exc_value"]}},
    "shortened": {"const": True},
}


def facts(event: str) -> dict[str, bool]:
    """The facts of an event, and whether each is always there."""
    return {fact.removesuffix("?"): not fact.endswith("?") for fact in EVENTS[event].split()}


def _own(event: str) -> dict[str, Any]:
    listed = facts(event)
    return {
        "properties": {**COMMON, "event": {"const": event}, **{fact: FACTS[fact] for fact in listed}},
        "required": [fact for fact, always in listed.items() if always],
        "additionalProperties": False,
    }


LIBRARY = {
    "description": "a record of a library: free text under the name of its logger",
    "properties": {**COMMON, "event": TEXT, "logger": TEXT},
    "required": ["logger"],
    "additionalProperties": False,
}

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["timestamp", "level", "event"],
    "if": {"required": ["logger"]},
    "then": LIBRARY,
    "else": {
        "properties": {"event": {"enum": sorted(EVENTS)}},
        "allOf": [{"if": {"properties": {"event": {"const": event}}}, "then": _own(event)} for event in EVENTS],
    },
}

_VALIDATOR = Draft202012Validator(SCHEMA)


def check_line(line: str) -> dict[str, Any]:
    """One line of the log as an event; an AssertionError says what is wrong with it."""
    try:
        event = json.loads(line)
    except ValueError:
        raise AssertionError(f"not JSON: {line!r}") from None
    wrong = [error.message for error in _VALIDATOR.iter_errors(event)]
    assert not wrong, f"{wrong} in {line}"
    assert isinstance(event, dict)
    return event
