"""Settling and identity: when a file may be taken, and what it was when it was taken.

``Settler`` decides by stillness alone and gets its clock and its stat from the caller.
``fingerprint`` and ``refuse_outside`` look at the disk and raise VideoError with the fix.
"""

from __future__ import annotations

import errno
import hashlib
import heapq
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from daemon.errors import Kind, VideoError
from daemon.model import FileIdentity, Status, VideoRecord

BLOCK_BYTES = 1024 * 1024
"""Size of each of the three blocks that a fingerprint covers."""

_BUSY_FRACTION = 0.25
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
# Errors that only a person can end: admission has to say so, waiting would hide the file for ever.
_LASTING = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP})
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class Look(Protocol):
    """The part of ``os.stat_result`` that stillness is judged by."""

    @property
    def st_size(self) -> int:
        """Bytes."""

    @property
    def st_mtime_ns(self) -> int:
        """Nanoseconds since the epoch."""

    @property
    def st_ino(self) -> int:
        """Inode number."""

    @property
    def st_dev(self) -> int:
        """Device number."""


class Dated(Protocol):
    """The part of ``os.stat_result`` that says when a file was written."""

    @property
    def st_mtime_ns(self) -> int:
        """Nanoseconds since the epoch."""


def mtime_ns(look: Dated) -> int:
    """A file's mtime as it is stored and compared: what 64 bits hold, the years 1678 to 2262."""
    return max(-(2**63), min(look.st_mtime_ns, 2**63 - 1))


@dataclass(frozen=True, slots=True)
class Settled:
    """A path that stood still long enough, and what the last look saw.

    Size in bytes, mtime in nanoseconds since the epoch; both None for a path that could not be
    looked at for the whole time (``fingerprint`` then says why).
    """

    path: Path
    size_bytes: int | None
    mtime_ns: int | None


_Seen = tuple[int, int, int, int] | int
"""(size, mtime_ns, inode, device), or the errno of a look that failed for good."""


@dataclass(eq=False, slots=True)
class _Tracked:
    path: Path
    seen: _Seen | None = None
    since: float = 0.0


