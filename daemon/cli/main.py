"""Arguments, printing, exit codes: 0 all done, 1 something failed, 2 usage or configuration.

Everything heavy is imported inside the command that needs it: what scores nothing never imports torch.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from daemon import __version__
from daemon.errors import Kind, StillwatchError

if TYPE_CHECKING:
    from daemon.config.schema import Config
    from daemon.model import VideoRecord
    from daemon.store.store import Store

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    # Help as plain text: drawing it with rich takes twice the time of all the rest.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Watch a folder, score every frame of every video, keep the best as proven stills.",
)

SHORT_COMMANDS = {"list", "show", "status", "--help"}
"""They end before there is garbage; looking for it, and taking the interpreter down, would be a third of their time."""

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="configuration file")]
VideoArgument = Annotated[str, typer.Argument(help="id, path, file name or start of the fingerprint")]
FrameArgument = Annotated[int, typer.Argument(help="frame number, as `show` has it", min=0, max=2**31 - 1)]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]


def main() -> None:
    """The console script. Prints a StillwatchError as one line; its cause is in the log."""
    # Looking for plugins through every installed package is the longest part of importing pydantic.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    short = sys.argv[1:] != [] and sys.argv[1] in SHORT_COMMANDS
    if short:
        gc.disable()
    code = _exit_code()
    if short:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def _exit_code() -> int:
    """Run the command of the arguments to its end."""
    try:
        app()
    except StillwatchError as error:
        print(f"stillwatch: {error.sentence}", file=sys.stderr)
        return _code(error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _code(error: StillwatchError) -> int:
    return 2 if error.kind is Kind.CONFIG else 1


def _version(wanted: bool) -> None:
    if wanted:
        print(f"stillwatch {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Shared by every command."""


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="the file to write")] = Path("config.yaml"),
) -> None:
    """Write a config.yaml with every key, its default and its meaning, where there is none."""
    from daemon.config.default_file import write_default_file

    written = write_default_file(file)
    print(f"wrote {written}: change what you need, then `stillwatch run`")


@app.command()
def run(config: ConfigOption = None) -> None:
    """Watch the folder until a signal stops it."""
    # HUP asks for a reload and never ends the daemon, also before it listens. No SIG_IGN: its children would get it.
    import asyncio

    signal.signal(signal.SIGHUP, lambda *_: None)
    from daemon.logs import setup
    from daemon.service import daemon

    loaded = _load(config)
    as_json = setup.configure(loaded.log.format, loaded.log.level)
    with setup.captured_prints(errors=as_json):
        try:
            asyncio.run(_to_the_end(daemon.run(loaded, read_config=lambda: _load(config))))
        except StillwatchError as error:
            if not as_json:
                raise
            setup.get().error("service.failed", error_kind=error.kind.value, error=error.sentence)
            raise typer.Exit(_code(error)) from error
        except Exception as error:
            setup.get().exception("service.crashed", error=f"{type(error).__name__}: {error}")
            raise typer.Exit(1) from error


async def _to_the_end(work: Awaitable[None]) -> None:
    """A thread that hangs may not keep the process once the work is over."""
    from daemon.runtime.deadline import EXIT_SECONDS, Deadline

    code = 1
    try:
        await work
        code = 0
    finally:
        Deadline(EXIT_SECONDS, code).start()
        # The interpreter takes handlers back before it ends; this one stays.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


