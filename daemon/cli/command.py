"""What the commands share: options, settings, the opened database, JSON, exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from daemon.errors import Kind, StillwatchError

if TYPE_CHECKING:
    from daemon.config.schema import Config
    from daemon.config.service import LogConfig
    from daemon.events import Listener
    from daemon.store.connection import Connection
    from daemon.store.queries import Queries
    from daemon.store.store import Store

T = TypeVar("T")
C = TypeVar("C", bound="Connection")

NOTHING_TO_OTHERS = 0o007

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="configuration file")]
VideoArgument = Annotated[str, typer.Argument(help="id, path, file name or start of the fingerprint")]
PresetOption = Annotated[str | None, typer.Option(help="settings for one purpose over the file's: see `presets`")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]


def exit_code(error: StillwatchError) -> int:
    """2 for usage and configuration, 1 for all else."""
    return 2 if error.kind is Kind.CONFIG else 1


def load(path: Path | None, preset: str | None = None) -> Config:
    """``read``, and the umask as it says, for the rest of the process."""
    config = read(path, preset)
    _narrow(config.service.umask)
    return config


def read(path: Path | None, preset: str | None = None) -> Config:
    """The settings of the file, else of the places where one is looked for, a preset over them. Raises ConfigError."""
    from daemon.config import load
    from daemon.config.preset_over import with_preset

    config = with_preset(load.load(path), preset)
    # What is asked for now holds for every folder.
    return config if preset is None else load.changed(config, "watch", {"presets": {}})


def _narrow(umask: str) -> None:
    """Set what new files grant nobody. A service manager has its own setting for it, which stands."""
    if umask:
        os.umask(int(umask, 8))
    elif "NOTIFY_SOCKET" not in os.environ:
        os.umask(os.umask(NOTHING_TO_OTHERS) | NOTHING_TO_OTHERS)


@contextmanager
def bars() -> Iterator[Listener]:
    """Draws progress for people who wait in a terminal; others hear nothing of it."""
    from daemon.events import ignore

    if not sys.stderr.isatty():
        yield ignore
        return
    from daemon.cli.live import Bars

    with Bars() as drawn:
        yield drawn.update


def log_beside_results(wanted: LogConfig) -> None:
    """Set the log up; whoever waits in a terminal is told of warnings and worse."""
    from daemon.logs import setup

    setup.configure(wanted.format, "warning" if sys.stderr.isatty() else wanted.level)


def with_store(config: Config, work: Callable[[Store], Awaitable[T]]) -> T:
    """Run one piece of work on the opened database."""
    from daemon.store.store import Store

    return _with_opened(Store.open(config.database, create=False), work)


def with_queries(config: Config, work: Callable[[Queries], Awaitable[T]]) -> T:
    """The same for what only reads rows, in two thirds of the time: the parts of the store are not imported."""
    from daemon.store.connection import Connection
    from daemon.store.queries import Queries

    return _with_opened(Connection.open(config.database, create=False), lambda database: work(Queries(database)))


def _with_opened(opening: Awaitable[C], work: Callable[[C], Awaitable[T]]) -> T:
    import asyncio

    async def inner() -> T:
        database = await opening
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(inner())


def print_json(value: object) -> None:
    """Print a value as JSON that people can read too."""
    print(json.dumps(value, indent=2, default=str))
