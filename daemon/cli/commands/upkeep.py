"""``retry``, ``merge``, ``metrics``, ``pull``, ``verify``, ``doctor``, ``bench``: upkeep, and what could be used."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.command import ConfigOption, JsonOption, load, print_json, with_store
from daemon.errors import printable
from daemon.runtime import garbage


def retry(
    videos: Annotated[list[str] | None, typer.Argument(help="ids, paths or names", metavar="VIDEO...")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="every video that failed")] = False,
    config: ConfigOption = None,
) -> None:
    """Queue failed, rejected or missing videos again, and by name any. Scores that are stored are kept."""
    if not videos and not failed:
        raise typer.BadParameter("name a video or give --failed")

    from daemon.inbox.again import again

    queued = with_store(load(config), lambda store: again(store, videos or [], failed=failed))
    print(f"{queued} queued; a running daemon takes them now, else `stillwatch run` does")


def merge(
    databases: Annotated[list[Path], typer.Argument(help="databases of `stillwatch once` elsewhere", metavar="DB...")],
    paths: Annotated[
        list[str] | None,
        typer.Option(
            "--path-map", help="FROM=TO: what a folder of films or stills there is called here", metavar="MAP"
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take over the films of other databases. They bring scores, choices and stills. 0: all are here, 1: otherwise."""
    import asyncio

    from daemon.cli.merge import merge, path_map, sentences

    done = asyncio.run(merge(load(config), databases, path_map(paths or [])))
    print_json([asdict(one) for one in done]) if as_json else print("\n".join(map(printable, sentences(done))))
    raise typer.Exit(0 if all(one.ok for one in done) else 1)


def metrics(as_json: JsonOption = False) -> None:
    """Every usable metric: direction, and whether its weights are here."""
    from daemon.cli.render import print_metrics
    from daemon.scoring import catalog

    rows = catalog.table()
    print_json(rows) if as_json else print_metrics(rows)


def pull(metric: Annotated[str, typer.Argument(help="see `stillwatch metrics`; or: faces")]) -> None:
    """Fetch the weights of a metric, or for `faces`, ahead of time. For hosts that run without network."""
    from daemon.cli.pull import pull as fetch

    print(fetch(metric))


def verify(
    paths: Annotated[list[Path], typer.Argument(help="stills or folders of stills", metavar="PATH...")],
    films: Annotated[
        list[Path] | None, typer.Option("--film", help="a film that they may be of, wherever it lies now")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove stills again from their sources. 0: all proven or their source was replaced, 1: otherwise."""
    from daemon.cli import verify
    from daemon.cli.render import print_verdicts

    stills = verify.find_stills(paths)
    loaded = load(config)
    rows = with_store(loaded, lambda store: store.queries.done_sources()) if loaded.database.path.exists() else []
    garbage.loaded()
    verdicts = list(verify.verify(stills, loaded.decode, verify.whereabouts(rows), films or []))
    told = [{**asdict(one), "still": str(one.still)} for one in verdicts]
    print_json(told) if as_json else print_verdicts(told)
    raise typer.Exit(verify.exit_code(verdicts))


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check ffmpeg, device, weights, folders, disk, inotify limits. Each fault comes with its fix."""
    import asyncio

    from daemon.cli.doctor import examine
    from daemon.cli.render import print_doctor
    from daemon.logs import setup

    loaded = load(config)
    with setup.captured_prints():
        checks = asyncio.run(examine(loaded))
    print_json(checks) if as_json else print_doctor(checks)
    raise typer.Exit(0 if all(check["ok"] for check in checks) else 1)


def bench(
    file: Annotated[
        Path | None, typer.Argument(help="a video; without one, made clips of several sizes, depths and codecs")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Where the time of a film goes here, beside FFmpeg's own decode."""
    from daemon.cli import bench
    from daemon.cli.render import print_bench
    from daemon.logs import setup

    loaded = load(config)
    setup.configure("auto", "error")
    results = (one.as_json() for one in bench.run(file, loaded))
    if not as_json:
        print_bench(results)
        return
    with setup.captured_prints():
        rows = list(results)
    print_json(rows)
