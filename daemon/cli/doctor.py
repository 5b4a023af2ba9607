"""``stillwatch doctor``: each thing that the daemon needs, found or not, and the fix."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path
from typing import Any

from daemon.analysis import measure
from daemon.config.schema import Config
from daemon.decode import gray, rgb
from daemon.errors import StillwatchError
from daemon.export import ffmpeg_process
from daemon.inbox import watch_mode, watcher, writers
from daemon.observe import progress_reader
from daemon.scoring import catalog, second_opinion
from daemon.scoring.faces import weights

SPARE_WATCHES = 1024
"""Watches of the kernel that other programs of the same user may need, and new folders."""
FEW_EVENTS = 1024
_INOTIFY = Path("/proc/sys/fs/inotify")


async def examine(config: Config) -> list[dict[str, Any]]:
    """All checks in the order a start would meet them; each with ``check``, ``ok``, ``found``, ``fix``."""
    checks = [
        _folder("watch folder", config.watch.path, write=False),
        _folder("output folder", config.output.path, write=True),
        _folder("database folder", config.database.path.parent, write=True),
        _disk(config),
        *_inotify(config),
        _writers(config),
        await _ffmpeg(config),
    ]
    checks += [_install(), *_scorer(config), _second_metric(config), _faces(config)]
    if config.cluster.address:
        checks += await _cluster(config)
    return checks


def _result(check: str, ok: bool, found: str, fix: str = "") -> dict[str, Any]:
    return {"check": check, "ok": ok, "found": found, "fix": "" if ok else fix}


def _folder(name: str, path: Path, *, write: bool) -> dict[str, Any]:
    if not path.exists():
        parent = next(folder for folder in path.parents if folder.exists())
        ok = os.access(parent, os.W_OK)
        return _result(name, ok, f"{path} is not there yet", f"create it, or allow this user to write to {parent}")
    needed = os.R_OK | os.X_OK | (os.W_OK if write else 0)
    if not path.is_dir():
        return _result(name, False, f"{path} is not a folder", "choose another path in config.yaml")
    allowed = "written" if write else "read"
    return _result(name, os.access(path, needed), str(path), f"it may not be {allowed} by this user: change its mode")


def _disk(config: Config) -> dict[str, Any]:
    folder = next(path for path in (config.output.path, *config.output.path.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    margin = config.export.disk_margin_bytes
    found = f"{free / 1024**3:.1f} GiB free in {folder}"
    return _result("disk", free > margin, found, f"make room: {margin / 1024**3:.1f} GiB must stay free")


def _inotify(config: Config) -> list[dict[str, Any]]:
    """The kernel's limits, with what this watch folder takes of them; nothing to check where it is polled."""
    mode, kind = watch_mode.mode_and_file_system(config.watch)
    if mode == "polling" or not _INOTIFY.exists():
        return [_result("inotify", True, f"not used: {config.watch.path} is polled ({kind or 'unknown file system'})")]
    watches, instances, events = (
        int((_INOTIFY / name).read_text()) for name in ("max_user_watches", "max_user_instances", "max_queued_events")
    )
    folders = watcher.count_folders(config.watch)
    return [
        _result(
            "inotify watches",
            folders + SPARE_WATCHES <= watches,
            f"{folders} folders, each takes one of fs.inotify.max_user_watches = {watches}",
            f"`sysctl fs.inotify.max_user_watches={max(2 * folders, 524_288)}`, exclude folders (watch.exclude), or"
            " watch.mode: polling; without a watch left the folder is polled",
        ),
        _result(
            "inotify instances",
            instances >= 2,
            f"one of fs.inotify.max_user_instances = {instances} for each user",
            "`sysctl fs.inotify.max_user_instances=1024`; without one left the folder is polled",
        ),
        _result(
            "inotify events",
            events >= FEW_EVENTS,
            f"up to fs.inotify.max_queued_events = {events} wait; when more come at once the folder is listed anew",
            "`sysctl fs.inotify.max_queued_events=16384` and a new start; nothing is lost, but listing takes time",
        ),
    ]


def _writers(config: Config) -> dict[str, Any]:
    """Whether open files of other users are seen: by the daemon that runs, else by this process. Deleting needs it."""
    running = progress_reader.writers_seen(config.database.path)
    seen = writers.others_are_seen() and not watch_mode.is_shared(config.watch) if running is None else running
    if seen:
        return _result("writers", True, "it is seen who has a file open for writing, whoever it belongs to")
    return _result(
        "writers",
        config.watch.after == "keep" or config.watch.ready == "marker",
        "only of this user's own files, on this machine, it is seen who has them open for writing; of others, stillness"
        f" of {config.watch.unfinished_s:.0f} s, growth and the container decide",
        "give the daemon CAP_LEASE (systemd/writers.conf), or set watch.ready: marker",
    )


async def _ffmpeg(config: Config) -> dict[str, Any]:
    try:
        found = await ffmpeg_process.probe_binary(ffmpeg_process.find_binary(config.export.ffmpeg))
    except StillwatchError as error:
        return _result("ffmpeg", False, "none that works", error.sentence)
    return _result("ffmpeg", True, f"{found.binary} ({found.version})")


def _install() -> dict[str, Any]:
    """Which metrics can be used. Always in order: the chosen metric has a check of its own."""
    if absent := catalog.lacking():
        found = f"light, without {', '.join(absent)}: the only metric is {catalog.LIGHT_METRIC}"
    else:
        found = "full: " + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in catalog.FULL_PACKAGES)
    return _result("install", True, found)


def _second_metric(config: Config) -> dict[str, Any]:
    """Who gives a second opinion on the shortlist, or what one would gain; only one that was named can be missing."""
    from daemon.scoring.open_scorer import check

    setting = config.score.refine.metric
    if setting and setting != second_opinion.AUTO:
        try:
            check(setting)
        except StillwatchError as error:
            return _result("second metric", False, setting, error.sentence)
    return _result("second metric", True, second_opinion.told(setting))


def _faces(config: Config) -> dict[str, Any]:
    """Whether faces count in the choice; always in order, as they are an extra."""
    if config.select.faces == "off":
        return _result("faces", True, "do not count (select.faces: off)")
    missing = weights.state()
    return _result("faces", True, f"do not count, {missing}" if missing else f"count: {weights.identity()}")


async def _cluster(config: Config) -> list[dict[str, Any]]:
    """Each machine of the cluster: versions, FFmpeg's libraries, scorer, calibration picture, the folder."""
    from daemon.cluster.examine import each_machine
    from daemon.cluster.messages import ClusterAwayError

    address = config.cluster.address
    try:
        machines = await each_machine(config, config.watch.path)
    except ClusterAwayError as error:
        fix = f"{error}; is the head running, and is it the same token (RAY_AUTH_TOKEN) there and here?"
        return [_result("cluster", False, f"{address} does not answer", fix)]
    except StillwatchError as error:
        return [_result("cluster", False, address, error.sentence)]
    return [
        _result("cluster", True, f"{address}: {len(machines)} machines"),
        *(_result(f"worker {name}", not why, "differs" if why else "as here", why) for name, why in machines),
    ]


def _scorer(config: Config) -> list[dict[str, Any]]:
    from daemon.scoring.open_scorer import open_scorer

    measure.warm_up()
    try:
        scorer = open_scorer(config.score)
    except StillwatchError as error:
        return [_result("metric", False, config.score.metric, error.sentence)]
    (rgb if scorer.gray_from is None else gray).warm_up()
    try:
        return [_result("metric", True, scorer.identity), _result("device", True, scorer.device)]
    finally:
        scorer.close()
