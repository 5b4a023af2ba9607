"""The disk side of the disposal: is the source still what it was, delete it, move it so that a kill loses nothing."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from daemon.errors import Kind, VideoError
from daemon.inbox import writers
from daemon.inbox.identity import fingerprint, identify, inode, mtime_ns, same_content, same_file
from daemon.model import FileIdentity
from daemon.runtime.reading import path_of
from daemon.runtime.shared_folder import SharedFolder, token
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
        read = fingerprint if file.digest is None else identify
        same = same_content(file, read(path, named=file.path))
    except VideoError as error:
        if error.kind is not Kind.CHANGED:
            raise
        same = False
    if not same:
        raise KeepSource("its content is not what was scored")


def delete(file: FileIdentity, watched: Path) -> None:
    """Delete a source once its content is proven to be what was scored. Raises KeepSource, OSError."""
    with _held(file, watched) as source:
        _keep_unless_same_content(source.held, file)
        keep_if_written_to(source.file.path)
        source.keep_unless_named()
        source.folder.remove(source.name)
        source.folder.sync()


@dataclass(frozen=True, slots=True)
class _Held:
    """A source that is open: what is proven of ``handle`` holds for this very file, whatever takes its name."""

    file: FileIdentity
    folder: SharedFolder
    name: str
    handle: int

    @property
    def held(self) -> Path:
        return path_of(self.handle)

    def keep_unless_named(self, folder: SharedFolder | None = None, name: str | None = None) -> None:
        """Raise KeepSource unless the name is this very file's, and it is as it was admitted."""
        look = (folder or self.folder).look(name or self.name)
        own = os.fstat(self.handle)
        if look is None or (look.st_dev, look.st_ino) != (own.st_dev, own.st_ino):
            raise KeepSource("another file has taken its place")
        _keep_if_changed(self.file, look)


@contextmanager
def _held(file: FileIdentity, watched: Path) -> Iterator[_Held]:
    """A source, opened once; its folder lies in the watch folder. Raises KeepSource, OSError."""
    with SharedFolder.open(file.path.parent) as folder:
        if not folder.held.readlink().is_relative_to(os.path.realpath(watched)):
            raise KeepSource("it lies outside of the watch folder")
        look = folder.look(file.path.name)
        if look is not None:
            _keep_if_changed(file, look)
        handle = folder.read_handle(file.path.name)
        try:
            held = _Held(file, folder, file.path.name, handle)
            held.keep_unless_named()
            if file.inode is not None and inode(os.fstat(handle)) != file.inode:
                # Another file of the same size and time; a network share may also have given the same one a new number.
                _keep_unless_same_content(held.held, file)
            yield held
        finally:
            os.close(handle)