@app.command()
def once(
    files: Annotated[list[Path], typer.Argument(help="video files, or folders of them", metavar="FILE...")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    stream: Annotated[
        str | None, typer.Option(help="auto, a stream's number as `show` lists it, or a language such as deu")
    ] = None,
) -> None:
    """Take files through the same pipeline now, then exit: 0 all done, 1 any failed."""
    import asyncio

    from daemon.cli.live import Bars
    from daemon.cli.render import print_stills
    from daemon.config.load import changed
    from daemon.inbox.named import named
    from daemon.logs import setup
    from daemon.observe.reports import refused, summary
    from daemon.service import foreground

    loaded = _load(config)
    if stream is not None:
        loaded = changed(loaded, "decode", {"stream": stream})
    setup.configure(loaded.log.format, "warning" if sys.stderr.isatty() else loaded.log.level)
    meant = named(files, loaded.watch)
    for _, error in meant.refused:
        print(f"stillwatch: {error.sentence}", file=sys.stderr)
    for one in meant.left_alone.newest:
        print(f"stillwatch: {one.path} is not taken: {one.reason} ({one.key})", file=sys.stderr)
    shown, stopped = [refused(path, error) for path, error in meant.refused], False
    if meant.files:
        with Bars(enabled=sys.stderr.isatty()) as bars, setup.captured_prints():
            records, stopped = asyncio.run(foreground.once(loaded, meant.files, bars.update))
        shown = [*_with_store(loaded, lambda store: summary(store, records)), *shown]
    if as_json:
        _print_json(shown)
    else:
        print_stills([video for video in shown if video["id"] is not None])
    if stopped:
        raise typer.Exit(130)
    raise typer.Exit(0 if all(one["ok"] for one in shown) else 1)


@app.command()
def demo(
    clips: Annotated[list[Path] | None, typer.Argument(help="clips to drop in, instead of the built-in ones")] = None,
    folder: Annotated[Path, typer.Option(help="scratch folder")] = Path("demo"),
) -> None:
    """Run the real daemon on a scratch folder with real footage and print the stills."""
    from daemon.cli import demo as show

    raise typer.Exit(show.run(folder, clips or []))


@app.command()
def status(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="again every second, until Ctrl-C")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="only whether it is well: exit code 0, else 1 and why")
    ] = False,
) -> None:
    """What the daemon is doing."""
    import asyncio

    if check:
        _check(config)
        return
    from daemon.cli.render import print_status
    from daemon.observe.reports import current

    loaded = _load(config)
    if not watch:
        state = _with_store(loaded, lambda store: current(store, loaded.database.path))
        _print_json(state) if as_json else print_status(state)
        return

    from daemon.cli.live import Screen

    async def follow(store: Store) -> None:
        gc.enable()
        with Screen(as_json=as_json) as screen:
            while True:
                screen.draw(await current(store, loaded.database.path))
                await asyncio.sleep(1.0)

    with suppress(KeyboardInterrupt):
        _with_store(loaded, follow)


def _check(config: Path | None) -> None:
    from daemon.observe.liveness import why_unwell

    loaded = _load(config)
    if reason := why_unwell(loaded.database.path, loaded.service.http):
        print(reason)
        raise typer.Exit(1)


@app.command("list")
def list_videos(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    limit: Annotated[int, typer.Option(help="at most so many, the newest first", min=1)] = 100,
) -> None:
    """The videos that are known."""
    from daemon.cli.render import print_list
    from daemon.observe.reports import not_taken

    loaded = _load(config)
    rows = _with_store(loaded, lambda store: store.queries.videos(limit))
    left = not_taken(loaded.database.path)
    if not as_json:
        print_list(rows, left)
        return
    alone = [
        {"id": None, "path": one["path"], "status": "not_taken", "error": one["reason"], "key": one["key"]}
        for one in left["newest"]
    ]
    _print_json([*rows, *alone])


