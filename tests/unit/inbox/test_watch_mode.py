"""The choice between kernel events and polling, by file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.inbox.watch_mode import file_system, mode_for

INBOX = Path("/srv/inbox")

MOUNTS = [
    ("/", "ext4"),
    ("/proc", "proc"),
    ("/srv", "xfs"),
    ("/srv/inbox", "nfs4"),
    ("/srv/inbox2", "btrfs"),
    ("/mnt/auto", "autofs"),
    ("/mnt/auto", "cifs"),
    ("/mnt/my share", "fuse.sshfs"),
]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/inbox", "nfs4"),
        ("/srv/inbox/day", "nfs4"),
        ("/srv/inbox2", "btrfs"),
        ("/srv/inbox3", "xfs"),
        ("/srvx", "ext4"),
        ("/", "ext4"),
        ("/mnt/auto/box", "cifs"),
        ("/mnt/my share/in", "fuse.sshfs"),
    ],
)
def test_the_longest_mount_point_decides_and_of_two_the_later(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


def test_an_unknown_mount_is_watched_natively() -> None:
    assert file_system(INBOX, []) == ""
    assert mode_for("") == "native"


@pytest.mark.parametrize(
    "kind",
    ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "vboxsf", "fuse", "fuse.sshfs", "fuse.mergerfs", "ceph"],
)
def test_shared_file_systems_are_polled(kind: str) -> None:
    assert mode_for(kind) == "polling"


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "vfat", "ntfs3", "fusectl", "f2fs"]
)
def test_local_file_systems_are_not(kind: str) -> None:
    assert mode_for(kind) == "native"
