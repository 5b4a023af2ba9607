"""``sheet``, ``report``, ``review``: a film and its stills for the eye."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
