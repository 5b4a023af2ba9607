"""``status``, ``list``, ``show``: what goes on, and what is known."""

from __future__ import annotations

import gc
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.command import ConfigOption, JsonOption, VideoArgument, load, print_json, with_queries, with_store

if TYPE_CHECKING:
    from daemon.store.store import Store


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

    loaded = load(config)
    if not watch:
        state = with_store(loaded, lambda store: current(store, loaded.database.path))
        print_json(state) if as_json else print_status(state)
        return

    from daemon.cli.live import Screen

    async def follow(store: Store) -> None:
        gc.enable()
        with Screen(as_json=as_json) as screen:
            while True:
                screen.draw(await current(store, loaded.database.path))
                await asyncio.sleep(1.0)

    with suppress(KeyboardInterrupt):
        with_store(loaded, follow)


def _check(config: Path | None) -> None:
    from daemon.observe.liveness import why_unwell

    loaded = load(config)
    if reason := why_unwell(loaded.database.path, loaded.service.http):
        print(reason)
        raise typer.Exit(1)


def list_videos(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    limit: Annotated[int, typer.Option(help="at most this many videos, the newest first", min=1)] = 100,
) -> None:
    """The videos that are known."""
    from daemon.cli.render import print_list
    from daemon.observe.progress_reader import not_taken

    loaded = load(config)
    rows = with_queries(loaded, lambda queries: queries.videos(limit))
    left = not_taken(loaded.database.path)
    if not as_json:
        print_list(rows, left)
        return
    alone = [
        {"id": None, "path": one["path"], "status": "not_taken", "error": one["reason"], "key": one["key"]}
        for one in left["newest"]
    ]
    print_json([*rows, *alone])


def show(
    video: VideoArgument,
    frame: Annotated[
        int | None, typer.Option(help="why this frame has its verdict, instead", min=0, max=2**31 - 1)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """One video: facts, scores, what was chosen and why; or one frame."""
    loaded = load(config)
    if frame is not None:
        from daemon.cli.frame import frame_facts, print_frame

        facts = with_store(loaded, lambda store: frame_facts(loaded, store, video, frame))
        print_json(facts) if as_json else print_frame(facts)
        return
    from daemon.cli.render import print_detail
    from daemon.observe.reports import detail

    found = with_store(loaded, lambda store: detail(store, video))
    print_json(found) if as_json else print_detail(found)
