"""``sheet``, ``report``, ``scores``, ``gather``, ``review``: films and their stills for the eye and for programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from daemon.cli.command import ConfigOption, JsonOption, VideoArgument, load, print_json, with_store
from daemon.errors import printable


def sheet(
    video: VideoArgument,
    out: Annotated[Path | None, typer.Option(help="file to write, .png or .jpg")] = None,
    columns: Annotated[int, typer.Option(help="pictures side by side", min=1, max=40)] = 6,
    rows: Annotated[int, typer.Option(help="rows of pictures at most", min=1, max=200)] = 8,
    config: ConfigOption = None,
) -> None:
    """Draw a film's contact sheet. It has frames evenly through it with times and scores, its stills among them."""
    from daemon.cli.sheet import write_sheet

    written = with_store(load(config), lambda store: write_sheet(store, video, out, columns, rows))
    print(printable(str(written)))


def report(
    video: VideoArgument,
    out: Annotated[Path | None, typer.Option(help="file to write")] = None,
    config: ConfigOption = None,
) -> None:
    """Write a film's report as one HTML file, for sending. It has stills, reasons, strip and curve."""
    from daemon.cli.report import write_report

    settings = load(config)
    written = with_store(settings, lambda store: write_report(store, video, out, settings.output.path))
    print(printable(str(written)))


def scores(
    video: VideoArgument,
    form: Annotated[str, typer.Option("--format", help="csv | jsonl")] = "csv",
    out: Annotated[Path | None, typer.Option(help="file to write; without it: standard output")] = None,
    config: ConfigOption = None,
) -> None:
    """Write a film's frames with every metric's scores, side by side."""
    import io

    from daemon.cli.scores import write_scores
    from daemon.cli.sheet import write_new

    if form not in ("csv", "jsonl"):
        raise typer.BadParameter(f"--format is csv or jsonl, not {form}")
    kind: Literal["csv", "jsonl"] = "jsonl" if form == "jsonl" else "csv"
    text = io.StringIO()
    count = with_store(load(config), lambda store: write_scores(store, video, kind, text if out else sys.stdout))
    if out is not None:
        write_new(out, text.getvalue().encode("utf-8"))
        print(printable(f"{out}: {count} frames"))


def gather(
    out: Annotated[Path, typer.Argument(help="folder of the set", metavar="OUT")],
    videos: Annotated[list[str] | None, typer.Argument(help="films; without any: all", metavar="VIDEO...")] = None,
    test: Annotated[
        float, typer.Option(help="share of the films whose split is test, the others' is train", min=0, max=1)
    ] = 0.1,
    whole: Annotated[
        bool, typer.Option("--whole", help="hard links of the stills as they are, with the film's path and place")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make one set of the stills of many films, with a metadata.csv. Run again, it adds what is new."""
    from dataclasses import asdict

    from daemon.cli.gather import Gathering, sentences
    from daemon.cli.gather import gather as make

    loaded = load(config)
    how = Gathering(test, whole, loaded.select.min_difference)
    done = with_store(loaded, lambda store: make(store, out, videos or [], how))
    print_json(asdict(done)) if as_json else print("\n".join(map(printable, sentences(done, out))))


def review(
    video: Annotated[str | None, typer.Argument(help="id, path, file name or start of the fingerprint")] = None,
    port: Annotated[int, typer.Option(help="port on this machine; 0: any that is free", min=0, max=65535)] = 0,
    socket: Annotated[Path | None, typer.Option(help="listen on this Unix socket instead")] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="only print the address")] = False,
    config: ConfigOption = None,
) -> None:
    """Look at films and their stills in a browser, until Ctrl-C."""
    from daemon.cli.review import serve

    serve(load(config), video, port=port, socket=socket, open_browser=not no_open)
