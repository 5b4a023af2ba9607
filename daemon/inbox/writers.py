"""Whether a process holds a file open for writing: by a lease of the kernel, else by one sweep through /proc.

A read lease (fcntl(2), F_SETLEASE) is refused while anybody has the file open for writing, a shared writable mapping
included. The kernel gives one to the owner of the file and to whoever has CAP_LEASE, on local file systems. Elsewhere
the handles of all processes are looked through: of other users' processes only the superuser sees them, and nobody sees
what another machine does to a share.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from daemon.runtime.reading import opened

CAP_LEASE = 28
_WRITABLE = 0o200
_ALL_IDS = ["0", "0", "4294967295"]
# The inode of the first pid namespace (PROC_PID_INIT_INO in the kernel's include/linux/proc_ns.h).
_FIRST_PID_NAMESPACE = "pid:[4026531836]"


@dataclass(frozen=True, slots=True)
class Writer:
    """``open``: somebody has the file open for writing, ``by`` says who. Not open: nobody has, if it is ``sure``."""

    open: bool
    sure: bool
    by: str = ""


NOBODY = Writer(open=False, sure=True)
UNKNOWN = Writer(open=False, sure=False)


class OpenFiles:
    """One look at many files: /proc is gone through once at most, and not at all where the kernel answers by itself.

    ``shared``: the files are on a file system that other machines write to, where "nobody" is never sure.
    """

    def __init__(self, *, shared: bool = False, proc: Path = Path("/proc")) -> None:
        self._shared = shared
        self._proc = proc
        self._sweep: _Sweep | None = None

    def writer(self, path: Path) -> Writer:
        """Who writes to a regular file. Never waits for a lease that somebody else has. Raises OSError."""
        with opened(path) as descriptor:
            look = os.fstat(descriptor)
            refused = lease_is_refused(descriptor)
        if refused is False and not self._shared:
            return NOBODY
        if self._sweep is None:
            self._sweep = _Sweep(self._proc)
        by = self._sweep.find(path.name, look)
        if refused or by:
            return Writer(open=True, sure=True, by=by or "a process that cannot be seen")
        return NOBODY if self._sweep.saw_all and not self._shared else UNKNOWN


def writer(path: Path, *, shared: bool = False) -> Writer:
    """Who writes to one file; see OpenFiles.writer."""
    return OpenFiles(shared=shared).writer(path)


def lease_is_refused(descriptor: int) -> bool | None:
    """True: somebody has it open for writing; False: nobody has; None: this process is given no lease on it."""
    try:
        # Who opens it for writing in this very moment waits until the lease is given back, and the signal that tells of
        # it must be one that is ignored: the usual SIGIO would end the process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK) else None
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def others_are_seen(proc: Path = Path("/proc")) -> bool:
    """Whether the kernel tells this process of everybody's handles on local files: CAP_LEASE, valid outside as well."""
    try:
        status = (proc / "self/status").read_text()
        ids = (proc / "self/uid_map").read_text().split()
    except OSError:
        return False
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> CAP_LEASE & 1) and ids == _ALL_IDS


class _Sweep:
    """The files that are open for writing now, by inode: handles, and shared writable mappings of closed ones."""

    def __init__(self, proc: Path) -> None:
        self._by_inode: dict[int, list[tuple[str, Path | None, str]]] = defaultdict(list)
        self._proc = proc
        self._denied = False
        try:
            names = os.listdir(proc)  # noqa: PTH208
        except OSError:
            names, self._denied = [], True
        for pid in filter(str.isdecimal, names):
            self._handles(proc / pid)
            self._mappings(proc / pid)
        self.saw_all = not self._denied and _in_first_namespace(proc)

    def find(self, name: str, look: os.stat_result) -> str:
        """Who has the file open for writing, empty when nobody has."""
        for process, handle, target in self._by_inode.get(look.st_ino, ()):
            # The device of a mapping is another one than stat's on some file systems, the name never is.
            same = Path(target).name == name if handle is None else _is_same(handle, look)
            if same:
                return process
        return ""

    def _handles(self, process: Path) -> None:
        try:
            numbers = os.listdir(process / "fd")  # noqa: PTH208 - names are enough
        except OSError as error:
            self._denied |= isinstance(error, PermissionError)
            return
        for number in numbers:
            handle = process / "fd" / number
            try:
                # The mode of the link says how the handle was opened. The file itself is not looked at here: on a
                # share that is away this would block.
                if not os.lstat(handle).st_mode & _WRITABLE:
                    continue
                target = os.readlink(handle)  # noqa: PTH115
                if target.startswith("/") and not target.startswith("/dev/"):
                    self._by_inode[_inode(process / "fdinfo" / number, handle)].append(
                        (_named(process), handle, target)
                    )
            except OSError:
                continue

    def _mappings(self, process: Path) -> None:
        try:
            maps = (process / "maps").read_bytes()
        except OSError:
            return
        if b"rw-s" not in maps:
            return
        for line in maps.splitlines():
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[1] == b"rw-s" and fields[5].startswith(b"/"):
                self._by_inode[int(fields[4])].append((_named(process), None, os.fsdecode(fields[5])))


def _inode(fdinfo: Path, handle: Path) -> int:
    """The inode behind a handle; kernels before 5.14 do not say it in fdinfo."""
    for line in fdinfo.read_text().splitlines():
        if line.startswith("ino:"):
            return int(line.split()[1])
    return handle.stat().st_ino


def _is_same(handle: Path, look: os.stat_result) -> bool:
    try:
        there = handle.stat()
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (look.st_dev, look.st_ino)


def _named(process: Path) -> str:
    try:
        name = (process / "comm").read_text(errors="replace").strip()
    except OSError:
        name = "a process"
    return f"{name} (process {process.name})"


def _in_first_namespace(proc: Path) -> bool:
    """In a container of its own the processes outside are not listed at all."""
    try:
        next((proc / "1/fd").iterdir(), None)
        return str((proc / "self/ns/pid").readlink()) == _FIRST_PID_NAMESPACE
    except OSError:
        return False
