"""The frozen records that travel between the stages, and the states of a video. No I/O."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# By name: commands that show what is stored start twice as fast without numpy.
Picture: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16]"
"""RGB, full range, shape ``(height, width, 3)``: uint8 (white 255) from 8-bit sources, uint16
(white 65535) from deeper ones. Upright, square pixels: what is scored and what is saved."""


@dataclass(frozen=True, slots=True)
class GrayPicture:
    """What is needed of a frame of which no RGB was made: its Y of YIQ, ``(height, width)`` uint8; the RGB ``rows``
    that were asked for, ``(n, 3, width)`` uint8 or uint16; if it is one colour; it reduced, ``(h, w, 3)`` uint8."""

    gray: NDArray[np.uint8]
    rows: NDArray[np.uint8] | NDArray[np.uint16]
    flat: bool
    small: NDArray[np.uint8] | None = None


class Status(StrEnum):
    """Where a video stands; the words in ``videos.status``."""

    QUEUED = "queued"
    SCORING = "scoring"
    SCORED = "scored"
    EXPORTING = "exporting"
    DONE = "done"
    FAILED = "failed"
    REJECTED = "rejected"
    MISSING = "missing"
    REPLACED = "replaced"

    @property
    def final(self) -> bool:
        """Nothing more happens to the video by itself."""
        return self in (Status.DONE, Status.FAILED, Status.REJECTED, Status.MISSING, Status.REPLACED)


class Method(StrEnum):
    """How a still was made; the words in ``stills.method``."""

    SEEK = "seek"
    BATCH = "batch"
    SINGLE = "single"
    DECODE = "decode"


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What a file was when it was admitted.

    ``digest`` covers every byte and says what the content is; None: they were not all read yet. ``fingerprint`` covers
    three blocks: it names the content for people, and files that differ in it need not be read to the end. Both are
    hex SHA-256, as ``inbox.identity`` defines them. ``size_bytes``, ``mtime_ns`` (since the epoch) and ``inode`` only
    say when to look again; an inode of None is not compared.
    """

    path: Path
    fingerprint: str
    size_bytes: int
    mtime_ns: int
    digest: str | None = field(default=None, compare=False)
    inode: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour tags of the decoded frames by FFmpeg's names; ``unknown`` where a file says nothing.

    ``chroma_location`` is where samples of chroma lie that several pixels share.
    """

    matrix: str = "unknown"
    range: str = "unknown"
    transfer: str = "unknown"
    primaries: str = "unknown"
    chroma_location: str = "unknown"


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of a file, as its header describes it; None and "" where that says nothing.

    ``index`` is absolute, ``kind`` video, audio, subtitle, data or attachment. ``codec`` is the codec's name, or its
    tag where no decoder is known. ``disposition`` holds FFmpeg's words for what the stream is for. ``counted`` says
    that ``frames`` was found by reading packets, possibly of the file's beginning only. ``programme`` is the TV
    programme that the stream belongs to.
    """

    index: int
    kind: str
    codec: str
    decodable: bool = True
    width: int = 0
    height: int = 0
    frames: int | None = None
    counted: bool = False
    duration_s: float | None = None
    bit_rate: int | None = None
    language: str = ""
    title: str = ""
    disposition: tuple[str, ...] = ()
    programme: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a film comes from, by its own tags; "" where they say nothing.

    ``captured_at`` is the time of the film's first moment, ISO 8601: with the camera's offset where the file has it,
    else in UTC. ``location`` is ISO 6709 as written (``+52.5200+013.4050/``), ``timecode`` SMPTE (``01:00:00:00``).
    """

    captured_at: str = ""
    location: str = ""
    timecode: str = ""
    maker: str = ""
    model: str = ""
    title: str = ""

    def captured_after(self, time_s: float) -> str | None:
        """When a moment of the film was captured, ISO 8601 to the millisecond; None where the start is not known."""
        if not self.captured_at:
            return None
        try:
            moment = datetime.fromisoformat(self.captured_at) + timedelta(seconds=time_s)
        except OverflowError:
            return None
        return moment.isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Crop:
    """Rows and columns that the container leaves out at each edge of a decoded frame."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a probe found: the one stream that is used, and how its frames become pictures.

    ``stream_index`` is absolute. ``width`` and ``height`` are the decoded size, ``rotation_degrees`` is the clockwise
    turn (0, 90, 180, 270) that makes the picture upright, after the mirror ``flip``. ``frames_estimate`` is a hint
    for progress (0: unknown), never a promise. ``start_s`` is the container's start time in seconds; times are
    counted from it. ``offset_bytes`` is where the film begins in the file, behind the picture of a motion photo.
    ``streams`` are all streams of the file, ``stream_asked`` is ``decode.stream`` at the probe, and ``stream_reason``
    says why this one is used. Width and all else describe the first frame; ``stretches`` is empty where they hold for
    all frames. ``deinterlace``: frames that are woven of two fields are made of one. ``best`` is the size that the
    film is judged by where that changes, and ``size_note`` says so in a sentence. ``rules`` is the version of the
    rules for pictures (``daemon.media.rules``), ``ground`` what alpha is laid over: ``light``, ``dark``, or "" where
    there is none. ``decoder`` names FFmpeg's decoder where it is not the codec's usual one. ``colours_lost`` says in
    a sentence why the picture's true colours cannot be made, else it is "".
    """

    path: Path
    container: str
    stream_index: int
    codec: str
    width: int
    height: int
    pix_fmt: str
    bit_depth: int
    time_base: Fraction
    frame_rate: Fraction | None
    frames_estimate: int
    duration_s: float | None
    start_s: float
    sample_aspect: Fraction = Fraction(1)
    rotation_degrees: int = 0
    flip: bool = False
    colour: Colour = Colour()
    offset_bytes: int = 0
    streams: tuple[StreamInfo, ...] = ()
    stream_asked: str = "auto"
    stream_reason: str = ""
    origin: Origin = Origin()
    stretches: tuple[Stretch, ...] = ()
    size_note: str = ""
    best: tuple[int, int] | None = None
    deinterlace: bool = False
    rules: int = 1
    crop: Crop = Crop()
    ground: str = ""
    decoder: str = ""
    colours_lost: str = ""

    def at(self, frame: int) -> VideoInfo:
        """The properties of the stretch that a frame lies in."""
        if not self.stretches:
            return self
        after = bisect_right(self.stretches, frame, key=lambda stretch: stretch.first)
        return self.stretches[max(after - 1, 0)].info

    @property
    def rivals(self) -> bool:
        """Whether the file has other video streams than the one that is used, covers left out."""
        films = [one for one in self.streams if one.kind == "video" and "attached_pic" not in one.disposition]
        return len(films) > 1


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of frames from ``first`` on, and the film's properties as they are there."""

    first: int
    info: VideoInfo


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame on its way to the scorer.

    ``index`` is the 0-based decode ordinal, ``hash`` the hex SHA-1 of the unpadded planes in the native pixel format.
    ``picture`` is what is scored, None when the stored score is to be kept; in its place there is ``gray`` where it was
    asked for and is enough. ``corrupt`` is the decoder's own word that parts of the frame are made up. ``features`` is
    the record that was measured of the picture. ``pts`` is the file's own, ``time_s`` the film's time in seconds, which
    goes on where the file's clock starts anew; ``duration_s`` is how long the file says that the frame is shown.
    """

    index: int
    pts: int | None
    time_s: float
    hash: str
    picture: Picture | None
    corrupt: bool = False
    features: bytes | None = None
    duration_s: float | None = None
    gray: GrayPicture | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that the frame holds while it waits in a channel."""
        held = [self.picture] if self.gray is None else [self.gray.gray, self.gray.rows, self.gray.small]
        return 256 + sum(part.nbytes for part in held if part is not None)


