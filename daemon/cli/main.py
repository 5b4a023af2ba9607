"""The ``stillwatch`` command. Exit codes: 0 all done, 1 something failed, 2 usage or configuration.

The commands are in ``daemon/cli/commands``. What is heavy is imported inside the command that needs it: what scores
nothing never imports torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Annotated

import typer

from daemon import __version__
from daemon.cli.command import exit_code
from daemon.cli.commands import choose, look, run, share, upkeep
from daemon.errors import StillwatchError
from daemon.runtime import garbage

COMMANDS: dict[str, Callable[..., None]] = {
    "init": run.init,
    "presets": run.presets,
    "run": run.run,
    "once": run.once,
    "demo": run.demo,
    "status": look.status,
    "list": look.list_videos,
    "show": look.show,
    "select": choose.select,
    "rescore": choose.rescore,
    "accept": choose.accept,
    "reject": choose.reject,
    "pin": choose.pin,
    "ban": choose.ban,
    "reset": choose.reset,
    "note": choose.note,
    "undo": choose.undo,
    "redo": choose.redo,
    "sheet": share.sheet,
    "report": share.report,
    "scores": share.scores,
    "gather": share.gather,
    "review": share.review,
    "retry": upkeep.retry,
    "merge": upkeep.merge,
    "metrics": upkeep.metrics,
    "pull": upkeep.pull,
    "verify": upkeep.verify,
    "doctor": upkeep.doctor,
    "bench": upkeep.bench,
}
"""In the order of the help."""

SHORT_COMMANDS = {"list", "show", "status", "--help"}
"""They end before there is garbage; looking for it, and taking the interpreter down, would be a third of their time."""


LOADING_COMMANDS = {"run", "once", "select", "verify", "doctor"}
"""They look for garbage once they have loaded what they need; `doctor` ends before there is any."""


def typer_app(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The command line with the commands of these names; each one costs time to set up."""
    app = typer.Typer(
        no_args_is_help=True,
        # Help as plain text: drawing it with rich takes twice the time of all the rest.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Watch a folder, score every frame of every video, keep the best as proven stills.",
    )
    app.callback()(_root)
    for name in names:
        app.command(name)(COMMANDS[name])
    return app


def _version(wanted: bool) -> None:
    if wanted:
        print(f"stillwatch {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Shared by every command."""


def main() -> None:
    """The console script. Prints a StillwatchError as one line; its cause is in the log."""
    # Looking for plugins through every installed package is the longest part of importing pydantic.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # The matrices are small: threads of numpy's BLAS would mostly wait for them, and waiting takes processor time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    short = sys.argv[1:] != [] and sys.argv[1] in SHORT_COMMANDS
    if short or (sys.argv[1:2] and sys.argv[1] in LOADING_COMMANDS):
        garbage.loading()
    code = _exit_code()
    if short:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def _exit_code() -> int:
    """Run the command of the arguments to its end."""
    asked = sys.argv[1:2]
    try:
        typer_app(asked if asked and asked[0] in COMMANDS else COMMANDS)()
    except StillwatchError as error:
        print(f"stillwatch: {error.shown}", file=sys.stderr)
        return exit_code(error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
