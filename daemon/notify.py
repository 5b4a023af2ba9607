"""Telling systemd how the service stands (sd_notify(3)); nothing outside of a unit of Type=notify."""

from __future__ import annotations

import os
import socket


def tell(*lines: str) -> None:
    """Send state lines such as ``READY=1`` or ``STATUS=…`` to the service manager, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect(address)
        channel.sendall("\n".join(lines).encode())