@dataclass(frozen=True, slots=True)
class WantedFrame:
    """A scored frame that is to be decoded again: its ordinal, its pts and time, and the hash that it must have."""

    frame: int
    pts: int | None
    time_s: float
    hash: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The scorer's answer for one picture: the metric's raw number, or None and the reason."""

    score: float | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """One row of ``frames``, and the record of its features when it is about to be written."""

    frame: int
    pts: int | None
    time_s: float
    score: float | None
    note: str | None
    hash: str
    features: bytes | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Face:
    """What is known of one face in a picture; nothing by which it could be recognised.

    ``size`` is its height as a share of the picture's. ``blink`` goes from 0, eyes open, to 1, closed. ``facing`` is 1
    for a face that looks at the camera, 0 from the side. ``sharp`` is the mean squared step of luma around the eyes
    over its variance. ``cut`` is the share of the head that is beyond the picture's edge.
    """

    size: float
    blink: float
    facing: float
    sharp: float
    cut: float


class ShotKind(StrEnum):
    """What a span of frames is; the words in ``shots.kind``. All but ``shot`` are transitions."""

    SHOT = "shot"
    CUT = "cut"
    FADE = "fade"
    DISSOLVE = "dissolve"


@dataclass(frozen=True, slots=True)
class Shot:
    """A span of frames, both ends included: what one camera saw without a break, or a transition."""

    kind: ShotKind
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a frame was chosen.

    ``shot`` is its number in ``shots``. ``percentile`` is the share of its shot's frames, 0 to 100, that are
    no better by the metric. It stands for ``frames`` frames and ``seconds``, in its own shot and in others
    that look alike. ``refined`` is the second metric's score. All None where nothing is known of it.
    """

    shot: int | None = None
    percentile: float | None = None
    frames: int | None = None
    seconds: float | None = None
    refined: float | None = None


@dataclass(frozen=True, slots=True)
class Pick:
    """One chosen frame; rank 1 is the best."""

    rank: int
    frame: int
    pts: int | None
    time_s: float
    score: float
    hash: str
    reason: Reason = Reason()


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen, with what parameters, and what stopped it when it fell short.

    ``requested`` is 0 where the count was left to the selection. ``reasons`` says what there was to choose
    from: frames, good ones, shots, the verdicts on the others.
    """

    picks: tuple[Pick, ...]
    requested: int
    shortfall: str | None
    params: dict[str, Any]
    reasons: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Still:
    """One row of ``stills``: a proven, published file."""

    rank: int
    frame: int
    time_s: float
    score: float
    path: Path
    width: int
    height: int
    bytes: int
    sha256: str
    method: Method
    reason: Reason = Reason()
    image: str | None = None


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """One row of ``videos`` as the other stages see it."""

    id: int
    file: FileIdentity
    status: Status
    metric: str | None
    lower_better: bool | None
    scorer: str | None
    info: VideoInfo | None
    frames_decoded: int | None
    frames_scored: int | None
    damaged: bool
    mixed: bool
    error_kind: str | None
    error: str | None
    attempts: int
    retries: int = 0
    damage: str | None = None
    replaced_by: int | None = None
