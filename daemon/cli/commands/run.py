"""``init``, ``presets``, ``run``, ``once``, ``demo``: films become stills."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.command import (
    ConfigOption,
    JsonOption,
    PresetOption,
    bars,
    exit_code,
    load,
    log_beside_results,
    print_json,
    read,
    with_store,
)
from daemon.errors import StillwatchError, printable


def init(
    file: Annotated[Path, typer.Argument(help="the file to write")] = Path("config.yaml"),
) -> None:
    """Write a config.yaml with every key, its default and its meaning. Only where there is none."""
    from daemon.config.default_file import write_default_file

    written = write_default_file(file)
    print(f"wrote {written}: change what you need, then `stillwatch run`")


def run(config: ConfigOption = None, preset: PresetOption = None) -> None:
    """Watch the folder until a signal stops it."""
    # HUP asks for a reload and never ends the daemon, also before it listens. No SIG_IGN: its children would get it.
    import asyncio

    signal.signal(signal.SIGHUP, lambda *_: None)
    from daemon.logs import setup
    from daemon.service import daemon

    loaded = load(config, preset)
    as_json = setup.configure(loaded.log.format, loaded.log.level)
    with setup.captured_prints(errors=as_json):
        try:
            asyncio.run(_to_the_end(daemon.run(loaded, read_config=lambda: read(config, preset))))
        except StillwatchError as error:
            if not as_json:
                raise
            setup.get().error("service.failed", error_kind=error.kind.value, error=error.sentence)
            raise typer.Exit(exit_code(error)) from error
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


def once(
    files: Annotated[list[Path], typer.Argument(help="video files, or folders of them", metavar="FILE...")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    stream: Annotated[
        str | None, typer.Option(help="auto, a stream's number as `show` lists it, or a language such as deu")
    ] = None,
    preset: PresetOption = None,
) -> None:
    """Take files through the same pipeline now, then exit. 0: all done, 1: any failed."""
    import asyncio

    from daemon.cli.render import print_stills
    from daemon.config.load import changed
    from daemon.inbox.named import named
    from daemon.logs import setup
    from daemon.observe.reports import refused, summary
    from daemon.service import foreground

    loaded = load(config, preset)
    if stream is not None:
        loaded = changed(loaded, "decode", {"stream": stream})
    log_beside_results(loaded.log)
    meant = named(files, loaded.watch)
    for _, error in meant.refused:
        print(f"stillwatch: {error.shown}", file=sys.stderr)
    for one in meant.left_alone.newest:
        print(printable(f"stillwatch: {one.path} is not taken: {one.reason} ({one.key})"), file=sys.stderr)
    shown, stopped = [refused(path, error) for path, error in meant.refused], False
    if meant.files:
        with bars() as listener, setup.captured_prints():
            records, stopped = asyncio.run(foreground.once(loaded, meant.files, listener))
        shown = [*with_store(loaded, lambda store: summary(store, records)), *shown]
    if as_json:
        print_json(shown)
    else:
        print_stills([video for video in shown if video["id"] is not None])
    if stopped:
        raise typer.Exit(130)
    raise typer.Exit(0 if all(one["ok"] for one in shown) else 1)


def presets(
    name: Annotated[str | None, typer.Argument(help="print what this one sets")] = None,
) -> None:
    """List the presets, each of settings for one purpose. With a name, print what it sets, to be copied or changed."""
    from daemon.config import preset

    if name is not None:
        print(preset.text(name), end="")
        return
    for one in preset.names():
        print(f"{one:15} {preset.purpose(one)}")


def demo(
    clips: Annotated[list[Path] | None, typer.Argument(help="clips to drop in, instead of the built-in ones")] = None,
    folder: Annotated[Path, typer.Option(help="scratch folder")] = Path("demo"),
) -> None:
    """Run the real daemon on real footage and print the stills. All of it lies in a scratch folder."""
    from daemon.cli import demo as show

    raise typer.Exit(show.run(folder, clips or []))
