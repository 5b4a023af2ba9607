"""A fresh machine: a minimal Debian with Python, venv and make, and a copy of this checkout in /src.

It is made by debootstrap with the mirror that apt is configured with here, and entered with chroot in namespaces of
its own: its mounts and processes end with the command that runs in it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.fresh.pip_settings import SYSTEM_FILE, PipSettings

ROOT = Path(__file__).parents[2]
SOURCE = Path("/src")
PACKAGES = ("python3", "python3-venv", "make", "ca-certificates")
TOOLS = ("debootstrap", "unshare", "chroot", "git")
_DEBIAN = {"unshare": "util-linux", "chroot": "coreutils", "bwrap": "bubblewrap"}
"""Packages that are not named like their tool."""
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}

_ENTER = """
root=$1; shift
# A root of its own in the table of mounts, as on a real machine.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
while [ "$1" != -- ]; do mount --bind -o ro "$1" "$root$1"; shift; done
shift
cd "$root"
exec chroot "$root" env -i "$@"
"""


def hindrance(tools: Iterable[str] = TOOLS) -> str | None:
    """Why no fresh machine can be made here, None when one can."""
    if os.geteuid() != 0:
        return "only root can make a fresh machine"
    for tool in tools:
        if shutil.which(tool) is None:
            return f"there is no {tool} (Debian: {_DEBIAN.get(tool, tool)})"
    return None


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where apt fetches Debian from: the address and the suite (``bookworm``)."""

    url: str
    suite: str

    @classmethod
    def of_apt(cls, folder: Path = Path("/etc/apt")) -> Mirror:
        """The first Debian source of apt's configuration, in either of its two formats."""
        release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.MULTILINE))
        suite = release["VERSION_CODENAME"]
        for file in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
            for url, suites in _sources(file):
                if suite in suites:
                    return cls(url, suite)
        raise LookupError(f"apt's configuration in {folder} names no source of {suite}")


def _sources(file: Path) -> Iterable[tuple[str, list[str]]]:
    """Address and suites of each entry of a sources file."""
    text = file.read_text() if file.is_file() else ""
    if file.suffix == ".sources":
        for entry in re.split(r"\n\s*\n", text):
            fields = {
                key.lower(): value.split() for key, value in re.findall(r"^([\w-]+):\s*(.*)$", entry, re.MULTILINE)
            }
            yield from ((url, fields.get("suites", [])) for url in fields.get("uris", []))
    else:
        for url, suite in re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", text, re.MULTILINE):
            yield url, [suite]


class FreshMachine:
    """A root file system in ``folder``; ``make`` builds it, ``run`` runs a command in it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self._pip = PipSettings.read()

    def make(self, packages: Iterable[str] = PACKAGES) -> FreshMachine:
        """Install Debian's minimum and ``packages``; carry over name service and pip's settings."""
        mirror = Mirror.of_apt()
        included = f"--include={','.join(packages)}"
        command = ["debootstrap", "--variant=minbase", included, mirror.suite, str(self.root), mirror.url]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, f"debootstrap failed:\n{done.stdout[-2000:]}"
        for name in ("resolv.conf", "hosts"):
            shutil.copy(Path("/etc") / name, self.root / "etc" / name)
        self._inside(SYSTEM_FILE).write_text(self._pip.as_file())
        for path in self._pip.paths():
            place = self._inside(path)
            if path.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
        return self

    def copy_checkout(self) -> None:
        """Put the files that git knows of this checkout, as they are now, into /src."""
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for name in filter(None, files.decode().split("\0")):
            if (ROOT / name).is_file():
                place = self._inside(SOURCE / name)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, place)

    def run(
        self, command: str, *, environment: dict[str, str] | None = None, seconds: float = 1800.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root in /src; its output and errors come together as ``stdout``."""
        variables = [f"{name}={value}" for name, value in {**_ENVIRONMENT, **(environment or {})}.items()]
        inner = [*variables, "sh", "-euc", f"cd {SOURCE} && {command}"]
        spaces = ["--mount", "--propagation=private", "--pid", "--fork", "--kill-child=KILL"]
        binds = map(str, self._pip.paths())
        return subprocess.run(
            ["unshare", *spaces, "sh", "-euc", _ENTER, "sh", str(self.root), *binds, "--", *inner],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )

    def remove(self) -> None:
        """Delete it; nothing is mounted there any more."""
        shutil.rmtree(self.root)

    def _inside(self, path: Path) -> Path:
        return self.root / path.relative_to("/")
