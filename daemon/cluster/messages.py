"""What passes between the daemon, the process that speaks with Ray, and the workers: plain records, no pictures.

::

    daemon  scanner ── pool ── link ══ socket ══ driver ── Ray ──▶ worker   on each machine
            (one writer)              (a process of its own)       decode/, scoring/
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from daemon import __version__
from daemon.analysis import features
from daemon.decode.libraries import library_versions
from daemon.decode.spans import WholeFilmError
from daemon.errors import ExportError, Kind, ScorerError, StillwatchError, StoreError, VideoError
from daemon.media.rules import PICTURE_RULES
from daemon.model import FileIdentity

END = "end of stream"
"""Stands behind the last item of a stream."""


class WorkerLostError(Exception):
    """A worker is gone. ``crashed``: its process ended by itself, so that the film may have been the cause."""

    def __init__(self, sentence: str, *, crashed: bool = False) -> None:
        super().__init__(sentence)
        self.crashed = crashed


class ClusterAwayError(Exception):
    """The cluster cannot be reached, or was lost."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster that is there; ``cpus`` and ``gpus`` are what Ray may give away in all."""

    id: str
    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True, slots=True)
class Started:
    """A worker that has a place: its own id, and where it is."""

    worker: str
    node: str
    name: str


@dataclass(frozen=True, slots=True)
class FilmAsked:
    """The film that a worker is to open; paths are those of the worker's machine."""

    video_id: int
    file: FileIdentity
    damaged: bool
    stall_seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """An error as plain data: its class, kind and sentence; ``damage`` is a sign of damage and no error."""

    error: str
    kind: str
    sentence: str

    def raised(self) -> Exception:
        """The error itself."""
        if self.error == "DamageError":
            from daemon.decode.damage import DamageError

            return DamageError(self.sentence)
        if self.error == "WholeFilmError":
            return WholeFilmError(self.sentence)
        kinds: dict[str, type[StillwatchError]] = {
            "VideoError": VideoError, "ScorerError": ScorerError, "ExportError": ExportError, "StoreError": StoreError
        }  # fmt: skip
        return kinds.get(self.error, VideoError)(Kind(self.kind), self.sentence)


def versions() -> dict[str, str]:
    """What must be the same on both sides for rows to be the same, but for the scorer, which has an identity."""
    return {
        "stillwatch": __version__,
        "features": str(features.VERSION),
        "pictures": str(PICTURE_RULES),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **library_versions(),
    }


def mapped(path: Path, path_map: Mapping[str, str]) -> Path:
    """What a path is called on the workers; of several folders that it lies in, the innermost counts.

    >>> mapped(Path("/srv/films/a/b.mp4"), {"/srv": "/mnt", "/srv/films": "/data"})
    PosixPath('/data/a/b.mp4')
    """
    folders = [folder for folder in path_map if path.is_relative_to(folder)]
    if not folders:
        return path
    innermost = max(folders, key=lambda folder: len(PurePosixPath(folder).parts))
    return Path(path_map[innermost]) / path.relative_to(innermost)


Settings = dict[str, Any]
"""The sections of the configuration that a worker needs, as JSON has them."""