class StabilityTracker:
    """Watches noticed paths until they have stood still for ``settle_seconds``.

    Only stillness between two looks counts, measured by the ``now`` (seconds, monotonic) that the
    caller passes in; what the file's own timestamps claim does not matter. ``clock`` is the source
    of ``now`` and is read after each look, for on a slow share a poll of many files outlasts
    ``settle_seconds``; without it a look takes no time. A path costs one look when it is new, one
    soon after, and one when its time is up; a path that keeps changing is looked at four times per
    ``settle_seconds``, for ever.

    ``noticed`` and ``forget`` may be called while another thread is inside ``poll``: looks are made
    without holding the lock.
    """

    def __init__(
        self,
        settle_seconds: float,
        look: Callable[[Path], Look] = os.stat,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._settle = settle_seconds
        self._look = look
        self._clock = clock
        self._tracked: dict[Path, _Tracked] = {}
        self._due: list[tuple[float, int, _Tracked]] = []
        self._counter = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many paths are tracked."""
        return len(self._tracked)

    def noticed(self, path: Path) -> None:
        """Track a path; the next ``poll`` takes its first look. A tracked path is left as it is.

        Being noticed again does not start the wait anew: a rescan that is more frequent than
        ``settle_seconds`` would hold every file back for ever.
        """
        with self._lock:
            if path not in self._tracked:
                self._tracked[path] = tracked = _Tracked(path)
                self._schedule(float("-inf"), tracked)

    def forget(self, path: Path) -> None:
        """Stop tracking a path; unknown paths are ignored."""
        with self._lock:
            self._tracked.pop(path, None)

    def poll(self, now: float) -> list[Settled]:
        """Look at every path that is due and return those that have settled, each once.

        A path that is gone is dropped. A path whose look fails for a passing reason (a share that
        is away) stays tracked; one that may not be looked at is returned like a still one.
        """
        settled = []
        for tracked in self._take_due(now):
            try:
                seen, result = self._see(tracked.path)
            except OSError as error:
                self._after_error(tracked, error.errno, now)
                continue
            if self._after_look(tracked, seen, now):
                settled.append(result)
        return settled

    def next_due(self, now: float) -> float | None:
        """Seconds until ``poll`` has something to look at (0.0: now), None when nothing is tracked."""
        with self._lock:
            while self._due and not self._is_current(self._due[0][2]):
                heapq.heappop(self._due)
            return max(0.0, self._due[0][0] - now) if self._due else None

    def _take_due(self, now: float) -> list[_Tracked]:
        taken = []
        with self._lock:
            while self._due and self._due[0][0] <= now:
                tracked = heapq.heappop(self._due)[2]
                if self._is_current(tracked):
                    taken.append(tracked)
        return taken

    def _see(self, path: Path) -> tuple[_Seen, Settled]:
        try:
            look = self._look(path)
        except OSError as error:
            if error.errno in _LASTING:
                return error.errno, Settled(path, None, None)
            raise
        seen = (look.st_size, look.st_mtime_ns, look.st_ino, look.st_dev)
        return seen, Settled(path, look.st_size, mtime_ns(look))

    def _after_look(self, tracked: _Tracked, seen: _Seen, now: float) -> bool:
        """Whether the path has settled; it is scheduled for the next look if not."""
        looked_at = self._clock() if self._clock is not None else now
        with self._lock:
            if not self._is_current(tracked):
                return False
            changed = seen != tracked.seen
            if changed:
                tracked.seen, tracked.since = seen, looked_at
            still_at = tracked.since + self._settle
            if now >= still_at or self._settle == 0:
                del self._tracked[tracked.path]
                return True
            # What has just changed is probably still being written: an early second look finds the
            # moment it stopped without waiting a whole period more.
            self._schedule(looked_at + self._settle * _BUSY_FRACTION if changed else still_at, tracked)
            return False

    def _after_error(self, tracked: _Tracked, code: int | None, now: float) -> None:
        with self._lock:
            if not self._is_current(tracked):
                return
            if code in _GONE:
                del self._tracked[tracked.path]
                return
            tracked.seen = None
            self._schedule(now + max(self._settle, 1.0), tracked)

    def _schedule(self, due: float, tracked: _Tracked) -> None:
        self._counter += 1
        heapq.heappush(self._due, (due, self._counter, tracked))

    def _is_current(self, tracked: _Tracked) -> bool:
        return self._tracked.get(tracked.path) is tracked


def fingerprint(path: Path) -> FileIdentity:
    """Identify a file by its size and three blocks, without reading all of it.

    The fingerprint is the hex SHA-256 over the size in bytes, as 8 bytes little endian unsigned,
    followed by

    * the whole file when it has at most 3 MiB (3 x ``BLOCK_BYTES``), else
    * three blocks of 1 MiB, at offset 0, at ``(size - 1 MiB) // 2`` and at ``size - 1 MiB``.

    Neither name nor times take part, so a copy or a remount gives the same value. A symbolic link
    is followed; ``refuse_outside`` says whether it may be. Never blocks on a pipe or a device.

    Raises VideoError: UNSAFE_NAME, MISSING, UNREADABLE, NOT_A_FILE, EMPTY, or CHANGED when the file
    was written or replaced during the reading.
    """
    _refuse_unsafe(path)
    with _as_video_error(path):
        _refuse_special(path, path.stat())
        # A pipe may have taken the file's place since the look: without O_NONBLOCK the open waits
        # for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor)
            _refuse_special(path, before)
            digest = _digest(path, descriptor, before.st_size)
            _refuse_changed(path, before, path.stat())
        finally:
            os.close(descriptor)
    return FileIdentity(path, digest, before.st_size, mtime_ns(before))


def refuse_outside(path: Path, folder: Path, follow_outside: bool) -> None:
    """Refuse a path that lies outside ``folder`` once every symbolic link in it is resolved.

    Raises VideoError: OUTSIDE_FOLDER unless ``follow_outside``, UNSAFE_NAME.
    """
    _refuse_unsafe(path)
    if follow_outside:
        return
    # realpath and not Path.resolve, which raises RuntimeError on a circle of links.
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(folder)):
        raise VideoError(
            Kind.OUTSIDE_FOLDER,
            f"{path} leads out of the watch folder to {real}: put the video itself there, "
            "or set watch.follow_outside to true",
        )


def _digest(path: Path, descriptor: int, size: int) -> str:
    blocks = _blocks(size)
    for offset, length in blocks:
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    for offset, length in blocks:
        end = offset + length
        while offset < end:
            data = os.pread(descriptor, min(BLOCK_BYTES, end - offset), offset)
            if not data:
                raise _changed(path)
            digest.update(data)
            offset += len(data)
    return digest.hexdigest()


def _blocks(size: int) -> list[tuple[int, int]]:
    """The (offset, length) pairs, in bytes, that a fingerprint reads."""
    if size <= 3 * BLOCK_BYTES:
        return [(0, size)]
    last = size - BLOCK_BYTES
    return [(0, BLOCK_BYTES), (last // 2, BLOCK_BYTES), (last, BLOCK_BYTES)]


def _refuse_unsafe(path: Path) -> None:
    if "\0" in str(path):
        raise VideoError(Kind.UNSAFE_NAME, f"the name {str(path)!r} holds a NUL character: rename the file")


def _refuse_special(path: Path, look: os.stat_result) -> None:
    if not stat.S_ISREG(look.st_mode):
        what = next((name for test, name in _KINDS if test(look.st_mode)), "a special file")
        raise VideoError(Kind.NOT_A_FILE, f"{path} is {what}, not a file: put a video file there instead")
    if look.st_size == 0:
        raise VideoError(Kind.EMPTY, f"{path} is empty (0 bytes): copy the video again")


def _refuse_changed(path: Path, before: os.stat_result, after: os.stat_result) -> None:
    def facts(look: os.stat_result) -> tuple[int, int, int, int]:
        return look.st_size, look.st_mtime_ns, look.st_ino, look.st_dev

    if facts(before) != facts(after):
        raise _changed(path)


def _changed(path: Path) -> VideoError:
    return VideoError(
        Kind.CHANGED,
        f"{path} changed while it was read: wait until it is written, "
        "or raise watch.settle_seconds if its writer pauses",
    )


@contextmanager
def _as_video_error(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into the VideoError that names the fix."""
    try:
        yield
    except OSError as error:
        if error.errno in _GONE:
            kind, sentence = Kind.MISSING, f"{path} is not there any more: put it back to have it taken"
        elif error.errno == errno.ELOOP:
            kind, sentence = Kind.NOT_A_FILE, f"{path} is a circle of symbolic links: replace it by the video"
        elif isinstance(error, PermissionError):
            kind, sentence = (
                Kind.UNREADABLE,
                f"{path} may not be read by this user: give the file read and its folders search permission",
            )
        elif isinstance(error, BlockingIOError):
            # A file server's lease on the file; only a non-blocking open sees it.
            kind, sentence = Kind.UNREADABLE, f"{path} is held open by another program: close it there"
        else:
            reason = error.strerror or type(error).__name__
            kind, sentence = (
                Kind.UNREADABLE,
                f"{path} cannot be read ({reason}): check the disk or share it is on",
            )
        raise VideoError(kind, sentence) from error


class Verdict(StrEnum):
    """What to do with an admitted file, given the rows that have its fingerprint."""

    NEW = "new"
    SAME = "same"
    MOVED = "moved"
    DUPLICATE = "duplicate"


def judge(
    file: FileIdentity,
    same_content: Sequence[VideoRecord],
    still_there: Callable[[VideoRecord], bool],
    *,
    copies: bool = False,
) -> tuple[Verdict, VideoRecord | None]:
    """Decide by content: known here, moved here, a copy of one that is known, or new.

    ``same_content`` are the rows with the file's fingerprint, oldest first; ``still_there`` says
    whether a row's own file is where the row says. A copy of a file that failed or was refused is new, and with
    ``copies`` every copy whose name, without the suffix, is another: stills of the same name would collide.
    """
    own = next((record for record in same_content if record.file.path == file.path), None)
    if own is not None and own.error_kind != Kind.DUPLICATE:
        return Verdict.SAME, own
    originals = [record for record in same_content if record.error_kind != Kind.DUPLICATE]
    for record in originals:
        if not still_there(record):
            # A copy that was noted as one takes the place of an original that was lost before its turn.
            return Verdict.MOVED, own if own is not None and record.status is Status.MISSING else record
    if own is not None:
        return Verdict.SAME, own
    for record in originals:
        welcome = copies and record.file.path.stem != file.path.stem
        if record.status not in (Status.FAILED, Status.REJECTED) and not welcome:
            return Verdict.DUPLICATE, record
    return Verdict.NEW, None
