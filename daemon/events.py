"""What the pipeline tells those who watch it: plain records, told on the event loop as they happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from daemon.model import Status, Still, VideoRecord

NAMES_SAID = 20
"""So many names of files are in one event and one line of the log; the others are counted."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A video was taken from the queue and is now being worked on: ``scoring`` or ``exporting``."""

    video_id: int
    video: str
    status: Status


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the scoring of one video stands. ``frames_total`` is an estimate, 0 when unknown."""

    video_id: int
    video: str
    frame: int
    frames_total: int
    fps: float
    queue_bytes: int
    batch: int

    @property
    def eta_s(self) -> float | None:
        """Seconds to go at this speed, None when unknown."""
        if not self.frames_total or self.fps <= 0:
            return None
        return max(0.0, (self.frames_total - self.frame) / self.fps)


@dataclass(frozen=True, slots=True)
class FramesScored:
    """This many more frames were scored and written."""

    frames: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Progress on a video: something was analysed, refined, made or proven, or the stage waits on purpose."""

    video_id: int
    status: Status


@dataclass(frozen=True, slots=True)
class Left:
    """The work that ``Taken`` announced is over, however it ended."""

    video_id: int
    status: Status


@dataclass(frozen=True, slots=True)
class Ended:
    """A video came to a final status; ``stills`` are those that were just published."""

    record: VideoRecord
    stills: tuple[Still, ...] = ()


@dataclass(frozen=True, slots=True)
class FileLeftAlone:
    """A file in the watch folder that is not taken: its path, why, and the configuration key that decides."""

    path: str
    reason: str
    key: str


@dataclass(frozen=True, slots=True)
class FilesLeftAlone:
    """What is in the watch folder and is not taken: how many files, and the newest of them."""

    files: int
    newest: tuple[FileLeftAlone, ...]


@dataclass(frozen=True, slots=True)
class FileWaiting:
    """A file in the watch folder that is not taken yet, as it may be unfinished: its path and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class FilesWaiting:
    """What in the watch folder waits until it is finished: how many files, and the newest of them.

    ``writers_seen``: whether the daemon sees who has a file open for writing, whoever it belongs to.
    """

    files: int
    newest: tuple[FileWaiting, ...]
    writers_seen: bool = False


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker of the cluster: its machine, the film that it scores, frames per second, the most memory it has held.

    ``video_id`` and ``video`` are None for one that waits for a film, ``memory_bytes`` is 0 until its first film ends.
    """

    worker: str
    video_id: int | None
    video: str | None
    fps: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """The state of the cluster: ``away`` says why it does not answer, ``refused`` which machines are refused and why.

    ``waiting`` films have no worker yet.
    """

    address: str
    away: str
    workers: tuple[WorkerSeen, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    waiting: int = 0


Event = Taken | Progress | FramesScored | Heartbeat | Left | Ended | FilesLeftAlone | FilesWaiting | ClusterSeen

Listener = Callable[[Event], None]
"""Must be quick and must not raise: it is called in the middle of the work."""


def ignore(_: Event) -> None:
    """A listener that does nothing."""


def to_all(*listeners: Listener) -> Listener:
    """One listener that tells several, in order."""

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell
