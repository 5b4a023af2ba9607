"""Folders that others may write to: held by a handle, so that no name planted in them leads anywhere else.

A folder is opened once; what is in it is made, read, renamed and removed relative to that handle, and links in it are
never followed. What is new is made exclusively, what is in work has a name that nobody can guess.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

from daemon.runtime.durable import make_synced_folder
from daemon.runtime.reading import READ, path_of, read_regular, regular_handle

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = READ | os.O_NOFOLLOW
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
COPY_BYTES = 1024 * 1024


def token() -> str:
    """Part of a name that nobody can guess: 64 random bits as 16 hexadecimal digits."""
    return secrets.token_hex(8)


class SharedFolder:
    """An open folder; names are plain names in it. All methods raise OSError."""

    def __init__(self, handle: int, path: Path) -> None:
        self._handle = handle
        self.path = path

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, make: bool = False) -> Iterator[SharedFolder]:
        """A folder that the configuration names; links on the way to it are the owner's and are followed."""
        if make:
            make_synced_folder(path)
        handle = os.open(path, _FOLDER)
        try:
            yield cls(handle, path)
        finally:
            os.close(handle)

    @contextmanager
    def below(self, relative: PurePath, *, make: bool = False, mode: int = 0o777) -> Iterator[SharedFolder]:
        """A folder below this one, no link in between. With ``make`` it and those above it are made and synced.

        ``mode`` is narrowed by the umask. Raises OSError(ELOOP) where a link or a file stands in the way.
        """
        handle, path = os.dup(self._handle), self.path
        try:
            for part in relative.parts:
                if part in ("..", "/"):
                    raise OSError(errno.EINVAL, "no path below the folder", str(relative))
                path /= part
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, mode, dir_fd=handle)
                        os.fsync(handle)
                inner = _open_folder(part, handle, path)
                os.close(handle)
                handle = inner
            yield SharedFolder(handle, path)
        finally:
            os.close(handle)

    @property
    def held(self) -> Path:
        """A path that leads to this very folder, whatever becomes of its name; good while it is open."""
        return path_of(self._handle)

    def status(self) -> os.stat_result:
        """Owner and mode of the folder itself."""
        return os.fstat(self._handle)

    def keep_to_owner(self) -> None:
        """Nobody else may look into the folder from now on; new names in it keep its group where that can be said."""
        mode = stat.S_IMODE(self.status().st_mode)
        if mode & 0o777 == 0o700:
            return
        try:
            os.fchmod(self._handle, 0o700 | mode & stat.S_ISGID)
        except PermissionError:
            # systemd's RestrictSUIDSGID lets nobody name that bit, which folders below a shared one inherit.
            os.fchmod(self._handle, 0o700)

    def names(self) -> list[str]:
        """What is in it, sorted."""
        return sorted(os.listdir(self._handle))  # noqa: PTH208 - of a handle

    def look(self, name: str) -> os.stat_result | None:
        """The state of a name, a link's own; None where there is nothing."""
        try:
            return os.stat(name, dir_fd=self._handle, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_file(self, name: str) -> bool:
        """Whether a regular file has this name."""
        look = self.look(name)
        return look is not None and stat.S_ISREG(look.st_mode)

    def is_our_folder(self, name: str) -> bool:
        """Whether a real folder of this user has this name."""
        look = self.look(name)
        return look is not None and stat.S_ISDIR(look.st_mode) and look.st_uid == os.geteuid()

    def is_our_file(self, name: str) -> bool:
        """Whether a regular file of this user has this name."""
        look = self.look(name)
        return look is not None and stat.S_ISREG(look.st_mode) and look.st_uid == os.geteuid()

    def read_handle(self, name: str) -> int:
        """A regular file, opened for reading; to be closed. Never waits for a pipe."""
        return regular_handle(self.path / name, self._handle)

    def read(self, name: str, most_bytes: int) -> bytes:
        """The content of a regular file. Raises OSError(EFBIG) for one that is larger."""
        return read_regular(self.path / name, most_bytes, self._handle)

    def new_handle(self, name: str, mode: int = 0o666) -> int:
        """A new file, opened for writing; to be closed. Raises FileExistsError where the name is taken, by a link too.

        ``mode`` is narrowed by the umask.
        """
        return os.open(name, _NEW, mode, dir_fd=self._handle)

    def write(self, name: str, content: bytes, mode: int = 0o666) -> None:
        """A file, whole or not at all; what had the name before is replaced, a link itself and not what it names."""
        with self.draft(name) as draft, os.fdopen(self.new_handle(draft, mode), "wb") as file:
            file.write(content)

    @contextmanager
    def draft(self, name: str) -> Iterator[str]:
        """A name to make a file under, which then takes ``name``; it is gone where the block fails."""
        draft = f".{_short(name)}.{token()}.new"
        try:
            yield draft
            self.rename(draft, self, name)
        finally:
            # Of two names of one file the first is kept by the rename.
            self.remove(draft)

    def is_draft_of(self, name: str) -> Callable[[str], bool]:
        """Whether a name is that of a draft of ours, left by a kill, for a file of this name."""
        form = re.compile(rf"\.{re.escape(_short(name))}\.[0-9a-f]{{16}}\.new")
        return lambda found: form.fullmatch(found) is not None and self.is_our_file(found)

    def link(self, name: str, folder: SharedFolder, new: str) -> None:
        """A second name for a regular file, or a copy where the file system has none. It replaces what is there."""
        with folder.draft(new) as draft:
            try:
                os.link(name, draft, src_dir_fd=self._handle, dst_dir_fd=folder._handle, follow_symlinks=False)
            except OSError:
                self._copy(name, folder, draft)

    def _copy(self, name: str, folder: SharedFolder, new: str) -> None:
        with os.fdopen(self.read_handle(name), "rb") as source, os.fdopen(folder.new_handle(new), "wb") as target:
            shutil.copyfileobj(source, target, COPY_BYTES)
            target.flush()
            look = os.fstat(source.fileno())
            os.fchmod(target.fileno(), stat.S_IMODE(look.st_mode) & 0o777)
            os.utime(target.fileno(), ns=(look.st_atime_ns, look.st_mtime_ns))
            os.fsync(target.fileno())

    def rename(self, name: str, folder: SharedFolder, new: str) -> None:
        """Move a name to a folder of the same file system; a file or a link that is there is replaced."""
        os.rename(name, new, src_dir_fd=self._handle, dst_dir_fd=folder._handle)

    def remove(self, name: str) -> None:
        """Remove a file or a link, not what it leads to; nothing where it is gone."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._handle)

    def remove_if_empty(self, name: str) -> None:
        """Remove a folder unless something is in it, or it is none."""
        with suppress(OSError):
            os.rmdir(name, dir_fd=self._handle)

    def remove_tree(self, name: str) -> None:
        """Remove a folder with all that is in it, as far as that is possible; a link to one stays as it is."""
        shutil.rmtree(name, ignore_errors=True, dir_fd=self._handle)

    def make(self, name: str, mode: int = 0o777) -> None:
        """A new folder. Raises FileExistsError where the name is taken. ``mode`` is narrowed by the umask."""
        os.mkdir(name, mode, dir_fd=self._handle)

    def sync(self) -> None:
        """Have the names in it on the disk."""
        os.fsync(self._handle)

    def sync_file(self, name: str) -> None:
        """Have a file's content on the disk."""
        handle = os.open(name, _READ, dir_fd=self._handle)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _short(name: str) -> str:
    """As much of a name as leaves room for more in the 255 bytes that a name may have."""
    return os.fsdecode(os.fsencode(name)[:200])


def _open_folder(name: str, handle: int, path: Path) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
    except NotADirectoryError as error:
        raise OSError(errno.ELOOP, "a link or a file stands where a folder belongs", str(path)) from error
