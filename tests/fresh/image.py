"""The image `light`, built on a minimal Debian with buildah and run with bubblewrap: no container runtime is needed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.fresh.machine import ROOT, FreshMachine
from tests.fresh.pip_settings import PipSettings

TOOLS = ("debootstrap", "unshare", "chroot", "git", "buildah", "bwrap")
BASE, LIGHT = "localhost/stillwatch-base", "localhost/stillwatch:light"
USER_ID = 10001


@dataclass(frozen=True, slots=True)
class Buildah:
    """buildah with a store of its own in ``folder``."""

    folder: Path

    def __call__(self, *arguments: str) -> str:
        """Run buildah; returns what it printed."""
        places = ["--root", str(self.folder / "store"), "--runroot", str(self.folder / "run")]
        done = subprocess.run(["buildah", *places, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"buildah {arguments[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout.strip()

    def import_base(self, machine: FreshMachine) -> None:
        """Make the image BASE of a machine's root file system."""
        container = self("from", "scratch")
        self("copy", "--quiet", container, str(machine.root), "/")
        self("commit", "--quiet", "--rm", container, BASE)

    def build(self, target: str, tag: str) -> None:
        """Build a target of the Containerfile on BASE, with pip's settings and the folders that they name."""
        pip = PipSettings.read()
        volumes = [f"--volume={path}:{path}:ro" for path in pip.paths()]
        options = ["--isolation=chroot", "--network=host", "--format=docker", f"--target={target}", f"--tag={tag}"]
        arguments = [f"--build-arg=BASE={BASE}", f"--build-arg=PIP_OPTIONS={' '.join(pip.as_arguments())}"]
        self("build", *options, *arguments, *volumes, str(ROOT))

    def config(self, image: str) -> dict[str, Any]:
        """What the image says of itself: user, entry point, environment, health check."""
        config: dict[str, Any] = json.loads(self("inspect", "--type=image", image))["Docker"]["config"]
        return config

    def mount(self, image: str) -> Path:
        """The root file system of a container of the image."""
        return Path(self("mount", self("from", image)))


@dataclass(frozen=True, slots=True)
class Container:
    """A root file system that runs as the image says, read-only but for its volumes (host folders) and /dev/shm."""

    root: Path
    config: Mapping[str, Any]
    volumes: Mapping[str, Path]

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line that runs the image's entry point with ``arguments``, as the image's user."""
        binds = [word for place, folder in self.volumes.items() for word in ("--bind", str(folder), place)]
        variables = [word for entry in self.config["Env"] for word in ("--setenv", *entry.split("=", 1))]
        as_user = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups", "--bounding-set=-all"]
        return [
            *("bwrap", "--ro-bind", str(self.root), "/", "--proc", "/proc", "--dev", "/dev"),
            *("--perms", "1777", "--tmpfs", "/dev/shm", *binds),
            # No user namespace: the user in there is a real one, and not root.
            *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--die-with-parent"),
            *("--clearenv", *variables, "--chdir", self.config["WorkingDir"]),
            *("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"),
            *("--", *as_user, *self.config["Entrypoint"], *arguments),
        ]

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of stillwatch to its end."""
        command = self._with(variables).command(arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command of stillwatch; its log comes on ``stderr``."""
        command = self._with(variables).command(arguments)
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def _with(self, variables: Mapping[str, str]) -> Container:
        entries = [*self.config["Env"], *(f"{name}={value}" for name, value in variables.items())]
        return Container(self.root, {**self.config, "Env": entries}, self.volumes)


def terminate(container: subprocess.Popen[str]) -> None:
    """Send TERM to what runs inside, as a runtime does to the first process."""
    below = psutil.Process(container.pid).children(recursive=True)
    # The service has children of its own.
    inside = next(process for process in below if process.name() != "bwrap")
    os.kill(inside.pid, signal.SIGTERM)
