"""``stillwatch review``: serve the review page here and open it, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from daemon.config.schema import Config
from daemon.logs import setup
from daemon.store.store import Store
from daemon.web.review import reviewing


def serve(config: Config, video: str | None, *, port: int, socket: Path | None, open_browser: bool) -> None:
    """Serve until a signal ends it. Raises StillwatchError when it cannot listen, or does not know the video."""
    setup.configure(config.log.format, "warning")
    setting, key = (str(socket.absolute()), "--socket") if socket is not None else (f"127.0.0.1:{port}", "--port")
    asyncio.run(_serve(config, video, setting, key, open_browser=open_browser))


async def _serve(config: Config, video: str | None, setting: str, key: str, *, open_browser: bool) -> None:
    path = "/" if video is None else f"/films/{await _id_of(config, video)}"
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with reviewing(config, setting, key) as addresses:
        address = addresses[0] if socket_only(addresses[0]) else _with_path(addresses[0], path)
        print(address, flush=True)
        if open_browser and not socket_only(address) and _has_display():
            await asyncio.to_thread(webbrowser.open, address)
        await stopped.wait()


def socket_only(address: str) -> bool:
    """Whether an address is the path of a Unix socket, which no browser opens by itself."""
    return address.startswith("/")


def _with_path(address: str, path: str) -> str:
    return urlunsplit(urlsplit(address)._replace(path=path))


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("BROWSER"))


async def _id_of(config: Config, video: str) -> int:
    store = await Store.open(config.database, create=False)
    try:
        return (await store.videos.find(video)).id
    finally:
        await store.close()
