"""Where something listens: the settings ``service.http`` and ``service.review``."""

from __future__ import annotations

LOOPBACK = "127.0.0.1"


def address_of(setting: str) -> tuple[str, int]:
    """Host and port of a setting; without a host it is this machine alone.

    >>> address_of("[::1]:9464"), address_of(":9464")
    (('::1', 9464), ('127.0.0.1', 9464))
    """
    host, _, port = setting.rpartition(":")
    return host.strip("[]") or LOOPBACK, int(port)


def is_socket_path(setting: str) -> bool:
    """Whether a setting is the path of a Unix socket rather than a host and a port.

    >>> is_socket_path("/run/stillwatch/review.sock"), is_socket_path("127.0.0.1:8420")
    (True, False)
    """
    return "/" in setting
