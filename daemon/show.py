"""What the commands print: facts gathered from the store, and tables drawn of them."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from daemon.model import Status, VideoRecord
from daemon.store import Store

ERRORS_SHOWN = 5
WIDTH = 10_000

_COLOURS = {"done": "green", "failed": "red", "rejected": "yellow", "missing": "yellow"}


# Facts


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
    """Whether a daemon runs, how many videos stand where, what is in work, the last errors."""
    working = await store.rows("working")
    for row in working:
        info = json.loads(row.pop("info") or "{}")
        row["frames_total"] = info.get("frames_estimate") or None
    return {
        "running": is_locked(database),
        "videos": await store.counts(),
        "working": working,
        "errors": await store.rows("errors", (ERRORS_SHOWN,)),
    }


def is_locked(database: Path) -> bool:
    """Whether a daemon or a foreground run holds the lock beside the database."""
    path = database.with_name(database.name + ".lock")
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


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
    return {
        **video,
        "scores": scores,
        "notes": {row["note"]: row["frames"] for row in await store.rows("notes", (record.id,))},
        "verdicts": {row["verdict"]: row["frames"] for row in await store.rows("verdicts", (record.id,))},
        "shots": await store.rows("shots", (record.id,)),
        "selections": selections,
    }


# Drawing


def print_stills(shown: Sequence[dict[str, Any]]) -> None:
    """A table of stills per video, or the reason why there is none."""
    console = _console()
    for one in shown:
        name = escape(Path(one["video"]).name)
        console.print(f"{name}: {_status(one['status'])}{_because(one['error'])}")
        if one["stills"]:
            console.print(_still_table(one["stills"], one["metric"]))
        if one["shortfall"]:
            console.print(f"  fewer than asked for: {escape(one['shortfall'])}")


def _still_table(stills: Sequence[dict[str, Any]], metric: str | None) -> Table:
    table = Table(box=None, pad_edge=True)
    for column in ("rank", "frame", "time s", metric or "score", "shot", "of shot", "stands for"):
        table.add_column(column, justify="right")
    table.add_column("still")
    for still in stills:
        table.add_row(
            str(still["rank"]),
            str(still["frame"]),
            f"{still['time_s']:.3f}",
            f"{still['score']:.4f}",
            *_why(still["reason"] or {}),
            escape(_short(still["path"])),
        )
    return table


def _why(reason: dict[str, Any]) -> tuple[str, str, str]:
    """Shot, percentile in it, and what the still stands for; empty where nothing is known."""
    if reason.get("shot") is None:
        return "", "", ""
    return (
        str(reason["shot"]),
        f"{reason['percentile']:.0f} %",
        f"{reason['frames']} frames, {reason['seconds']:.1f} s",
    )


def print_status(state: dict[str, Any]) -> None:
    """The daemon's state in a few lines."""
    console = _console()
    console.print("running" if state["running"] else "not running")
    counts = ", ".join(f"{count} {_status(name)}" for name, count in state["videos"].items() if count)
    console.print(counts or "no videos yet")
    for row in state["working"]:
        total = f" of about {row['frames_total']}" if row["frames_total"] else ""
        console.print(f"  {row['status']} {escape(_short(row['path']))}: {row['frames'] or 0}{total} frames")
    for row in state["errors"]:
        console.print(f"  {_status(row['status'])} {escape(_short(row['path']))}{_because(row['error'])}")


def print_list(rows: Sequence[dict[str, Any]]) -> None:
    """One line per video."""
    table = Table(box=None, pad_edge=False)
    for column in ("id", "frames", "stills"):
        table.add_column(column, justify="right")
    table.add_column("status")
    table.add_column("video")
    for row in rows:
        frames = "" if row["frames_decoded"] is None else str(row["frames_decoded"])
        name = escape(_short(row["path"])) + _because(row["error"])
        table.add_row(str(row["id"]), frames, str(row["stills"]), _status(row["status"]), name)
    _console().print(table)


def print_detail(found: dict[str, Any]) -> None:
    """One video with its selections."""
    console = _console()
    console.print(f"{escape(found['path'])}: {_status(found['status'])}{_because(found['error'])}")
    if found["codec"]:
        console.print(
            f"  {found['codec']} {found['width']}x{found['height']} {found['pix_fmt']}, stream {found['stream_index']},"
            f" {found['frames_decoded']} frames{', damaged: ' + escape(found['damage']) if found['damage'] else ''}"
        )
        scores = found["scores"]
        if scores["lowest"] is not None:
            better = "lower" if found["lower_better"] else "higher"
            console.print(
                f"  {found['frames_scored']} scored, {found['metric']} from {scores['lowest']:.4f} to"
                f" {scores['highest']:.4f}, {better} is better\n  {escape(found['scorer'])}"
            )
        for note, frames in found["notes"].items():
            console.print(f"  {frames} frames without a usable score: {escape(note)}")
    if found["shots"]:
        console.print(_shot_table(found["shots"]))
    if found["verdicts"]:
        told = ", ".join(f"{frames} {escape(word)}" for word, frames in found["verdicts"].items())
        console.print(f"  verdicts: {told}")
    for selection in found["selections"]:
        asked = selection["requested"] or "as many as are worth it"
        console.print(f"selection {selection['id']}: {selection['chosen']} of {asked} asked for")
        for line in (selection["shortfall"], (selection["reasons"] or {}).get("because")):
            if line:
                console.print(f"  {escape(line)}")
        console.print(_still_table(selection["stills"], found["metric"]))


