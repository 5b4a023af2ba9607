"""What moves while one waits in a terminal: progress bars and the screen of `status --watch`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from daemon import events
from daemon.cli.render import escape, status_lines


class Screen:
    """The state again and again: drawn in place in a terminal, elsewhere printed whenever it has changed."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console(highlight=False)
        in_place = self._console.is_terminal and not as_json
        self._live = Live(console=self._console, auto_refresh=False) if in_place else None
        self._shown: object = None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def draw(self, state: dict[str, Any]) -> None:
        """Show a state. As JSON each is one line."""
        lines = [json.dumps(state, default=str)] if self._as_json else status_lines(state, datetime.now(UTC))
        if self._live is not None:
            text = Text.from_markup("\n".join(lines), overflow="ellipsis")
            text.no_wrap = True
            self._live.update(text, refresh=True)
        elif lines != self._shown:
            for line in lines:
                print(line if self._as_json else Text.from_markup(line).plain)
            print(end="" if self._as_json else "\n", flush=True)
        self._shown = lines


class Bars:
    """A progress bar per video on standard error, for people who wait in a terminal."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} frames, {task.fields[fps]:.1f} fps"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[int, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def update(self, progress: events.Event) -> None:
        """Draw progress; other news does not concern it."""
        if not isinstance(progress, events.Progress):
            return
        total = max(progress.frames_total, progress.frame)
        if progress.video_id not in self._tasks:
            name = escape(Path(progress.video).name)
            self._tasks[progress.video_id] = self._bars.add_task(name, total=total, fps=0.0)
        self._bars.update(self._tasks[progress.video_id], completed=progress.frame, total=total, fps=progress.fps)
