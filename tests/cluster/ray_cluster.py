"""A real Ray cluster on this machine: a head and nodes that can be killed, in a network of its own.

``python -m tests.cluster.ray_cluster FOLDER`` runs inside ``unshare --net``: it starts the cluster, says so in a file
and then obeys lines on its standard input, so that the test itself needs neither Ray nor that network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

STORE_BYTES = 80_000_000
"""The least that Ray takes."""


def main() -> None:
    from ray.cluster_utils import Cluster

    settings = json.loads(sys.argv[1])
    head = {
        "num_cpus": 0,
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "node_name": "head",
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes: dict[str, Any] = {}

    def add(name: str, **options: Any) -> None:
        nodes[name] = cluster.add_node(
            num_cpus=settings["cpus"], object_store_memory=STORE_BYTES, node_name=name, **options
        )

    for name in settings["nodes"]:
        add(name)
    print(f"ready {cluster.address}", flush=True)
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "kill":
            cluster.remove_node(nodes.pop(rest[0]), allow_graceful=False)
        elif command == "add":
            add(rest[0], env_vars=dict(pair.split("=", 1) for pair in rest[1:]))
        elif command == "stop-head":
            cluster.head_node.kill_gcs_server()
        elif command == "start-head":
            cluster.head_node.start_gcs_server()
        elif command == "run":
            process = subprocess.Popen(rest, env={**os.environ, "STILLWATCH_CLUSTER__ADDRESS": cluster.address})
            print(f"pid {process.pid}", flush=True)
        elif command == "end":
            break
        print(f"did {command}", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
