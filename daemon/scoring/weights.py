"""Where weights come from: the package, a local file, pyiqa's cache, or the network when it answers.

Nothing here imports torch until something is really built, so that a host without network and without
the weights says so at once instead of waiting for a minute of retries.
"""

from __future__ import annotations

import os
import socket
import threading
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from daemon.errors import Kind, ScorerError
from daemon.scoring import catalog
from daemon.scoring.metric_table import Local, Metric

PROBE_SECONDS = 2.0
_HUGGING_FACE = "https://huggingface.co"
_OPENAI = "https://openaipublic.azureedge.net"
_PYTORCH = "https://download.pytorch.org"


def require(metric: Metric, local: Path | None) -> bool:
    """Check that the weights can be had; True when something has to be fetched first.

    ``local`` is the setting ``score.weights``. Raises ScorerError within a few seconds when the file cannot
    be used, or when weights are missing and the host that has them does not answer.
    """
    if local is not None:
        _check_local(metric, local)
    absent = catalog.missing(metric, local=local is not None)
    if not absent:
        return False
    obstacle = _obstacle(absent)
    if obstacle is not None:
        raise ScorerError(Kind.WEIGHTS, _not_here(metric, absent, obstacle))
    return True


def _check_local(metric: Metric, local: Path) -> None:
    if metric.local is Local.NONE:
        why = "its weights are more than one file" if metric.weights else "it has no weights"
        raise ScorerError(Kind.WEIGHTS, f"score.weights cannot be used with {metric.name}, {why}: leave it empty")
    if not local.is_file():
        raise ScorerError(Kind.WEIGHTS, f"score.weights names {local}, which is not a file: correct the path")


def _not_here(metric: Metric, absent: tuple[str, ...], obstacle: str) -> str:
    folders = " and ".join(sorted({str(catalog.locate(name).parent) for name in absent}))
    remedy = f"run `stillwatch pull {metric.name}` where there is a network and copy {folders} here"
    if metric.local is not Local.NONE:
        remedy += ", or set score.weights to a local file"
    files = ", ".join(Path(name).name for name in absent)
    return f"weights of {metric.name} are not here ({files}) and {obstacle}: {remedy}"


def _obstacle(absent: tuple[str, ...]) -> str | None:
    """Why nothing can be fetched, or None when every host concerned answers."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return "HF_HUB_OFFLINE forbids fetching them"
    for url in sorted({_origin(name) for name in absent}):
        if not _answers(url):
            return f"{urlsplit(url).hostname} does not answer"
    return None


def _origin(name: str) -> str:
    if name.startswith(("clip/", "~")):
        return _OPENAI
    if name.startswith("checkpoints/resnet"):
        return _PYTORCH
    return os.environ.get("HF_ENDPOINT") or _HUGGING_FACE


def _answers(url: str) -> bool:
    """Whether the host, or the proxy in front of it, takes a TCP connection within PROBE_SECONDS.

    In a thread of its own, as looking up a name cannot be given a deadline.
    """
    address = _address(url)
    answered = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection(address, timeout=PROBE_SECONDS).close()
        except OSError:
            return
        answered.set()

    thread = threading.Thread(target=knock, name="probe", daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answered.is_set()


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(host):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or host, parts.port or (443 if parts.scheme == "https" else 80)
