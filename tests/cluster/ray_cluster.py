"""A real Ray cluster on this machine, in a network of its own: a head, and nodes that can be killed.

``RayCluster`` starts this file as a process under ``unshare --net`` and tells it what to do, line by line, so that the
tests need neither Ray nor its network.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
STORE_BYTES = 80_000_000
"""Ray takes no less."""
MOUNT = "fuse-overlayfs"
"""A file system that is a process, which can be stopped."""


class RayCluster:
    """The cluster as long as the context lasts. ``inside`` makes a command run in its network."""

    def __init__(self, *nodes: str, cpus: int = 1, spills: bool = True) -> None:
        """Without ``spills`` what does not fit into the memory for objects is nowhere kept, as on a full disk."""
        self._nodes = nodes
        self._arguments = str(cpus), "spills" if spills else "full"
        self.token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.address = ""

    def __enter__(self) -> Self:
        command = f"ip link set lo up && exec {sys.executable} -m tests.cluster.ray_cluster {' '.join(self._arguments)}"
        self._process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", command],
            cwd=ROOT,
            env={**os.environ, **self.token, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            self.address = self._answer("ready")
            for name in self._nodes:
                self.do("add", name)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._process.communicate("end\n", timeout=60)
        finally:
            self._process.kill()
            self._process.wait()

    def do(self, *words: str) -> str:
        """One line of a command; what is to be said of it.

        ``add NAME [KEY=VALUE...]``, ``kill NAME``, ``stop-head``, ``start-head``. ``blind NAME FOLDER``: a node in which
        the folder is empty. ``mount NAME FOLDER``: one that has it by a file system of its own, which ``stall NAME``
        stops. ``stranger NAME``: one with another token. ``fill``: no more fits into any object store.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        return self._answer("did")

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._process.pid}/ns/net", *command]

    def _answer(self, wanted: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(f"{wanted} "):
                return line.split(maxsplit=1)[1].strip()
        raise AssertionError("the cluster has ended")


class _Served:
    """The other side: each command is a method."""

    def __init__(self, cpus: int, store: str) -> None:
        from ray.cluster_utils import Cluster

        head: dict[str, Any] = {"num_cpus": 0, "include_dashboard": False, "node_name": "head"}
        head["object_store_memory"] = STORE_BYTES
        if store == "full":
            head["_system_config"] = {"automatic_object_spilling_enabled": False, "local_fs_capacity_threshold": 0.0}
        self._cpus = cpus
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        self._nodes: dict[str, Any] = {}
        self._apart: dict[str, subprocess.Popen[bytes]] = {}
        self._held: list[Any] = []

    def add(self, name: str, *variables: str) -> None:
        self._nodes[name] = self._cluster.add_node(
            num_cpus=self._cpus,
            object_store_memory=STORE_BYTES,
            node_name=name,
            env_vars=dict(pair.split("=", 1) for pair in variables),
        )

    def kill(self, name: str) -> None:
        self._cluster.remove_node(self._nodes.pop(name), allow_graceful=False)

    def stop_head(self) -> None:
        self._cluster.head_node.kill_gcs_server()

    def start_head(self) -> None:
        self._cluster.head_node.start_gcs_server()

    def blind(self, name: str, folder: str) -> None:
        self._start_apart(name, f"mount -t tmpfs none {folder}")

    def mount(self, name: str, folder: str) -> None:
        self._start_apart(name, f"{MOUNT} -o lowerdir={folder} {folder}")

    def _start_apart(self, name: str, mount: str) -> None:
        """A node with a mount that only it sees."""
        self._apart[name] = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", f"{mount} && exec {' '.join(self._start(name))}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _start(self, name: str) -> list[str]:
        """The command that starts a node by itself."""
        ray = str(Path(sys.executable).with_name("ray"))
        store = f"--object-store-memory={STORE_BYTES}"
        cpus = f"--num-cpus={self._cpus}"
        return [ray, "start", f"--address={self.address}", cpus, store, f"--node-name={name}", "--block"]

    def stall(self, name: str) -> str:
        """How many processes are stopped."""
        there, stopped = Path(f"/proc/{self._apart[name].pid}/ns/mnt").readlink(), 0
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                with suppress(OSError):
                    words = (process / "cmdline").read_bytes()
                    if words.startswith(MOUNT.encode()) and (process / "ns" / "mnt").readlink() == there:
                        os.kill(int(process.name), signal.SIGSTOP)
                        stopped += 1
        return str(stopped)

    def stranger(self, name: str) -> str:
        """What Ray says to it."""
        other = {**os.environ, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        done = subprocess.run(self._start(name), env=other, capture_output=True, text=True, timeout=120, check=False)
        return f"{done.returncode} {' '.join(done.stderr.split())[-600:]}"

    def fill(self) -> str:
        """What the store of each node says in the end."""
        import ray

        ray.init(address=self.address, log_to_driver=False, include_dashboard=False)

        @ray.remote(num_cpus=0)
        class Ballast:
            def fill(self) -> str:
                self.held, said = [], ""
                for size in (8_000_000, 800_000, 110_000):
                    try:
                        while True:
                            self.held.append(ray.put(bytes(size)))
                    except ray.exceptions.RayError as error:
                        said = type(error).__name__
                return said

        for node in ray.nodes():
            at = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            self._held.append(Ballast.options(scheduling_strategy=at).remote())
        return " ".join(ray.get([one.fill.remote() for one in self._held]))

    def end(self) -> None:
        for process in self._apart.values():
            process.terminate()
        self._cluster.shutdown()


def _serve(cpus: int, store: str) -> None:
    served = _Served(cpus, store)
    print(f"ready {served.address}", flush=True)
    for line in sys.stdin:
        command, *rest = line.split()
        said = getattr(served, command.replace("-", "_"))(*rest)
        if command == "end":
            break
        print(f"did {said}", flush=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2])
