"""The daemon as a process: started, talked to through files and signals, read through its log."""

from __future__ import annotations

import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

PATIENCE_SECONDS = 120.0
READY_SECONDS = 900.0
"""The first start on a machine compiles the scorer, which takes long where others use it too."""


def write_config(folder: Path, **sections: dict[str, Any]) -> Path:
    """A configuration for a daemon that lives in ``folder`` and is quick to notice things."""
    settings: dict[str, dict[str, Any]] = {
        "watch": {"path": "inbox", "settle_seconds": 0.3, "rescan_seconds": 1.0},
        "output": {"path": "stills"},
        "database": {"path": "stillwatch.db", "disk_margin_bytes": 0},
        "export": {"disk_margin_bytes": 0},
        # The films of the tests show one texture throughout: nothing for a representative choice to tell apart.
        "select": {"strategy": "best", "count": 3, "min_gap_seconds": 0.2},
        "log": {"format": "json", "progress_seconds": 0.2},
        "service": {"poll_seconds": 0.2},
    }
    for name, values in sections.items():
        settings.setdefault(name, {}).update(values)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    (folder / "inbox").mkdir(exist_ok=True)
    return path


class Daemon:
    """A running ``stillwatch run``; events of its log are read as they come."""

    def __init__(self, config: Path, command: Sequence[str] | None = None) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STILLWATCH_")}
        self.process = subprocess.Popen(
            command or [sys.executable, "-m", "daemon", "run", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        self.noise: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The first event, from now on, that fits."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                raise AssertionError(f"the daemon ended: {self.tail()}")
            try:
                event = json.loads(line)
            except ValueError:
                self.noise.append(line)
                continue
            self.events.append(event)
            if wanted(event):
                return event
        raise AssertionError(f"waited {seconds} s in vain: {self.tail()}")

    def event(self, name: str, video: str | None = None) -> dict[str, Any]:
        """The next event of a name, of a video whose path ends so."""
        return self.wait_for(
            lambda event: event["event"] == name and (video is None or str(event.get("video", "")).endswith(video))
        )

    def ready(self) -> Self:
        with ExitStack() as failing:
            # Who waits in vain has not entered yet, and would leave it running.
            failing.push(self)
            self.wait_for(lambda event: event["event"] == "service.ready", READY_SECONDS)
            failing.pop_all()
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(seconds)
        self._reader.join()
        while (line := self._lines.get()) is not None:
            try:
                self.events.append(json.loads(line))
            except ValueError:
                self.noise.append(line)
        return code

    def tail(self) -> str:
        return json.dumps(self.events[-8:], indent=1) + "".join(self.noise[-20:])


def query(folder: Path, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Rows from the daemon's database, read beside it."""
    with sqlite3.connect(f"file:{folder / 'stillwatch.db'}?mode=ro", uri=True) as db:
        rows = db.execute(sql, arguments).fetchall()
    db.close()
    return rows


def frame_rows(folder: Path) -> list[tuple[Any, ...]]:
    """Every row of ``frames`` with the file it belongs to, as it must come out again."""
    return query(
        folder,
        "SELECT v.fingerprint, f.frame, f.pts, f.time_s, f.score, f.note, f.hash FROM frames f"
        " JOIN videos v ON v.id = f.video_id ORDER BY 1, 2",
    )


def stills(folder: Path) -> dict[str, bytes]:
    """Every file under the output folder."""
    root = folder / "stills"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def cli(
    *arguments: str, cwd: Path | None = None, seconds: float = PATIENCE_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run ``stillwatch`` and return what it printed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STILLWATCH_")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-P", "-m", "daemon", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=seconds,
        env=environment,
        check=False,
    )