@app.command()
def show(
    video: Annotated[str, typer.Argument(help="id, path, file name or start of the fingerprint")],
    frame: Annotated[
        int | None, typer.Option(help="why this frame has its verdict, instead", min=0, max=2**31 - 1)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """One video: what it is, how it was scored, what was chosen and why; or one of its frames."""
    loaded = _load(config)
    if frame is not None:
        from daemon.cli.frame import frame_facts, print_frame

        facts = _with_store(loaded, lambda store: frame_facts(loaded, store, video, frame))
        _print_json(facts) if as_json else print_frame(facts)
        return
    from daemon.cli.render import print_detail
    from daemon.observe.reports import detail

    found = _with_store(loaded, lambda store: detail(store, video))
    _print_json(found) if as_json else print_detail(found)


@app.command()
def select(
    video: Annotated[str, typer.Argument(help="id, path, file name or start of the fingerprint")],
    count: Annotated[str | None, typer.Option(help="stills to choose: a number, or auto")] = None,
    min_gap_seconds: Annotated[
        float | None, typer.Option("--min-gap", help="seconds between two stills", min=0)
    ] = None,
    strategy: Annotated[str | None, typer.Option(help="representative | best | per-shot | even | poster")] = None,
    start: Annotated[float | None, typer.Option(help="choose from this second on")] = None,
    end: Annotated[float | None, typer.Option(help="and before this one")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose and export again from the stored scores, without scoring again.

    Pins and bans hold. Without an option, the newest selection is taken as it was marked by accept and reject.
    """
    from daemon.cli.render import print_stills
    from daemon.config.load import changed
    from daemon.logs import setup
    from daemon.observe.reports import summary
    from daemon.pipeline.reselect import reselect

    loaded = _load(config)
    setup.configure(loaded.log.format, "warning" if sys.stderr.isatty() else loaded.log.level)
    changes = {"count": count, "min_gap_seconds": min_gap_seconds, "strategy": strategy, "start": start, "end": end}
    chosen = changed(loaded, "select", {key: value for key, value in changes.items() if value is not None})

    async def work(store: Store) -> list[dict[str, Any]]:
        anew = any(value is not None for value in changes.values())
        record: VideoRecord = await reselect(chosen, store, video, anew=anew)
        return await summary(store, [record])

    with setup.captured_prints():
        shown = _with_store(loaded, work)
    _print_json(shown) if as_json else print_stills(shown)


@app.command()
def accept(video: VideoArgument, frame: FrameArgument, config: ConfigOption = None) -> None:
    """Keep a frame in the newest selection."""
    _decide(config, video, "accept", frame)


@app.command()
def reject(video: VideoArgument, frame: FrameArgument, config: ConfigOption = None) -> None:
    """Have another frame of the same moment in its place, or none where there is none."""
    _decide(config, video, "reject", frame)


@app.command()
def pin(video: VideoArgument, frame: FrameArgument, config: ConfigOption = None) -> None:
    """Have a frame in every later choice."""
    _decide(config, video, "pin", frame)


@app.command()
def ban(video: VideoArgument, frame: FrameArgument, config: ConfigOption = None) -> None:
    """Have a frame in no later choice."""
    _decide(config, video, "ban", frame)


@app.command()
def reset(video: VideoArgument, frame: FrameArgument, config: ConfigOption = None) -> None:
    """Take back whatever was decided about a frame."""
    _decide(config, video, "reset", frame)


@app.command()
def note(
    video: VideoArgument,
    text: Annotated[str, typer.Argument(help="what to remember; empty takes the note away")],
    frame: Annotated[int | None, typer.Option(help="about this frame instead of the film", min=0)] = None,
    config: ConfigOption = None,
) -> None:
    """Remember a word about a film or a frame."""
    _decide(config, video, "note", frame, text)


@app.command()
def undo(video: VideoArgument, config: ConfigOption = None) -> None:
    """Take the last decision about a film back."""
    _turn(config, video, undo=True)


@app.command()
def redo(video: VideoArgument, config: ConfigOption = None) -> None:
    """Decide again what was taken back."""
    _turn(config, video, undo=False)


def _decide(path: Path | None, video: str, kind: str, frame: int | None, text: str | None = None) -> None:
    from daemon.cli.decisions import decide

    loaded = _load(path)
    print(_with_store(loaded, lambda store: decide(loaded, store, video, kind, frame, text)))


def _turn(path: Path | None, video: str, *, undo: bool) -> None:
    from daemon.cli.decisions import turn

    print(_with_store(_load(path), lambda store: turn(store, video, undo=undo)))


@app.command()
def sheet(
    video: VideoArgument,
    out: Annotated[Path | None, typer.Option(help="file to write, .png or .jpg")] = None,
    columns: Annotated[int, typer.Option(help="pictures side by side", min=1, max=40)] = 6,
    rows: Annotated[int, typer.Option(help="rows of pictures at most", min=1, max=200)] = 8,
    config: ConfigOption = None,
) -> None:
    """Draw a film's contact sheet: frames evenly through it with times and scores, its stills among them."""
    from daemon.cli.sheet import write_sheet

    print(_with_store(_load(config), lambda store: write_sheet(store, video, out, columns, rows)))


@app.command()
def report(
    video: VideoArgument,
    out: Annotated[Path | None, typer.Option(help="file to write")] = None,
    config: ConfigOption = None,
) -> None:
    """Write a film's report: stills, reasons, strip and curve in one HTML file, for sending."""
    from daemon.cli.report import write_report

    print(_with_store(_load(config), lambda store: write_report(store, video, out)))


@app.command()
def review(
    video: Annotated[str | None, typer.Argument(help="id, path, file name or start of the fingerprint")] = None,
    port: Annotated[int, typer.Option(help="port on this machine; 0: any that is free", min=0, max=65535)] = 0,
    socket: Annotated[Path | None, typer.Option(help="listen on this Unix socket instead")] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="only print the address")] = False,
    config: ConfigOption = None,
) -> None:
    """Look at films and their stills in a browser, until Ctrl-C."""
    from daemon.cli.review import serve

    serve(_load(config), video, port=port, socket=socket, open_browser=not no_open)


@app.command()
def retry(
    videos: Annotated[list[str] | None, typer.Argument(help="ids, paths or names", metavar="VIDEO...")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="every video that failed")] = False,
    config: ConfigOption = None,
) -> None:
    """Queue failed, rejected or missing videos again; scores that are stored are kept."""
    if not videos and not failed:
        raise typer.BadParameter("name a video or give --failed")

    async def work(store: Store) -> int:
        ids = [(await store.videos.find(key)).id for key in videos or []]
        if failed:
            ids += await store.queries.failed_ids()
        return await store.queue.requeue(ids)

    queued = _with_store(_load(config), work)
    print(f"{queued} queued; a running daemon takes them now, else `stillwatch run` does")


@app.command()
def metrics(as_json: JsonOption = False) -> None:
    """Every usable metric: direction, and whether its weights are here."""
    from daemon.cli.render import print_metrics
    from daemon.scoring import catalog

    rows = catalog.table()
    _print_json(rows) if as_json else print_metrics(rows)


@app.command()
def pull(metric: Annotated[str, typer.Argument(help="see `stillwatch metrics`")]) -> None:
    """Fetch a metric's weights ahead of time, for hosts that run without network."""
    from daemon.cli.pull import pull as fetch

    print(fetch(metric))


@app.command()
def verify(
    paths: Annotated[list[Path], typer.Argument(help="stills or folders of stills", metavar="PATH...")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove stills again from their sources: 0 all proven, 1 any not."""
    from daemon.cli import verify
    from daemon.cli.render import print_verdicts

    stills = verify.find_stills(paths)
    loaded = _load(config)
    rows = _with_store(loaded, lambda store: store.queries.done_sources()) if loaded.database.path.exists() else []
    verdicts = [
        {"still": str(one.still), "proven": one.proven, "reason": one.reason}
        for one in verify.verify(stills, loaded.decode, verify.whereabouts(rows))
    ]
    _print_json(verdicts) if as_json else print_verdicts(verdicts)
    raise typer.Exit(0 if verdicts and all(one["proven"] for one in verdicts) else 1)


@app.command()
def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check ffmpeg, device, weights, folders, disk and inotify limits; says the fix for each."""
    import asyncio

    from daemon.cli.doctor import examine
    from daemon.cli.render import print_doctor
    from daemon.logs import setup

    loaded = _load(config)
    with setup.captured_prints():
        checks = asyncio.run(examine(loaded))
    _print_json(checks) if as_json else print_doctor(checks)
    raise typer.Exit(0 if all(check["ok"] for check in checks) else 1)


@app.command()
def bench(
    file: Annotated[Path | None, typer.Argument(help="a video; without one, made clips of three sizes")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decode, score and end-to-end speed here, beside pyiqa's own loop."""
    from daemon.cli import bench
    from daemon.cli.render import print_bench
    from daemon.logs import setup

    loaded = _load(config)
    setup.configure("auto", "error")
    results = (one.as_json() for one in bench.run(file, loaded))
    if not as_json:
        print_bench(results)
        return
    with setup.captured_prints():
        rows = list(results)
    _print_json(rows)


def _load(path: Path | None) -> Config:
    from daemon.config.load import load

    return load(path)


def _with_store(config: Config, work: Callable[[Store], Awaitable[T]]) -> T:
    """Run one piece of work on the opened database."""
    import asyncio

    from daemon.store.store import Store

    async def inner() -> T:
        store = await Store.open(config.database, create=False)
        try:
            return await work(store)
        finally:
            await store.close()

    coroutine: Coroutine[Any, Any, T] = inner()
    return asyncio.run(coroutine)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, default=str))
