"""Which file it is, and whether it still is the same: digest and fingerprint, size, modification time and inode.

What raises VideoError names the fix.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from daemon.errors import Kind, VideoError
from daemon.model import FileIdentity
from daemon.runtime.reading import opened
from daemon.runtime.stall import run_in_abandonable_thread, with_stall_timeout

READ_BYTES = 4 * 1024 * 1024
BLOCK_BYTES = 1024 * 1024
"""Size of each of the three blocks that a fingerprint covers."""
HOLES_BYTES = 1024 * 1024 * 1024
"""A file may have holes of so many bytes; and of more where they are not most of it."""
BLOCK_OF_STAT = 512
"""Bytes, of ``st_blocks``."""

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class _Dated(Protocol):
    """The part of ``os.stat_result`` that says when a file was written."""

    @property
    def st_mtime_ns(self) -> int:
        """Nanoseconds since the epoch."""


class _Numbered(Protocol):
    """The part of ``os.stat_result`` that tells files of one file system apart."""

    @property
    def st_ino(self) -> int:
        """Inode number."""


def mtime_ns(look: _Dated) -> int:
    """A file's mtime as it is stored and compared: what 64 bits hold, the years 1678 to 2262."""
    return max(-(2**63), min(look.st_mtime_ns, 2**63 - 1))


def inode(look: _Numbered) -> int:
    """A file's inode number as it is stored and compared: what 63 bits hold."""
    return look.st_ino & (2**63 - 1)


def same_file(file: FileIdentity, look: os.stat_result) -> bool:
    """Whether a look at the disk shows the size and the modification time that were recorded."""
    return (look.st_size, mtime_ns(look)) == (file.size_bytes, file.mtime_ns)


def is_unchanged(file: FileIdentity) -> bool:
    """Whether the file is at its path as it was recorded; False as well when that cannot be found out."""
    try:
        return same_file(file, file.path.stat())
    except OSError:
        return False


def check_unchanged(file: FileIdentity) -> None:
    """Raise VideoError(MISSING, UNREADABLE or CHANGED) when the file is not what was admitted."""
    try:
        look = file.path.stat()
    except FileNotFoundError as error:
        raise VideoError(Kind.MISSING, "the file is not there any more: drop it again") from error
    except OSError as error:
        raise VideoError(Kind.UNREADABLE, f"the file cannot be read: {error.strerror}") from error
    if not same_file(file, look):
        raise changed_in_work()


async def require_unchanged(file: FileIdentity, stall_seconds: float) -> None:
    """``check_unchanged`` on a thread of its own. Raises VideoError, STUCK when it takes longer than that."""
    looking = run_in_abandonable_thread(lambda: check_unchanged(file), "look")
    await with_stall_timeout(looking, stall_seconds, "looking at the file")


async def require_readable(file: FileIdentity, stall_seconds: float) -> None:
    """Raise VideoError(UNREADABLE, MISSING or CHANGED) when the content cannot be read as it was admitted.

    STUCK when the reading takes longer than ``stall_seconds``.
    """
    reading = run_in_abandonable_thread(lambda: fingerprint(file.path), "look")
    now = await with_stall_timeout(reading, stall_seconds, "reading the file")
    if now.fingerprint != file.fingerprint:
        raise changed_in_work()


def changed_in_work() -> VideoError:
    """The error for a file that changed between admission and export."""
    return VideoError(Kind.CHANGED, "the file was changed while it was worked on: it is taken again once it is still")


