"""Kernel events or polling: decided by the file system that the watch folder is on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import psutil

from daemon.config.watch import WatchConfig

Mode = Literal["native", "polling"]

# Kernel events tell only of what this host itself does, so anything that others may write to is
# polled. fuseblk (a local NTFS disk) has no other writer, and overlay and the disk formats are local.
_SHARED_FILE_SYSTEMS = frozenset(
    {
        *("9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "drvfs", "fakeowner", "fuse", "gfs2"),
        *("glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs"),
        *("prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"),
    }
)


def file_system(path: Path, mounts: Iterable[tuple[str, str]]) -> str:
    """The type of the file system that holds ``path``, an absolute path without symbolic links.

    ``mounts`` are (mount point, type) pairs in the order they were mounted: of two at the same
    point the later covers the earlier. Empty when no mount point fits.

    >>> file_system(Path("/srv/in/box"), [("/", "ext4"), ("/srv", "nfs4"), ("/srv/inbox", "xfs")])
    'nfs4'
    """
    longest, of_longest = -1, ""
    for point, kind in mounts:
        depth = len(Path(point).parts)
        if depth >= longest and path.is_relative_to(point):
            longest, of_longest = depth, kind
    return of_longest


def mode_for(kind: str) -> Mode:
    """``polling`` for a file system that others can write to without this kernel's knowledge."""
    return "polling" if kind in _SHARED_FILE_SYSTEMS or kind.startswith("fuse.") else "native"


def mode_and_file_system(config: WatchConfig) -> tuple[Mode, str]:
    """How the watch folder is to be watched, and the type of the file system that it is on."""
    kind = file_system(Path(os.path.realpath(config.path)), _mounts())
    return (mode_for(kind) if config.mode == "auto" else config.mode), kind


def is_shared(config: WatchConfig) -> bool:
    """Whether other machines may write to the watch folder without this kernel's knowledge, by its file system."""
    return mode_for(mode_and_file_system(config)[1]) == "polling"


def _mounts() -> list[tuple[str, str]]:
    try:
        return [(mount.mountpoint, mount.fstype) for mount in psutil.disk_partitions(all=True)]
    except OSError:
        return []