def _look(path: Path) -> os.stat_result | None:
    """The state of a path, None where there is nothing. Other errors are raised: on a failing disk it may be there."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def arrived(due: DueSource, watched: Path, archive: Path) -> FileIdentity | None:
    """Where the source is, when an earlier try had brought it there; what it left behind is removed.

    ``archive`` is the folder that sources are moved to. Raises KeepSource for what else is in the source's place.
    """
    assert due.target is not None
    if _look(due.target) is None:
        return None
    # The setting may have been another one then.
    top = archive if due.target.is_relative_to(archive) else due.target.parent
    with SharedFolder.open(top) as opened, opened.below(due.target.parent.relative_to(top)) as folder:
        there = folder.look(due.target.name)
        if there is None or not stat.S_ISREG(there.st_mode) or there.st_size == 0:
            return None
        handle = folder.read_handle(due.target.name)
        try:
            _keep_unless_same_content(path_of(handle), due.file)
        except KeepSource:
            return None
        finally:
            os.close(handle)
    if _look(due.file.path) is not None:
        with _held(due.file, watched) as left:
            left.folder.remove(left.name)
            left.folder.sync()
    return _moved_to(due.target, there, due.file)


def make_folder(folder: Path, archive: Path) -> None:
    """Make a folder and those above it. Raises NotYet where a file or a link stands in the way, OSError."""
    try:
        with SharedFolder.open(archive, make=True) as top, top.below(folder.relative_to(archive), make=True):
            return
    except (FileExistsError, NotADirectoryError) as error:
        file = next((at for at in (folder, *folder.parents) if os.path.lexists(at) and not at.is_dir()), folder)
        raise _in_the_way(str(file)) from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _in_the_way(error.filename) from error


def _in_the_way(file: str) -> NotYet:
    return NotYet(f"{file} is no folder, but stands where one is needed: move it away")


def _claim(folder: SharedFolder, name: str, *, begun: bool) -> None:
    """Take a name with an empty file; ``begun`` says that one that is there is ours. Raises NameTaken."""
    try:
        os.close(folder.new_handle(name))
    except FileExistsError as error:
        look = folder.look(name)
        if not begun or look is None or not stat.S_ISREG(look.st_mode) or look.st_size:
            raise NameTaken from error


def _give_up_claim(folder: SharedFolder, name: str) -> None:
    if (look := folder.look(name)) is not None and look.st_size == 0:
        folder.remove(name)


def move(
    due: DueSource, target: Path, stopping: threading.Event, *, begun: bool, watched: Path, archive: Path
) -> FileIdentity:
    """Move without ever replacing a file of somebody else's. Raises NameTaken when the name was taken.

    The name is claimed with an empty file first, which the rename then replaces. ``target`` lies below ``archive``; no
    link in between is followed.
    """
    name = target.name
    with (
        _held(due.file, watched) as source,
        SharedFolder.open(archive) as top,
        top.below(target.parent.relative_to(archive)) as folder,
    ):
        _claim(folder, name, begun=begun)
        with ExitStack() as failing:
            failing.callback(_give_up_claim, folder, name)
            try:
                source.folder.rename(source.name, folder, name)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _copy_file(due, source, folder, name, stopping)
            else:
                _give_back_if_changed(source, folder, name)
            failing.pop_all()
        folder.sync()
        source.folder.sync()
        look = folder.look(name)
    return _moved_to(target, look or target.lstat(), due.file)


def _give_back_if_changed(source: _Held, folder: SharedFolder, name: str) -> None:
    """The file may have been replaced in the moment before the rename."""
    try:
        source.keep_unless_named(folder, name)
    except KeepSource:
        if source.folder.look(source.name) is None:
            folder.rename(name, source.folder, source.name)
        raise


def _copy_file(due: DueSource, source: _Held, folder: SharedFolder, name: str, stopping: threading.Event) -> None:
    """To another file system: a whole, proven copy takes the name in one step, then the source goes."""
    if shutil.disk_usage(folder.held).free < due.file.size_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder.path))
    ours = re.compile(rf"\.stillwatch-{due.video_id}-[0-9a-f]{{16}}\.part")
    for left in filter(ours.fullmatch, folder.names()):
        # A copy that a kill cut short.
        if folder.is_our_file(left):
            folder.remove(left)
    part = f".stillwatch-{due.video_id}-{token()}.part"
    try:
        with source.held.open("rb") as reader, os.fdopen(folder.new_handle(part), "w+b") as writer:
            while chunk := reader.read(CHUNK_BYTES):
                if stopping.is_set():
                    raise Interrupted
                writer.write(chunk)
            writer.flush()
            # Not every file system can hold the mode and the times.
            with suppress(OSError):
                shutil.copystat(source.held, path_of(writer.fileno()))
            os.fsync(writer.fileno())
            _keep_unless_same_content(path_of(writer.fileno()), due.file)
        keep_if_written_to(source.file.path)
        source.keep_unless_named()
        folder.rename(part, folder, name)
    finally:
        folder.remove(part)
    folder.sync()
    source.folder.remove(source.name)


def _moved_to(path: Path, look: os.stat_result, file: FileIdentity) -> FileIdentity:
    return replace(file, path=path, size_bytes=look.st_size, mtime_ns=mtime_ns(look), inode=inode(look))