def fingerprint(path: Path, *, named: Path | None = None) -> FileIdentity:
    """Identify a file by its size and three blocks, without reading all of it.

    The fingerprint is the hex SHA-256 over the size in bytes, as 8 bytes little endian unsigned,
    followed by

    * the whole file when it has at most 3 MiB (3 x ``BLOCK_BYTES``), else
    * three blocks of 1 MiB, at offset 0, at ``(size - 1 MiB) // 2`` and at ``size - 1 MiB``.

    Neither name nor times take part, so a copy or a remount gives the same value. A symbolic link
    is followed; ``refuse_outside`` says whether it may be. Never blocks on a pipe or a device.
    ``named`` is how errors call the file where ``path`` leads to its handle.

    Raises VideoError: UNSAFE_NAME, MISSING, UNREADABLE, NOT_A_FILE, EMPTY, or CHANGED when the file
    was written or replaced during the reading.
    """
    named = named or path
    _refuse_unsafe(path)
    with as_video_error(named):
        _refuse_special(named, path.stat())
        # A pipe may have taken the file's place since the look: without O_NONBLOCK the open waits
        # for a writer.
        with opened(path) as descriptor:
            before = os.fstat(descriptor)
            _refuse_special(named, before)
            digest = _digest(named, descriptor, before.st_size)
            _refuse_changed(named, before, path.stat())
    # Of a small file these blocks are all there is.
    whole = digest if before.st_size <= 3 * BLOCK_BYTES else None
    return FileIdentity(path, digest, before.st_size, mtime_ns(before), whole, inode(before))


def identify(path: Path, on_read: Callable[[], object] = lambda: None, *, named: Path | None = None) -> FileIdentity:
    """Identify a file by every byte of it.

    The digest is the hex SHA-256 over the size in bytes, as 8 bytes little endian unsigned, followed by the whole file;
    of files of up to 3 MiB it is the fingerprint. ``on_read`` is called as the reading gets on, ``named`` is as in
    ``fingerprint``. Raises VideoError as that does, EMPTY also for what is little but holes.
    """
    named = named or path
    file = fingerprint(path, named=named)
    if file.digest is not None:
        return file
    with as_video_error(named), opened(path) as descriptor:
        before = os.fstat(descriptor)
        _refuse_holes(named, descriptor, before)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        digest = hashlib.sha256(before.st_size.to_bytes(8, "little"))
        left = before.st_size
        while left > 0:
            data = os.read(descriptor, min(READ_BYTES, left))
            if not data:
                raise _changed(named)
            digest.update(data)
            left -= len(data)
            on_read()
        _refuse_changed(named, before, path.stat())
    if not same_file(file, before):
        raise _changed(named)
    return replace(file, digest=digest.hexdigest(), inode=inode(before))


async def content_of(
    path: Path, stall_seconds: float, on_read: Callable[[], object] = lambda: None, *, named: Path | None = None
) -> FileIdentity:
    """``identify`` on a thread of its own. Raises VideoError, STUCK when nothing was read for ``stall_seconds``."""
    reads = 0

    def count() -> None:
        nonlocal reads
        reads += 1
        on_read()

    reading = run_in_abandonable_thread(lambda: identify(path, count, named=named), "digest")
    return await with_stall_timeout(reading, stall_seconds, "reading the file", lambda: reads)


def same_content(file: FileIdentity, now: FileIdentity) -> bool:
    """Whether ``now`` is the content that was recorded: by every byte where both are known so, else by three blocks."""
    if file.digest is not None and now.digest is not None:
        return file.digest == now.digest
    return file.fingerprint == now.fingerprint


def refuse_outside(path: Path, folder: Path, follow_outside: bool, *, named: Path | None = None) -> None:
    """Refuse a path that lies outside ``folder`` once every symbolic link in it is resolved.

    ``named`` is how the file is called where ``path`` leads to its handle.
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
            f"{named or path} leads out of the watch folder to {real}: put the video itself there, "
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


def _refuse_holes(path: Path, descriptor: int, look: os.stat_result) -> None:
    """A file can be said to have any size, and take no room: reading petabytes of nothing would hold up all others.

    Where the file system does not tell of holes, there are none.
    """
    size = look.st_size
    if size <= HOLES_BYTES or look.st_blocks * BLOCK_OF_STAT >= size // 2:
        return
    holes = at = 0
    try:
        while at < size:
            begins = os.lseek(descriptor, at, os.SEEK_DATA)
            holes += begins - at
            at = os.lseek(descriptor, begins, os.SEEK_HOLE)
    except OSError as error:
        holes += size - at if error.errno == errno.ENXIO else 0
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    if holes > max(size // 2, HOLES_BYTES):
        raise VideoError(
            Kind.EMPTY, f"{path} has {size} bytes, of which {holes} are holes that nobody has written: copy it again"
        )


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
def as_video_error(path: Path) -> Iterator[None]:
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
