"""The names that this machine is asked by.

A page of somebody else's can make a browser send requests here by a name of its own (DNS rebinding), but it cannot
choose the header ``Host``: that holds the foreign name.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import cache


def is_known_host(host: str) -> bool:
    """Whether a header ``Host`` is an address, or a name that only this machine or its own network gives.

    >>> [is_known_host(host) for host in ("127.0.0.1:9464", "[::1]:9464", "localhost", "nas:80")]
    [True, True, True, True]
    >>> is_known_host("evil.example:9464"), is_known_host("")
    (False, False)
    """
    name = _without_port(host)
    if not name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        name = name.lower().rstrip(".")
        # Names without a dot are not in the public DNS.
        return "." not in name or name.endswith((".localhost", ".local")) or name in _own_names()
    return True


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


@cache
def _own_names() -> frozenset[str]:
    return frozenset({socket.gethostname().lower()})
