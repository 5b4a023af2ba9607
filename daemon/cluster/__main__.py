"""``python -m daemon.cluster``: the process that speaks with Ray."""

from daemon.cluster.driver import main

main()
