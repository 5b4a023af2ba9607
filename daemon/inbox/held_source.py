"""A source that is opened once: what is hashed, probed, decoded and cut is this very file, whatever takes its name.

Whoever reads it is given a name in a private folder that leads to the handle, with the file's own ending, by which
FFmpeg tells raw streams apart; a child process of this user can follow it as well.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.config.watch import WatchConfig
from daemon.errors import Kind, VideoError
from daemon.inbox.identity import (
    as_video_error,
    changed_in_work,
    content_of,
    inode,
    refuse_outside,
    require_unchanged,
    same_content,
    same_file,
)
from daemon.job import VideoJob
from daemon.model import FileIdentity, VideoInfo
from daemon.runtime.leftovers import remove_leftovers
from daemon.runtime.reading import opened, path_of
from daemon.runtime.shared_folder import SharedFolder
from daemon.runtime.stall import run_in_abandonable_thread, with_stall_timeout

_FOLDER = re.compile(r"stillwatch-held-(?P<pid>\d{1,10})-\w{8}")
"""The form of our folders' names: process, and what ``mkdtemp`` adds."""


def clean() -> int:
    """Remove the private folders that killed runs left; returns how many. The links in them lead nowhere any more."""
    with suppress(OSError), SharedFolder.open(Path(tempfile.gettempdir())) as folder:
        return remove_leftovers(folder, _FOLDER)
    return 0


@dataclass(frozen=True, slots=True)
class _Held:
    path: Path
    inode: int
    opened: ExitStack

    def close(self) -> None:
        self.opened.close()


@asynccontextmanager
async def held(job: VideoJob, watch: WatchConfig, *, prove: bool = True) -> AsyncIterator[VideoJob]:
    """The job with its source held: ``job.reading`` and the path of its ``info`` lead to the open file.

    With ``prove``, a file whose inode is not the recorded one has to have the recorded content. Raises VideoError:
    MISSING, UNREADABLE, CHANGED, NOT_A_FILE, OUTSIDE_FOLDER for what lies in the watch folder but leads out of it.
    """
    file = job.record.file
    await require_unchanged(file, job.stall_seconds)
    given_up = threading.Event()

    def open_source() -> _Held:
        source = _open(file, watch)
        if given_up.is_set():
            # A share that has come back: nobody would ever close it, and an open file keeps it from being unmounted.
            source.close()
        return source

    with ExitStack() as giving_up:
        giving_up.callback(given_up.set)
        opening = run_in_abandonable_thread(open_source, "open")
        source = await with_stall_timeout(opening, job.stall_seconds, "opening the file")
        giving_up.pop_all()
    try:
        if prove and file.inode is not None and source.inode != file.inode:
            now = await content_of(source.path, job.stall_seconds, job.on_progress, named=file.path)
            if not same_content(file, now):
                raise changed_in_work()
        info = job.record.info
        record = job.record if info is None else replace(job.record, info=_read_from(info, source.path))
        yield replace(job, record=record, reading=source.path)
    finally:
        source.close()


def _open(file: FileIdentity, watch: WatchConfig) -> _Held:
    with as_video_error(file.path), ExitStack() as stack:
        handle = stack.enter_context(opened(file.path))
        look = os.fstat(handle)
        if not stat.S_ISREG(look.st_mode):
            raise VideoError(Kind.NOT_A_FILE, f"{file.path} is not a file any more: put the video there instead")
        if not same_file(file, look):
            raise changed_in_work()
        if file.path.is_relative_to(watch.path):
            # Where the handle is, not where the name leads by now.
            refuse_outside(path_of(handle), watch.path, watch.follow_outside, named=file.path)
        path = stack.enter_context(_named(Path(f"/proc/{os.getpid()}/fd/{handle}"), file.path.name))
        return _Held(path, inode(look), stack.pop_all())


@contextmanager
def _named(handle: Path, name: str) -> Iterator[Path]:
    """A private folder with the file's name in it; where there is no room for one the handle's own path has to do."""
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"stillwatch-held-{os.getpid()}-"))
        (folder / name).symlink_to(handle)
        path = folder / name
    except OSError:
        path = handle
    try:
        yield path
    finally:
        # Who tidies up temporary files may have been here first.
        if folder is not None:
            with suppress(OSError):
                (folder / name).unlink(missing_ok=True)
                folder.rmdir()


def _read_from(info: VideoInfo, path: Path) -> VideoInfo:
    stretches = tuple(replace(one, info=_read_from(one.info, path)) for one in info.stretches)
    return replace(info, path=path, stretches=stretches)
