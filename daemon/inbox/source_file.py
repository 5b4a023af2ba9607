"""The disk side of the disposal: is the source still what it was, delete it, move it so that a kill loses nothing."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from daemon.errors import Kind, VideoError
from daemon.inbox import writers
from daemon.inbox.identity import fingerprint, identify, inode, mtime_ns, same_content, same_file
from daemon.model import FileIdentity
from daemon.runtime.durable import make_synced_folder, sync
from daemon.store.sources import DueSource

CHUNK_BYTES = 8 * 1024 * 1024
CLOCK_SECONDS = 2.0
"""A folder's modification time may lag behind the clock by this much; FAT is the coarsest."""


class KeepSource(Exception):  # noqa: N818 - a decision, not a failure
    """The source stays where it is for good; the message says why."""


class NotYet(Exception):  # noqa: N818 - a decision, not a failure
    """Nothing can be done now, it is tried again; the message says why."""


class NotStillYet(NotYet):
    """It has to stand still for ``left_s`` more seconds."""

    def __init__(self, reason: str, left_s: float) -> None:
        super().__init__(reason)
        self.left_s = left_s


class NameTaken(Exception):  # noqa: N818 - another name is tried
    """The name belongs to another file."""


class Interrupted(Exception):  # noqa: N818 - the daemon stops, the next start goes on
    """The copy ended early because the daemon stops."""


def check_source(due: DueSource, watched: Path) -> None:
    """Raise KeepSource unless the stills are there and the source is in the watch folder, as it was admitted."""
    if not due.stills or not all(path.is_file() and path.stat().st_size == size for path, size in due.stills):
        raise KeepSource("its stills are not there as they were published")
    path = due.file.path
    look = path.lstat()
    if stat.S_ISLNK(look.st_mode):
        raise KeepSource("it is a symbolic link")
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(watched)):
        raise KeepSource("it lies outside of the watch folder")
    _keep_if_changed(due.file, look)


def is_gone(due: DueSource, watched: Path) -> bool:
    """Whether the source is not there although the folders that it can be in are; NotYet while those are away.

    A folder changes when it loses a file; the empty place that a disk leaves behind does not.
    """
    if _look(due.file.path) is not None:
        return False
    since_s = datetime.fromisoformat(due.queued_at).timestamp() - CLOCK_SECONDS
    places = [(due.file.path.parent, watched)] if due.file.path.is_relative_to(watched) else []
    if due.action == "move" and due.target is not None:
        places.append((due.target.parent, due.target.parent))
    for folder, top in places:
        nearest = next((at for at in (folder, *folder.parents) if at.is_relative_to(top) and at.is_dir()), None)
        if nearest is None or nearest.stat().st_mtime < since_s:
            raise NotYet(f"it is not there: the disk of {folder} may be away")
    return True


def _keep_if_changed(file: FileIdentity, look: os.stat_result) -> None:
    if not stat.S_ISREG(look.st_mode) or not same_file(file, look):
        raise KeepSource("it was changed after it was scored")


def keep_if_written_to(path: Path, *, shared: bool = False) -> bool:
    """Raise KeepSource for a source that somebody has open for writing; whether it is sure that nobody has."""
    writer = writers.writer(path, shared=shared)
    if writer.open:
        raise KeepSource(f"{writer.by} has it open for writing")
    return writer.sure


def _keep_unless_same_content(path: Path, file: FileIdentity) -> None:
    try:
        same = same_content(file, fingerprint(path) if file.digest is None else identify(path))
    except VideoError as error:
        if error.kind is not Kind.CHANGED:
            raise
        same = False
    if not same:
        raise KeepSource("its content is not what was scored")


def delete(file: FileIdentity) -> None:
    """Delete a source once its content is proven to be what was scored. Raises KeepSource, OSError."""
    _keep_unless_same_content(file.path, file)
    _keep_if_changed(file, file.path.lstat())
    keep_if_written_to(file.path)
    file.path.unlink()
    sync(file.path.parent)


def _look(path: Path) -> os.stat_result | None:
    """The state of a path, None where there is nothing. Other errors are raised: on a failing disk it may be there."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def arrived(due: DueSource) -> FileIdentity | None:
    """Where the source is, when an earlier try had brought it there; what it left behind is removed."""
    assert due.target is not None
    there = _look(due.target)
    if there is None or not stat.S_ISREG(there.st_mode) or there.st_size == 0:
        return None
    try:
        _keep_unless_same_content(due.target, due.file)
    except KeepSource:
        return None
    if (left := _look(due.file.path)) is not None:
        _keep_if_changed(due.file, left)
        due.file.path.unlink()
        sync(due.file.path.parent)
    return _moved_to(due.target, due.file)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises NotYet where a file stands in the way, OSError."""
    try:
        make_synced_folder(folder)
    except (FileExistsError, NotADirectoryError) as error:
        file = next((at for at in (folder, *folder.parents) if os.path.lexists(at) and not at.is_dir()), folder)
        raise NotYet(f"{file} is no folder, but stands where one is needed: move it away") from error


def _claim(target: Path, *, begun: bool) -> None:
    """Take a name with an empty file; ``begun`` says that one that is there is ours. Raises NameTaken."""
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    except FileExistsError as error:
        look = _look(target)
        if not begun or look is None or not stat.S_ISREG(look.st_mode) or look.st_size:
            raise NameTaken from error


def move(due: DueSource, target: Path, stopping: threading.Event, *, begun: bool) -> FileIdentity:
    """Move without ever replacing a file of somebody else's. Raises NameTaken when the name was taken.

    The name is claimed with an empty file first, which the rename then replaces.
    """
    source = due.file.path
    _claim(target, begun=begun)
    try:
        try:
            source.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_file(due, target, stopping)
        else:
            _give_back_if_changed(due.file, target)
    except BaseException:
        with suppress(FileNotFoundError):
            if target.lstat().st_size == 0:
                target.unlink()
        raise
    sync(target.parent)
    sync(source.parent)
    return _moved_to(target, due.file)


def _give_back_if_changed(file: FileIdentity, target: Path) -> None:
    """The file may have been replaced in the moment before the rename."""
    try:
        _keep_if_changed(file, target.lstat())
    except KeepSource:
        if not os.path.lexists(file.path):
            target.rename(file.path)
        raise


def _copy_file(due: DueSource, target: Path, stopping: threading.Event) -> None:
    """To another file system: a whole, proven copy takes the name in one step, then the source goes."""
    source, part = due.file.path, target.with_name(f".stillwatch-{due.video_id}.part")
    if shutil.disk_usage(target.parent).free < due.file.size_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target.parent))
    try:
        with source.open("rb") as reader, part.open("wb") as writer:
            while chunk := reader.read(CHUNK_BYTES):
                if stopping.is_set():
                    raise Interrupted
                writer.write(chunk)
            writer.flush()
            # Not every file system can hold the mode and the times.
            with suppress(OSError):
                shutil.copystat(source, part)
            os.fsync(writer.fileno())
        _keep_unless_same_content(part, due.file)
        _keep_if_changed(due.file, source.lstat())
        keep_if_written_to(source)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    sync(target.parent)
    source.unlink()


def _moved_to(path: Path, file: FileIdentity) -> FileIdentity:
    look = path.stat()
    return replace(file, path=path, size_bytes=look.st_size, mtime_ns=mtime_ns(look), inode=inode(look))
