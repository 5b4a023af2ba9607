"""Serving the review page: on TCP with its token, on a Unix socket by its mode."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from daemon.config.schema import Config
from daemon.errors import Kind, StillwatchError
from daemon.store.store import Store
from daemon.web.review import reviewing

pytestmark = pytest.mark.usefixtures("loopback")


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> str:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    try:
        return (await reader.read()).decode()
    finally:
        writer.close()


@pytest.mark.usefixtures("store")
async def test_on_tcp_the_printed_address_is_needed(config: Config) -> None:
    async with reviewing(config, "127.0.0.1:0", "--port") as (address,):
        parts = urlsplit(address)
        whom = ("127.0.0.1", parts.port)
        assert (await answer(*await asyncio.open_connection(*whom), "/")).startswith("HTTP/1.1 403 ")
        welcome = await answer(*await asyncio.open_connection(*whom), f"/?{parts.query}")
        assert welcome.startswith("HTTP/1.1 303 ")


@pytest.mark.usefixtures("store")
async def test_a_unix_socket_goes_by_its_mode(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "review.sock"
    mask = os.umask(0)
    try:
        async with reviewing(config, str(path), "--socket") as addresses:
            assert addresses == [str(path)]
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert (await answer(*await asyncio.open_unix_connection(path), "/")).startswith("HTTP/1.1 200 ")
            with pytest.raises(StillwatchError, match="another process serves it") as caught:
                async with reviewing(config, str(path), "--socket"):
                    pass
            assert caught.value.kind is Kind.CONFIG
    finally:
        os.umask(mask)
    assert not path.exists()


async def test_a_socket_that_was_left_behind_is_replaced_and_other_files_are_not(
    config: Config, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "review.sock"
    server = await asyncio.start_unix_server(lambda *_: None, path)
    server.close()
    async with reviewing(config, str(path), "--socket"):
        assert (await answer(*await asyncio.open_unix_connection(path), "/")).startswith("HTTP/1.1 200 ")
    path.write_text("mine")
    with pytest.raises(StillwatchError, match="cannot be listened on"):
        async with reviewing(config, str(path), "--socket"):
            pass
    assert path.read_text() == "mine"


@pytest.mark.usefixtures("store")
async def test_the_end_does_not_wait_for_an_open_list(config: Config, tmp_path: Path) -> None:
    path = str(tmp_path / "review.sock")
    async with asyncio.timeout(10):
        async with reviewing(config, path, "--socket"):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET /changes HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.usefixtures("store")
async def test_a_page_is_served_although_200_clients_are_idle(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "review.sock"
    async with reviewing(config, str(path), "--socket"):
        idle = [await asyncio.open_unix_connection(path) for _ in range(200)]
        for _ in range(3):
            assert (await answer(*await asyncio.open_unix_connection(path), "/")).startswith("HTTP/1.1 200 ")
        for _, writer in idle:
            writer.close()
