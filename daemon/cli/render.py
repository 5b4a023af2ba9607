"""What the commands print: tables drawn of facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table

from daemon.errors import printable

if TYPE_CHECKING:
    from daemon.store.queries import ListedVideo

WIDTH = 10_000
STRETCHES_SHOWN = 6
SILENT_SECONDS = 30.0
"""After this long without progress a video in work is shown with the age of the last: slow is not stuck."""

_COLOURS = {"done": "green", "failed": "red", "rejected": "yellow", "duplicate": "yellow", "missing": "yellow"}


def print_stills(shown: Sequence[dict[str, Any]]) -> None:
    """A table of stills per video, or the reason why there is none."""
    console = unwrapped_console()
    for video in shown:
        name = escape(Path(video["video"]).name)
        if video["known_as"] is not None:
            console.print(f"{name}: {_known(video['known_as'])}")
            continue
        console.print(f"{name}: {_status(video['status'])}{_because(video['error'])}")
        if video["stills"]:
            console.print(_still_table(video["stills"], video["metric"]))
        if video["shortfall"]:
            console.print(f"  fewer than asked for: {escape(video['shortfall'])}")


def _known(original: dict[str, Any]) -> str:
    """What is said of a copy: which video it is, and where the stills of that one are."""
    folder = original["folder"]
    stills = f"its stills are in {escape(_short(folder))}" if folder else "it has no stills yet"
    video = f"{escape(_short(original['video']))} (video {original['id']}, {_status(original['status'])})"
    return f"known already: the same film as {video}; {stills}"


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
    console = unwrapped_console()
    for line in status_lines(state, datetime.now(UTC)):
        console.print(line)


def status_lines(state: dict[str, Any], now: datetime) -> list[str]:
    """What ``print_status`` prints, as rich markup; ``now`` tells how old the last sign of life is."""
    since = f" since {state['started_at']} (process {state['pid']})" if state["started_at"] else ""
    lines = [f"running{since}" if state["running"] else "not running"]
    counts = ", ".join(f"{count} {_status(name)}" for name, count in state["videos"].items() if count)
    lines.append(counts or "no videos yet")
    lines += [f"  {row['status']} {escape(_short(row['path']))}: {_how_far(row, now)}" for row in state["working"]]
    lines += [
        f"  {_status(_word(row))} {escape(_short(row['path']))}{_because(row['error'])}" for row in state["errors"]
    ]
    lines += _cluster_lines(state.get("cluster"))
    return lines + _waiting_lines(state.get("waiting")) + not_taken_lines(state.get("not_taken"))


def _cluster_lines(cluster: dict[str, Any] | None) -> list[str]:
    """What each worker does, as rich markup; nothing where films are scored here."""
    if cluster is None:
        return []
    count, waiting = len(cluster["workers"]), cluster["waiting"]
    wait = f", {waiting} {'video waits' if waiting == 1 else 'videos wait'} for a worker" if waiting else ""
    lines = [f"cluster {escape(cluster['address'])}: {count} {'worker' if count == 1 else 'workers'}{wait}"]
    if cluster["away"]:
        lines = [f"[red]cluster {escape(cluster['address'])} cannot be used[/]: {escape(cluster['away'])}"]
    for one in cluster["workers"]:
        what = "idle" if one["video"] is None else f"{escape(_short(one['video']))}, {one['fps']:.1f} frames/s"
        lines.append(f"  {escape(one['worker'])}: {what}")
    return lines + [f"  [red]refused[/] {escape(name)}: {escape(reason)}" for name, reason in cluster["refused"]]


def _waiting_lines(waiting: dict[str, Any] | None) -> list[str]:
    """What waits until it is finished, as rich markup: the newest, and how many there are."""
    if waiting is None:
        return []
    lines = [f"  waiting {escape(_short(one['path']))} ({escape(one['reason'])})" for one in waiting["newest"]]
    more = waiting["files"] - len(waiting["newest"])
    return [*lines, f"  and {more} more files waiting"] if more else lines


def not_taken_lines(left: dict[str, Any] | None) -> list[str]:
    """What is left alone in the watch folder, as rich markup: the newest, and how many there are."""
    if left is None:
        return []
    lines = [
        f"  not taken {escape(_short(one['path']))} ({escape(one['reason'])}; {escape(one['key'])})"
        for one in left["newest"]
    ]
    more = left["files"] - len(left["newest"])
    return [*lines, f"  and {more} more files not taken"] if more else lines


def _how_far(row: dict[str, Any], now: datetime) -> str:
    said = row["progress"] or {}
    frame = said.get("frame", row["frames"] or 0)
    total = f" of about {row['frames_total']}" if row["frames_total"] else ""
    parts = [f"{frame}{total} frames"]
    if said.get("fps"):
        parts.append(f"{said['fps']:.1f} fps")
    if said.get("eta_s") is not None:
        parts.append(f"{timedelta(seconds=round(said['eta_s']))} to go")
    if said and (silent := (now - datetime.fromisoformat(said["at"])).total_seconds()) > SILENT_SECONDS:
        parts.append(f"last sign {timedelta(seconds=round(silent))} ago")
    return ", ".join(parts)


def print_list(rows: Sequence[ListedVideo], left: dict[str, Any] | None = None) -> None:
    """One line per video, then what is left alone in the watch folder."""
    table = Table(box=None, pad_edge=False)
    for column in ("id", "frames", "stills"):
        table.add_column(column, justify="right")
    table.add_column("status")
    table.add_column("video")
    for row in rows:
        frames = "" if row["frames_decoded"] is None else str(row["frames_decoded"])
        name = escape(_short(row["path"])) + _because(row["error"])
        table.add_row(str(row["id"]), frames, str(row["stills"]), _status(_word(row)), name)
    console = unwrapped_console()
    console.print(table)
    for line in not_taken_lines(left):
        console.print(line)


def print_detail(video: dict[str, Any]) -> None:
    """One video with its selections."""
    console = unwrapped_console()
    console.print(f"{escape(video['path'])}: {_status(_word(video))}{_because(video['error'])}")
    if video["codec"]:
        console.print(
            f"  {video['codec']} {video['width']}x{video['height']} {video['pix_fmt']}, stream {video['stream_index']},"
            f" {video['frames_decoded']} frames{', damaged: ' + escape(video['damage']) if video['damage'] else ''}"
        )
        for words in (*_stream_lines(video["info"] or {}), *_stretch_lines(video["info"] or {})):
            console.print(f"  {words}")
        for words in _scorer_lines(video["scorers"]):
            console.print(f"  {words}")
        for note, frames in video["notes"].items():
            console.print(f"  {frames} frames without a usable score: {escape(note)}")
    for companion in video.get("companions", []):
        console.print(f"  companion {escape(_short(companion))}")
    if (source := video["source"]) is not None:
        console.print(f"  source {source['state']} {source['at']}{_because(source['reason'])}")
    if video["shots"]:
        console.print(_shot_table(video["shots"]))
    if video["verdicts"]:
        told = ", ".join(f"{frames} {escape(word)}" for word, frames in video["verdicts"].items())
        console.print(f"  verdicts: {told}")
    for selection in video["selections"]:
        _print_selection(console, selection, selection["metric"] or video["metric"])
    for line in _decision_lines(video["decisions"]):
        console.print(line)


def _scorer_lines(scorers: Sequence[dict[str, Any]]) -> list[str]:
    """Two lines for each scorer that has given a score, the current one first."""
    lines = []
    for one in scorers:
        if one["lowest"] is not None:
            direction = {None: "", 0: ", higher is better", 1: ", lower is better"}[one["lower_better"]]
            kept = "" if one["current"] else " (kept beside)"
            found = f"{one['metric']} from {one['lowest']:.4f} to {one['highest']:.4f}"
            lines.append(f"{one['scored']} scored, {found}{direction}{kept}")
            lines.append(escape(one["scorer"]))
    return lines


def _print_selection(console: Console, selection: dict[str, Any], metric: str | None) -> None:
    asked = selection["requested"] or "as many as are worth it"
    console.print(f"selection {selection['id']}: {selection['chosen']} of {asked} asked for")
    reasons = selection["reasons"] or {}
    more = [reasons.get(part, {}).get("told") for part in ("across", "faces")]
    for line in (selection["shortfall"], reasons.get("because"), *more):
        if line:
            console.print(f"  {escape(line)}")
    console.print(_still_table(selection["stills"], metric))


def _decision_lines(decided: dict[str, Any]) -> list[str]:
    words = [word for word in ("accepted", "rejected", "pinned", "banned") if decided[word]]
    lines = [f"{word}: frame {', '.join(str(frame) for frame in decided[word])}" for word in words]
    for one in decided["notes"]:
        about = "note" if one["frame"] is None else f"note on frame {one['frame']}"
        lines.append(f"{about}: {escape(one['note'])}")
    return lines


def _stream_lines(info: dict[str, Any]) -> list[str]:
    """Lost colours, every stream of the file, the used one first with the reason, and where the film comes from."""
    lines = []
    if info.get("colours_lost"):
        lines.append(escape(info["colours_lost"]))
    if info.get("stream_reason"):
        lines.append(f"stream {info['stream_index']} is used: {escape(info['stream_reason'])}")
    streams = info.get("streams", [])
    lines += [escape(_stream_words(stream)) for stream in streams if len(streams) > 1]
    origin = {name.replace("_", " "): value for name, value in info.get("origin", {}).items() if value}
    if origin:
        lines.append(", ".join(f"{name} {escape(value)}" for name, value in origin.items()))
    return lines


def _stream_words(stream: dict[str, Any]) -> str:
    words = [stream["codec"] or "unknown codec"]
    if stream["width"]:
        words.append(f"{stream['width']}x{stream['height']}")
    if stream["frames"] is not None and stream["kind"] == "video":
        words.append(f"{'about ' if stream['counted'] else ''}{stream['frames']} frames")
    if stream["duration_s"] is not None:
        words.append(f"{stream['duration_s']:.1f} s")
    if stream["bit_rate"]:
        words.append(f"{stream['bit_rate'] / 1000:.0f} kbit/s")
    words += [stream["language"], stream["title"], *(word.replace("_", " ") for word in stream["disposition"])]
    words += [f"programme {stream['programme']}" if stream["programme"] else ""]
    words += ["" if stream["decodable"] else "no decoder"]
    return f"stream {stream['index']}: {stream['kind']}, {', '.join(word for word in words if word)}"


def _stretch_lines(info: dict[str, Any]) -> list[str]:
    """Where in the film its picture changes, and how; the first few of many."""
    stretches = info.get("stretches") or []
    lines = [escape(info["size_note"])] if info.get("size_note") else []
    for stretch in stretches[1:STRETCHES_SHOWN]:
        changed = [f"{key.replace('_', ' ')} {_plain(new)}" for key, new in stretch.items() if key != "first"]
        lines.append(f"from frame {stretch['first']} on: {escape(', '.join(changed) or 'as at the beginning')}")
    if len(stretches) > STRETCHES_SHOWN:
        lines.append(f"and {len(stretches) - STRETCHES_SHOWN} changes more")
    return lines


def _plain(value: Any) -> str:
    return "/".join(str(part) for part in value.values()) if isinstance(value, dict) else str(value)


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
    unwrapped_console().print(table)


def print_verdicts(verdicts: Sequence[dict[str, Any]]) -> None:
    """One line per still that is not proven, and the count."""
    console = unwrapped_console()
    for still in verdicts:
        if not still["proven"]:
            word = "[yellow]source replaced[/]" if still["source_replaced"] else "[red]not proven[/]"
            console.print(f"{word} {escape(_short(still['still']))}: {escape(still['reason'])}")
    proven = sum(1 for still in verdicts if still["proven"])
    replaced = sum(1 for still in verdicts if still["source_replaced"])
    rest = f", the source of {replaced} was replaced" if replaced else ""
    console.print(f"{proven} of {len(verdicts)} stills proven{rest}")


def print_bench(results: Iterable[dict[str, Any]]) -> None:
    """Per film a Markdown table as soon as it is measured."""
    for row in results:
        frames = row["frames"]
        print(f"\n{row['video']}: {row['codec']}, {row['pix_fmt']}, {row['width']}x{row['height']}, {frames} frames\n")
        print("| | CPU s | CPU ms a frame | wall s |\n| --- | --- | --- | --- |")
        steps = {"FFmpeg's decode": row["ffmpeg"], "PyAV's decode": row["pyav"]}
        steps |= {f"stage: {name}": cost for name, cost in row["stages"].items()}
        for name, cost in {**steps, "`once`": row["once"]}.items():
            print(f"| {name} | {cost['cpu_s']:.2f} | {cost['cpu_s'] / frames * 1000:.2f} | {cost['wall_s']:.2f} |")
        print(f"\n`once` takes {row['ratio']:.2f} times the CPU of FFmpeg's decode.")
        print(f"The stages, each measured alone, add up to {row['alone']:.0%} of it. The run itself, in CPU s:")
        print(", ".join(f"{name} {seconds:.2f}" for name, seconds in row["parts"].items()), end="")
        print(f" ({row['accounted']:.0%} of it).")
        wall = row["once"]["wall_s"] / row["once"]["cpu_s"]
        print(f"Its wall time is {wall:.2f} of its CPU time, its memory {row['memory_mib']:.0f} MiB.")
        if row["pyiqa_fps"]:
            times = row["times_pyiqa"]
            print(f"pyiqa's own loop: {row['pyiqa_fps']:.2f} frames a second; scoring here: {times:.0f} times that.")
        print(f"{row['cores']} cores of {row['machine']}; FFmpeg {row['ffmpeg_version']}; {row['scorer']}", flush=True)


def print_doctor(checks: Sequence[dict[str, Any]]) -> None:
    """One line per check, and the fix where one is needed."""
    console = unwrapped_console()
    for check in checks:
        mark = "[green]ok[/]  " if check["ok"] else "[red]fix[/] "
        console.print(f"{mark} {check['check']}: {escape(check['found'])}")
        if check["fix"]:
            console.print(f"      {escape(check['fix'])}")


def escape(text: str) -> str:
    """Text that came from a file name or an error, fit for a terminal: one line, no control codes."""
    return escape_markup(printable(text))


def unwrapped_console() -> Console:
    """Standard output without wrapping: a path stays on one line, for people and for grep."""
    return Console(highlight=False, width=WIDTH)


def _status(name: str) -> str:
    colour = _COLOURS.get(name)
    return f"[{colour}]{name}[/]" if colour else name


def _word(video: Mapping[str, Any]) -> str:
    """The status as people are told it: a copy of a known film is no fault, although it is stored as rejected."""
    return "duplicate" if video["error_kind"] == "duplicate" else str(video["status"])


def _because(error: str | None) -> str:
    return f" ({escape(error)})" if error else ""


def _short(path: str) -> str:
    """Relative to the working folder where that is shorter."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
