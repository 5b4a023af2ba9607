"""One root for everything that can go wrong, each with a kind and a sentence that names the fix."""

from enum import StrEnum


class Kind(StrEnum):
    """What went wrong, in one word; stored as ``error_kind`` and shown to users."""

    # The file is not something we take. Asking again gives the same answer.
    NOT_A_FILE = "not_a_file"
    EMPTY = "empty"
    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    PROTECTED = "protected"
    NO_DECODER = "no_decoder"
    NO_FRAMES = "no_frames"
    TOO_LARGE = "too_large"
    UNSAFE_NAME = "unsafe_name"
    OUTSIDE_FOLDER = "outside_folder"
    DUPLICATE = "duplicate"

    # Something failed on the way; `stillwatch retry` may help.
    UNREADABLE = "unreadable"
    MISSING = "missing"
    CHANGED = "changed"
    DECODE = "decode"
    SCORE = "score"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    NO_ROOM = "no_room"
    AWAY = "away"
    FFMPEG_MISSING = "ffmpeg_missing"
    EXPORT = "export"
    UNPROVEN = "unproven"
    STUCK = "stuck"
    WORKER_LOST = "worker_lost"
    WORKER_CRASHED = "worker_crashed"
    ATTEMPTS = "attempts"
    INTERNAL = "internal"

    # The program cannot start or go on as configured.
    CONFIG = "config"
    METRIC = "metric"
    WEIGHTS = "weights"
    DEVICE = "device"
    DATABASE = "database"
    BUSY = "busy"
    NOT_FOUND = "not_found"

    @property
    def rejects(self) -> bool:
        """The file itself is refused, as opposed to work on it having failed."""
        return self in _REJECTS

    @property
    def retryable(self) -> bool:
        """The cause may pass by itself: a full disk, a share that is gone, a killed child."""
        return self in _RETRYABLE


_REJECTS = frozenset(
    {
        Kind.NOT_A_FILE,
        Kind.EMPTY,
        Kind.NOT_A_VIDEO,
        Kind.NO_VIDEO_STREAM,
        Kind.PROTECTED,
        Kind.NO_DECODER,
        Kind.NO_FRAMES,
        Kind.TOO_LARGE,
        Kind.UNSAFE_NAME,
        Kind.OUTSIDE_FOLDER,
        Kind.DUPLICATE,
    }
)
_RETRYABLE = frozenset(
    {
        Kind.UNREADABLE,
        Kind.OUT_OF_MEMORY,
        Kind.DISK_FULL,
        Kind.NO_ROOM,
        Kind.AWAY,
        Kind.FFMPEG_MISSING,
        Kind.EXPORT,
        Kind.BUSY,
        Kind.WORKER_LOST,
    }
)


def printable(text: str) -> str:
    """The text with each character that a terminal would obey, and each byte that is no text, as its code.

    >>> printable("a\\x1b[31m\\u202eb\\udce9")
    'a\\\\x1b[31m\\\\x202eb\\\\udce9'
    """
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in safe)


class StillwatchError(Exception):
    """The root: ``kind`` for programs, the message (one sentence, with the fix) for people."""

    def __init__(self, kind: Kind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind

    @property
    def sentence(self) -> str:
        """The message on one line, fit for a log field or a terminal."""
        return " ".join(str(self).split())

    @property
    def shown(self) -> str:
        """The sentence for a terminal: a file's name in it may hold what moves the cursor or turns the line."""
        return printable(self.sentence)


class ConfigError(StillwatchError):
    """A configuration that cannot be used; stops the start."""

    def __init__(self, sentence: str) -> None:
        super().__init__(Kind.CONFIG, sentence)


class VideoError(StillwatchError):
    """One video cannot be taken, decoded, scored or exported; the others go on."""


class ScorerError(StillwatchError):
    """The scorer cannot be built or has stopped working; no video can be scored with it."""


class ExportError(StillwatchError):
    """Stills of one video could not be made or could not be proven."""


class StoreError(StillwatchError):
    """The database cannot be opened, read or written."""
