"""Telling systemd how the service stands (sd_notify(3)); nothing outside of a unit of Type=notify."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

_log = logging.getLogger(__name__)


def told() -> bool:
    """Whether a service manager listens."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def tell(*lines: str) -> None:
    """Send state lines such as ``READY=1`` or ``STATUS=…`` to the service manager, if there is one.

    Never waits and never raises: a manager that is restarting or busy misses this one and gets the next.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    message = "\n".join(lines).encode("utf-8", "backslashreplace")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            channel.connect(address)
            channel.send(message)
    except OSError as error:
        _log.warning("the service manager did not hear %s: %s", lines[0], error)


def watchdog_seconds(environ: Mapping[str, str] | None = None, pid: int | None = None) -> float | None:
    """WatchdogSec of the unit (sd_watchdog_enabled(3)): it must be fed within this many seconds; None without one."""
    environ = os.environ if environ is None else environ
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or not environ.get("NOTIFY_SOCKET"):
        return None
    # The variables are inherited by children, who are not meant.
    meant = environ.get("WATCHDOG_PID", "")
    if meant and meant != str(os.getpid() if pid is None else pid):
        return None
    return int(microseconds) / 1e6
