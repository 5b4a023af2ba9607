"""Where films are decoded and scored: the one seam between the pipeline and whoever does it.

::

    pipeline ── opened(job) ──▶ OpenFilm ── content, probe, scan(info, known) ──▶ Rows, Rows, ..., Findings
                                   │
                                   ├─ scan.local       a thread that decodes, the scorer of this process
                                   └─ cluster.scanner  the same code on another machine
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from daemon.decode.spans import Joint
from daemon.model import FileIdentity, Frame, Scored, Stretch, VideoInfo

if TYPE_CHECKING:
    from daemon.job import VideoJob


@dataclass(frozen=True, slots=True)
class ScorerFacts:
    """Who scores: the scorer's identity, its metric's name and direction."""

    identity: str
    metric: str
    lower_better: bool


@dataclass(frozen=True, slots=True)
class Rows:
    """Frames ``first`` to ``end - 1``, which were decoded one after the other.

    ``scored`` are the rows of those that are new. ``pictures`` are the same frames with their pictures, where these
    are at hand. ``queue_bytes`` of pictures wait for the scorer, ``batch`` frames were scored at once.
    """

    first: int
    end: int
    scored: tuple[Scored, ...]
    pictures: tuple[Frame, ...] = ()
    queue_bytes: int = 0
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Findings:
    """What a pass to the end of a film has found, as ``decode.damage.DecodeReport`` has it.

    ``damage`` is its summary, ``index`` the packet index in its stored form, of ``packets`` packets. Of a span
    ``meets`` is the frame behind it, None at the film's end.
    """

    frames: int
    damaged: bool = False
    mixed: bool = False
    damage: str | None = None
    stretches: tuple[Stretch, ...] = ()
    damaged_spans: tuple[tuple[int, int], ...] = ()
    packets: int = 0
    index: bytes = b""
    unread_bytes: int = 0
    unread_s: float = 0.0
    lost_packets: int = 0
    frameless_packets: int = 0
    corrupt_frames: int = 0
    damaged_frames: int = 0
    unlike_chain: tuple[str, ...] = ()
    without_device: str | None = None
    meets: Joint | None = None


class ScanStoppedError(Exception):
    """A stop was asked for before the film was open."""


class OpenFilm(Protocol):
    """One film while it is scanned."""

    @property
    def scorer(self) -> ScorerFacts:
        """Who scores it."""

    async def content(self) -> FileIdentity:
        """What its content is now, by every byte of it, under the path of its record. Raises VideoError."""

    async def probe(self) -> VideoInfo:
        """What a probe finds. Raises VideoError."""

    def scan(
        self, info: VideoInfo, known: Sequence[str], *, single_thread: bool
    ) -> AsyncGenerator[Rows | Findings, None]:
        """Decode and score from the beginning; the last item are the findings. Without them it was stopped.

        ``known[n]`` is the stored hash of frame n: where it still holds, it is not scored again. Raises DamageError
        when ``single_thread`` is False and there is a sign of damage; VideoError, ScorerError.
        """

    async def require_unchanged(self) -> None:
        """Raise VideoError(MISSING, UNREADABLE or CHANGED) when the file is not what was admitted."""


class Scanner(Protocol):
    """Scans films, several at once; ``stop`` ends all scans after the batch in flight, and every later one at once."""

    def opened(self, job: VideoJob) -> AbstractAsyncContextManager[OpenFilm]:
        """The film of a job, for as long as the context lasts. Raises VideoError, ScorerError, ScanStoppedError."""

    def stop(self) -> None:
        """Finish the batches in flight, then give no more."""
