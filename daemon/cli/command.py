"""What the commands share: options, settings, the opened database, JSON, exit codes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from daemon.errors import Kind, StillwatchError

if TYPE_CHECKING:
    from daemon.config.schema import Config
    from daemon.store.store import Store

T = TypeVar("T")

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="configuration file")]
VideoArgument = Annotated[str, typer.Argument(help="id, path, file name or start of the fingerprint")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]


def exit_code(error: StillwatchError) -> int:
    """2 for usage and configuration, 1 for all else."""
    return 2 if error.kind is Kind.CONFIG else 1


def load(path: Path | None) -> Config:
    """The settings of the file, else of the places where one is looked for. Raises ConfigError."""
    from daemon.config import load

    return load.load(path)


def with_store(config: Config, work: Callable[[Store], Awaitable[T]]) -> T:
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


def print_json(value: object) -> None:
    """Print a value as JSON that people can read too."""
    print(json.dumps(value, indent=2, default=str))
