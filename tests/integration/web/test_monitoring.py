"""The web pages over real sockets: what is answered, and what a bad client gets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus

import pytest

from daemon.errors import Kind, StillwatchError
from daemon.observe.listen_address import address_of
from daemon.web import monitoring, server
from daemon.web.monitoring import Answer, serving

pytestmark = pytest.mark.usefixtures("loopback")


async def hello() -> Answer:
    return Answer(b"hello\n")


async def busy() -> Answer:
    raise StillwatchError(Kind.BUSY, "the database is held")


@pytest.fixture
async def port(unused_tcp_port: int) -> AsyncIterator[int]:
    async with serving(f"127.0.0.1:{unused_tcp_port}", {"/hello": hello, "/busy": busy}):
        yield unused_tcp_port


async def raw(port: int, request: bytes) -> bytes:
    """Everything that a request gets, until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def get(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    answer = await raw(port, f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return int(status.split()[1]), {name.lower(): value for name, value in (f.split(": ", 1) for f in fields)}, body


async def test_a_page_is_answered_whole_and_the_connection_ends(port: int) -> None:
    status, fields, body = await get(port, "/hello?a=b")
    assert (status, body) == (200, b"hello\n")
    assert fields["content-length"] == "6"
    assert fields["connection"] == "close"
    assert fields["x-content-type-options"] == "nosniff"


async def test_head_is_the_same_without_the_body(port: int) -> None:
    status, fields, body = await get(port, "/hello", "HEAD")
    assert (status, fields["content-length"], body) == (200, "6", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"])
async def test_only_get_and_head_are_allowed(port: int, method: str) -> None:
    status, fields, _ = await get(port, "/hello", method)
    assert (status, fields["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/hello/", "/../hello", "//hello", "/%68ello", "/<script>", "http://x/hello"])
async def test_any_other_path_is_not_found_and_not_repeated(port: int, path: str) -> None:
    status, _, body = await get(port, path)
    assert (status, body) == (404, b"Not Found\n")


@pytest.mark.parametrize("line", [b"GET /hello", b"GET /hello HTTP/2", b"\x16\x03\x01\x02\x00", b"GET /a b HTTP/1.1"])
async def test_what_is_no_request_is_a_bad_one(port: int, line: bytes) -> None:
    assert (await raw(port, line + b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_a_page_that_cannot_be_made_says_why_with_503(port: int) -> None:
    assert await get(port, "/busy") == (503, (await get(port, "/busy"))[1], b"the database is held\n")


async def test_a_request_that_is_too_long_is_cut_off(port: int) -> None:
    answer = await raw(port, b"GET /hello HTTP/1.1\r\nX: " + b"x" * 2 * server.HEAD_BYTES + b"\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert (await get(port, "/hello"))[0] == 200


@pytest.mark.parametrize(
    "start", [b"", b"GET /hello HTTP/1.1\r\n", b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"]
)
async def test_a_client_that_does_not_finish_is_hung_up_on(
    port: int, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.2)
    answer = await raw(port, start)
    assert answer == b"" or start.startswith(b"POST")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9464", 200), ("[::1]", 200), ("localhost:1", 200), ("stillwatch:9464", 200), ("box.local", 200),
        ("evil.example", 421), ("evil.example:9464", 421), ("127.0.0.1.evil.example", 421),
    ],
)  # fmt: skip
async def test_a_foreign_name_is_refused(port: int, host: str, status: int) -> None:
    answer = await raw(port, f"GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


async def test_everyone_is_answered_although_200_clients_are_idle(port: int) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    for _ in range(3):
        assert (await get(port, "/hello"))[0] == 200
    # The oldest had to go.
    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await idle[0][0].read() == b""
    for _, writer in idle:
        writer.close()


async def test_the_end_does_not_wait_for_a_client(unused_tcp_port: int) -> None:
    async with asyncio.timeout(3):
        async with serving(f":{unused_tcp_port}", {}):
            _, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
            writer.write(b"GET ")
            await asyncio.sleep(0)
        writer.close()


async def test_an_address_that_cannot_be_had_is_a_mistake_in_the_configuration() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        setting = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            StillwatchError, match=r"service\.http = 127\.0\.0\.1:\d+ .*in use.*choose another"
        ) as caught:
            async with serving(setting, {}):
                pass
    assert caught.value.kind is Kind.CONFIG


@pytest.mark.parametrize("setting", ["127.0.0.1:99999", "192.0.2.1:9464"])
async def test_an_address_that_does_not_exist_is_said_in_one_line(setting: str) -> None:
    with pytest.raises(StillwatchError, match=r"service\.http"):
        async with serving(setting, {}):
            pass


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_without_a_host_it_is_this_machine_alone(setting: str, address: tuple[str, int]) -> None:
    assert address_of(setting) == address


def test_an_answer_of_plain_text_has_the_statuss_own_words() -> None:
    assert monitoring.plain(HTTPStatus.OK) == Answer(b"OK\n")
