"""A machine with a real systemd: a container on an overlay of /, which leaves this machine as it is.

The overlay's upper side, its mounts and the container's /tmp are in a mount namespace of their own: they are gone
with the container, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
UNIT = "stillwatch.service"
CONFIG = Path("/etc/stillwatch/config.yaml")
PREFIX = Path("/opt/stillwatch")
SOURCE = PREFIX / "src"
PYTHON = PREFIX / "python"
PACKAGES = PREFIX / f".venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

BOOT_SECONDS = 60.0
PATIENCE_SECONDS = 90.0

_MOUNT_AND_BOOT = """
mount -t tmpfs -o size=1g,mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
shift
exec "$@"
"""


class NoMachineError(Exception):
    """Why no container can be booted here."""


def hindrance() -> str | None:
    """What is missing for a container, as far as can be seen without trying."""
    if os.geteuid() != 0:
        return "only root can boot a container"
    for tool in ("systemd-nspawn", "nsenter", "setpriv", "unshare"):
        if shutil.which(tool) is None:
            return f"there is no {tool} (Debian: systemd-container, util-linux)"
    if _unified() is None:
        return "no cgroup2 file system is mounted"
    return None


def _unified() -> Path | None:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None


class Machine:
    """A booted container up to basic.target. Raises NoMachineError when it does not come up."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"stillwatch-{os.getpid()}"
        unified = _unified()
        assert unified is not None
        self._group = unified / self._name
        self._console = folder / "console"
        self._leader = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._group.mkdir(exist_ok=True)
        except OSError as error:
            raise NoMachineError(f"no cgroup can be made for a container: {error}") from error
        try:
            self._boot()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _boot(self) -> None:
        """Start systemd-nspawn and wait for its word that systemd is up."""
        place = self._folder / "machine"
        place.mkdir()
        address = f"@{self._name}"
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as heard,
            self._console.open("wb") as console,
        ):
            heard.bind("\0" + address[1:])
            command = ["sh", "-euc", _MOUNT_AND_BOOT, "sh", str(place), *self._nspawn(place / "root")]
            # All of it ends with this process, whatever ends it: a pid namespace dies with its first process.
            spaces = ["--mount", "--propagation=private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
            isolated = ["setpriv", "--pdeathsig=KILL", "unshare", *spaces, *command]
            # A cgroup of its own: systemd-nspawn makes its children in the one that it was started in.
            moved = ["sh", "-euc", 'echo $$ > "$0/cgroup.procs"; exec "$@"', str(self._group), *isolated]
            environment = {**os.environ, "NOTIFY_SOCKET": address, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
            self._process = subprocess.Popen(
                moved, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, env=environment
            )
            self._await_ready(heard)
        # Alone in its scope, and with the pid that it has out here.
        self._leader = int((self._group / "payload/init.scope/cgroup.procs").read_text())

    def _await_ready(self, heard: socket.socket) -> None:
        heard.settimeout(0.5)
        words: list[str] = []
        deadline = time.monotonic() + BOOT_SECONDS
        while "READY=1" not in words:
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NoMachineError(f"no container boots here: {self._console.read_text(errors='replace')[-1500:]}")
            with contextlib.suppress(TimeoutError):
                words += heard.recv(4096).decode().splitlines()

    def _nspawn(self, root: Path) -> list[str]:
        packages = sysconfig.get_path("purelib")
        binds = {packages: PACKAGES, str(ROOT): SOURCE}
        if (base := _python_folder()) is not None:
            binds[str(base)] = PYTHON
        return [
            "systemd-nspawn",
            "--quiet",
            f"--directory={root}",
            "--boot",
            "--register=no",
            "--keep-unit",
            f"--machine={self._name}",
            "--notify-ready=yes",
            "--private-network",
            "--tmpfs=/tmp:mode=1777",
            # Never the files of this machine's journal.
            "--tmpfs=/var/log/journal",
            "--console=pipe",
            *(f"--bind-ro={source}:{target}" for source, target in binds.items()),
            # An argument of systemd itself: no service of this machine is started in the container.
            "systemd.unit=basic.target",
        ]

    def path(self, inside: str | Path) -> Path:
        """A path of the container, seen from here."""
        return Path(f"/proc/{self._leader}/root") / str(inside).lstrip("/")

    def command(self, *words: str) -> list[str]:
        """The command that runs ``words`` inside."""
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        clean = ["env", "--ignore-environment", "LANG=C.UTF-8", "HOME=/", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        return ["nsenter", f"--target={self._leader}", *spaces, "--", *clean, *words]

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end."""
        ended = subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        if check and ended.returncode:
            log = "" if words[0] == "journalctl" else self.run("journalctl", "--no-pager", "-n40", check=False).stdout
            raise AssertionError(f"{words}: {ended.returncode}\n{ended.stdout}{ended.stderr}\n{log}")
        return ended

    def shell(self, script: str) -> str:
        """Run a script inside and return what it printed."""
        return self.run("sh", "-euc", script).stdout

    def properties(self, *names: str) -> dict[str, str]:
        """Properties of the unit, as ``systemctl show`` has them."""
        shown = self.run("systemctl", "show", UNIT, f"--property={','.join(names)}").stdout
        return dict(line.split("=", 1) for line in shown.splitlines())

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Look again and again, for things that no event tells."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s in vain: {what}"
            time.sleep(0.05)

    def _end(self) -> None:
        """Kill container and systemd-nspawn alike, and leave nothing on this machine."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.until(lambda: "populated 0" in (self._group / "cgroup.events").read_text(), "the container's end")
        for folder, _, _ in os.walk(self._group, topdown=False):
            Path(folder).rmdir()
        with contextlib.suppress(FileNotFoundError):
            Path("/run/systemd/nspawn/propagate", self._name).rmdir()


def install_python(machine: Machine) -> None:
    """The packages and the source of this test run, in the place where docs/systemd.md installs them with pip."""
    # A machine that never had it, even where this one has.
    machine.shell(
        f"userdel --force stillwatch 2>/dev/null || true; rm -rf {PREFIX}/.venv/bin {CONFIG.parent}"
        f" /var/lib/stillwatch /var/cache/stillwatch /var/log/stillwatch /etc/systemd/system/{UNIT}*"
    )
    venv = machine.path(PREFIX) / ".venv"
    base = _python_folder()
    home = Path(os.path.realpath(sys.executable)).parent if base is None else PYTHON / "bin"
    (venv / "bin").mkdir()
    (venv / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    (venv / "bin/python").symlink_to(home / Path(os.path.realpath(sys.executable)).name)
    script = venv / "bin/stillwatch"
    script.write_text(
        f"#!{PREFIX}/.venv/bin/python\n"
        f"import sys\nsys.path.insert(0, '{SOURCE}')\nfrom daemon.cli.main import main\nmain()\n"
    )
    script.chmod(0o755)
    if base is not None:
        machine.path("/etc/ld.so.conf.d/stillwatch.conf").write_text(f"{PYTHON}/lib\n")
        machine.run("ldconfig")


def _python_folder() -> Path | None:
    """The interpreter's own folder, None where it is the system's and therefore inside anyway."""
    base = Path(sys.base_prefix).resolve()
    return None if base == Path("/usr") else base


class Journal:
    """The journal of the unit, followed as it is written: what the daemon and what systemd say about it."""

    def __init__(self, machine: Machine) -> None:
        command = machine.command(
            "journalctl", f"--unit={UNIT}", "--output=json", "--all", "--follow", "--no-tail", "--boot"
        )
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.entries: list[dict[str, Any]] = []
        self._queue: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._queue.put(json.loads(line))

    def close(self) -> None:
        # nsenter has a child inside.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first entry, from the last one that was read, that fits."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                entry = self._queue.get(timeout=left)
            except queue.Empty:
                break
            self.entries.append(entry)
            if wanted(entry):
                return entry
        last = "\n".join(str(entry.get("MESSAGE")) for entry in self.entries[-12:])
        raise AssertionError(f"waited {PATIENCE_SECONDS} s in vain; the last entries:\n{last}")

    def event(self, name: str, **facts: Any) -> dict[str, Any]:
        """The daemon's next event of a name with these facts."""

        def fits(entry: dict[str, Any]) -> bool:
            said = event_of(entry)
            return said is not None and said["event"] == name and all(said.get(k) == v for k, v in facts.items())

        return event_of(self.wait_for(fits)) or {}

    def systemd(self, words: str) -> dict[str, Any]:
        """What systemd says next about the unit with these words in it."""
        return self.wait_for(lambda entry: not by_daemon(entry) and words in str(entry["MESSAGE"]))


def by_daemon(entry: dict[str, Any]) -> bool:
    """Whether the daemon wrote an entry of the journal, and not systemd about it."""
    return entry.get("_TRANSPORT") == "stdout" and entry.get("_SYSTEMD_UNIT") == UNIT


def refusal(entry: dict[str, Any]) -> str | None:
    """The one line with which a start is refused, as it is printed before there is a log."""
    text = str(entry["MESSAGE"])
    return text if by_daemon(entry) and text.startswith("stillwatch: ") else None


def event_of(entry: dict[str, Any]) -> dict[str, Any] | None:
    """The event that an entry carries; None when systemd wrote it, or when a start was refused."""
    if not by_daemon(entry) or refusal(entry):
        return None
    try:
        said: dict[str, Any] = json.loads(entry["MESSAGE"])
    except ValueError:
        raise AssertionError(f"no event in the journal: {entry['MESSAGE']!r}") from None
    return said


@contextlib.contextmanager
def journal(machine: Machine) -> Iterator[Journal]:
    """Follow the journal from the boot on."""
    followed = Journal(machine)
    try:
        yield followed
    finally:
        followed.close()
