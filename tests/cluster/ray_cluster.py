"""A real Ray cluster on this machine, in a network of its own: a head, and nodes that can be killed.

``RayCluster`` starts this file as a process under ``unshare --net`` and tells it what to do, line by line, so that the
tests need neither Ray nor its network.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
STORE_BYTES = 80_000_000
"""Ray takes no less."""


class RayCluster:
    """The cluster as long as the context lasts. ``inside`` makes a command run in its network."""

    def __init__(self, *nodes: str, cpus: int = 1) -> None:
        self._nodes = nodes
        self._cpus = cpus
        self.token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.address = ""

    def __enter__(self) -> Self:
        command = f"ip link set lo up && exec {sys.executable} -m tests.cluster.ray_cluster {self._cpus}"
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

    def do(self, *words: str) -> None:
        """``add NAME [KEY=VALUE...]``, ``kill NAME``, ``blind NAME FOLDER``, ``stop-head``, ``start-head``."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        self._answer("did")

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._process.pid}/ns/net", *command]

    def _answer(self, wanted: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(f"{wanted} "):
                return line.split(maxsplit=1)[1].strip()
        raise AssertionError("the cluster has ended")


def _serve(cpus: int) -> None:
    from ray.cluster_utils import Cluster

    start = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES, "node_name": "head"}
    cluster = Cluster(initialize_head=True, head_node_args=start)
    nodes: dict[str, Any] = {}
    blind: list[subprocess.Popen[bytes]] = []
    print(f"ready {cluster.address}", flush=True)
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "add":
            nodes[rest[0]] = cluster.add_node(
                num_cpus=cpus,
                object_store_memory=STORE_BYTES,
                node_name=rest[0],
                env_vars=dict(pair.split("=", 1) for pair in rest[1:]),
            )
        elif command == "kill":
            cluster.remove_node(nodes.pop(rest[0]), allow_graceful=False)
        elif command == "blind":
            blind.append(_blind(cluster.address, cpus, *rest))
        elif command == "stop-head":
            cluster.head_node.kill_gcs_server()
        elif command == "start-head":
            cluster.head_node.start_gcs_server()
        elif command == "end":
            break
        print(f"did {command}", flush=True)
    for process in blind:
        process.terminate()
    cluster.shutdown()


def _blind(address: str, cpus: int, name: str, folder: str) -> subprocess.Popen[bytes]:
    """A node in which a folder is empty."""
    ray = Path(sys.executable).with_name("ray")
    start = f"{ray} start --address={address} --num-cpus={cpus} --object-store-memory={STORE_BYTES} --node-name={name}"
    return subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none {folder} && exec {start} --block"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