def _shot_table(shots: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=True)
    for column in ("shot", "from s", "to s", "frames", "good"):
        table.add_column(column, justify="right")
    table.add_column("kind")
    for shot in shots:
        table.add_row(
            str(shot["shot"]),
            f"{shot['start_s']:.3f}",
            f"{shot['last_s']:.3f}",
            str(shot["last"] - shot["first"] + 1),
            str(shot["good"]),
            shot["kind"],
        )
    return table


def print_metrics(rows: Sequence[dict[str, Any]]) -> None:
    """The catalogue of metrics."""
    table = Table(box=None, pad_edge=False)
    for column in ("metric", "better", "weights"):
        table.add_column(column)
    for row in rows:
        table.add_row(row["metric"], "lower" if row["lower_better"] else "higher", row["weights"])
    _console().print(table)


def print_verdicts(verdicts: Sequence[dict[str, Any]]) -> None:
    """One line per still that is not proven, and the count."""
    console = _console()
    for one in verdicts:
        if not one["proven"]:
            console.print(f"[red]not proven[/] {escape(_short(one['still']))}: {escape(one['reason'])}")
    proven = sum(1 for one in verdicts if one["proven"])
    console.print(f"{proven} of {len(verdicts)} stills proven")


def print_bench(results: Iterable[dict[str, Any]]) -> None:
    """A Markdown table, a row as soon as it is measured."""
    print("| video | decode | score | end to end | efficiency | hash | store | memory | pyiqa's loop | times pyiqa |")
    print("| --- " * 10 + "|", flush=True)
    measured = ""
    for one in results:
        plain = f"{one['pyiqa_fps']:.2f} fps" if one["pyiqa_fps"] else "-"
        times = f"{one['times_pyiqa']:.0f}" if one["times_pyiqa"] else "-"
        print(
            f"| {one['width']}x{one['height']}, {one['frames']} frames | {one['decode_fps']:.0f} fps"
            f" | {one['score_fps']:.0f} fps | {one['end_to_end_fps']:.0f} fps | {one['efficiency']:.0%}"
            f" | {one['hash_share']:.1%} | {one['store_share']:.1%} | {one['peak_mib']:.0f} MiB | {plain} | {times} |",
            flush=True,
        )
        measured = f"\n{one['cores']} cores; {one['scorer']}"
    print(measured)


def print_doctor(checks: Sequence[dict[str, Any]]) -> None:
    """One line per check, and the fix where one is needed."""
    console = _console()
    for check in checks:
        mark = "[green]ok[/]  " if check["ok"] else "[red]fix[/] "
        console.print(f"{mark} {check['check']}: {escape(check['found'])}")
        if check["fix"]:
            console.print(f"      {escape(check['fix'])}")


def escape(text: str) -> str:
    """Text that came from a file name or an error, fit for a terminal: one line, no control codes."""
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    safe = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in safe)
    return escape_markup(safe)


def _console() -> Console:
    """Standard output without wrapping: a path stays on one line, for people and for grep."""
    return Console(highlight=False, width=WIDTH)


def _status(name: str) -> str:
    colour = _COLOURS.get(name)
    return f"[{colour}]{name}[/]" if colour else name


def _because(error: str | None) -> str:
    return f" ({escape(error)})" if error else ""


def _short(path: str) -> str:
    """Relative to the working folder where that is shorter."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


class Bars:
    """A progress bar per video on standard error, for people who wait in a terminal."""

    def __init__(self, *, enabled: bool) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} frames, {task.fields[fps]:.1f} fps"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not enabled,
        )
        self._tasks: dict[int, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def update(self, progress: Any) -> None:
        """Take a ``pipeline.Progress``."""
        total = max(progress.frames_total, progress.frame)
        if progress.video_id not in self._tasks:
            name = escape(Path(progress.video).name)
            self._tasks[progress.video_id] = self._bars.add_task(name, total=total, fps=0.0)
        self._bars.update(self._tasks[progress.video_id], completed=progress.frame, total=total, fps=progress.fps)
