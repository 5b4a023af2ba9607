"""``sheet``, ``report``, ``scores``, ``review``: a film and its stills for the eye, its scores for programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from daemon.cli.command import ConfigOption, VideoArgument, load, with_store


def sheet(
    video: VideoArgument,
    out: Annotated[Path | None, typer.Option(help="file to write, .png or .jpg")] = None,
    columns: Annotated[int, typer.Option(help="pictures side by side", min=1, max=40)] = 6,
    rows: Annotated[int, typer.Option(help="rows of pictures at most", min=1, max=200)] = 8,
    config: ConfigOption = None,
) -> None:
    """Draw a film's contact sheet: frames evenly through it with times and scores, its stills among them."""
    from daemon.cli.sheet import write_sheet

    print(with_store(load(config), lambda store: write_sheet(store, video, out, columns, rows)))


def report(
    video: VideoArgument,
    out: Annotated[Path | None, typer.Option(help="file to write")] = None,
    config: ConfigOption = None,
) -> None:
    """Write a film's report: stills, reasons, strip and curve in one HTML file, for sending."""
    from daemon.cli.report import write_report

    print(with_store(load(config), lambda store: write_report(store, video, out)))


def scores(
    video: VideoArgument,
    form: Annotated[str, typer.Option("--format", help="csv | jsonl")] = "csv",
    out: Annotated[Path | None, typer.Option(help="file to write; without it: standard output")] = None,
    config: ConfigOption = None,
) -> None:
    """Write every frame of a film with the scores of every metric that has scored it, side by side."""
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
        print(f"{out}: {count} frames")


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
