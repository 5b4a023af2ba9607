"""``select``, and decisions: ``accept``, ``reject``, ``pin``, ``ban``, ``reset``, ``note``, ``undo``, ``redo``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.command import (
    ConfigOption,
    JsonOption,
    PresetOption,
    VideoArgument,
    bars,
    load,
    log_beside_results,
    print_json,
    with_store,
)
from daemon.runtime import garbage

if TYPE_CHECKING:
    from daemon.model import VideoRecord
    from daemon.store.store import Store

FrameArgument = Annotated[int, typer.Argument(help="frame number, as `show` has it", min=0, max=2**31 - 1)]


def select(
    video: VideoArgument,
    count: Annotated[str | None, typer.Option(help="stills to choose: a number, or auto")] = None,
    min_gap_seconds: Annotated[
        float | None, typer.Option("--min-gap", help="seconds between two stills", min=0)
    ] = None,
    strategy: Annotated[str | None, typer.Option(help="representative | best | per-shot | even | poster")] = None,
    start: Annotated[float | None, typer.Option(help="choose from this second on")] = None,
    end: Annotated[float | None, typer.Option(help="and before this one")] = None,
    form: Annotated[str | None, typer.Option("--format", help="auto | png | png8 | jpeg")] = None,
    size: Annotated[int | None, typer.Option(help="longest side in pixels, 0: as the frame is")] = None,
    folder: Annotated[
        str | None, typer.Option(help="below the output folder: the current selection stays as it is")
    ] = None,
    preset: PresetOption = None,
    by: Annotated[str | None, typer.Option(help="choose by this metric's scores, which `rescore` has made")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose and export again from the stored scores.

    Pins and bans hold. Without an option, the newest selection is taken as it was marked by accept and reject.
    """
    from daemon.cli.render import print_stills
    from daemon.config.load import changed
    from daemon.config.preset_over import for_film
    from daemon.logs import setup
    from daemon.observe.reports import summary
    from daemon.pipeline.reselect import reselect

    garbage.loaded()
    loaded = load(config, preset)
    log_beside_results(loaded.log)
    changes = {"count": count, "min_gap_seconds": min_gap_seconds, "strategy": strategy, "start": start, "end": end}
    files = {"format": form, "size": size}

    async def work(store: Store) -> list[dict[str, Any]]:
        chosen = for_film(loaded, (await store.videos.find(video)).file.path)
        chosen = changed(chosen, "select", {key: value for key, value in changes.items() if value is not None})
        chosen = changed(chosen, "output", {key: value for key, value in files.items() if value is not None})
        anew = any(value is not None for value in (by, preset, *changes.values()))
        record: VideoRecord = await reselect(chosen, store, video, anew=anew, folder=folder, by=by)
        return await summary(store, [record], newest=True)

    with setup.captured_prints():
        shown = with_store(loaded, work)
    print_json(shown) if as_json else print_stills(shown)


def rescore(
    video: VideoArgument,
    metric: Annotated[str, typer.Option(help="see `stillwatch metrics`")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decode a film again for another metric's scores. They are kept beside those that it has; after a kill it goes on.

    The film's stills stay as they are: `stillwatch select VIDEO --by METRIC` chooses by the new scores.
    """
    from daemon.logs import setup
    from daemon.pipeline.rescore import rescore as score_again

    loaded = load(config)
    log_beside_results(loaded.log)
    with bars() as listener, setup.captured_prints():
        done = with_store(loaded, lambda store: score_again(loaded, store, video, metric, listener))
    if as_json:
        print_json(
            {
                "id": done.record.id,
                "video": str(done.record.file.path),
                "metric": done.metric,
                "scorer": done.scorer,
                "frames": done.frames,
                "fresh": done.fresh,
                "differing": done.differing,
            }
        )
    else:
        print(
            f"video {done.record.id}: {done.metric} has scored {done.frames - done.differing} of {done.frames} frames;"
            f" `stillwatch select {done.record.id} --by {done.metric}` chooses by these scores"
        )
    if done.differing:
        print(
            f"stillwatch: {done.differing} frames decode to other pictures than those that were scored:"
            f" `stillwatch retry {done.record.id}` scores the film anew",
            file=sys.stderr,
        )
        raise typer.Exit(1)


def accept(video: VideoArgument, frame: FrameArgument, config: ConfigOption = None) -> None:
    """Keep a frame in the newest selection."""
    _decide(config, video, "accept", frame)


def reject(video: VideoArgument, frame: FrameArgument, config: ConfigOption = None) -> None:
    """Have another frame of the same moment in its place. Where there is none, none takes it."""
    _decide(config, video, "reject", frame)


def pin(video: VideoArgument, frame: FrameArgument, config: ConfigOption = None) -> None:
    """Have a frame in every later choice."""
    _decide(config, video, "pin", frame)


def ban(video: VideoArgument, frame: FrameArgument, config: ConfigOption = None) -> None:
    """Have a frame in no later choice."""
    _decide(config, video, "ban", frame)


def reset(video: VideoArgument, frame: FrameArgument, config: ConfigOption = None) -> None:
    """Take back whatever was decided about a frame."""
    _decide(config, video, "reset", frame)


def note(
    video: VideoArgument,
    text: Annotated[str, typer.Argument(help="what to remember; empty takes the note away")],
    frame: Annotated[int | None, typer.Option(help="about this frame instead of the film", min=0)] = None,
    config: ConfigOption = None,
) -> None:
    """Remember a word about a film or a frame."""
    _decide(config, video, "note", frame, text)


def undo(video: VideoArgument, config: ConfigOption = None) -> None:
    """Take the last decision about a film back."""
    _turn(config, video, undo=True)


def redo(video: VideoArgument, config: ConfigOption = None) -> None:
    """Decide again what was taken back."""
    _turn(config, video, undo=False)


def _decide(path: Path | None, video: str, kind: str, frame: int | None, text: str | None = None) -> None:
    from daemon.cli.decisions import decide

    loaded = load(path)
    print(with_store(loaded, lambda store: decide(loaded, store, video, kind, frame, text)))


def _turn(path: Path | None, video: str, *, undo: bool) -> None:
    from daemon.cli.decisions import turn

    print(with_store(load(path), lambda store: turn(store, video, undo=undo)))
