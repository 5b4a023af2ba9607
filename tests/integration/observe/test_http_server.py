"""The web pages over real sockets: what is answered, and what a bad client gets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest

from daemon.errors import Kind, StillwatchError
from daemon.observe import http_server
from daemon.observe.http_server import Answer, address_of, serving

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
    answer = await raw(port, f"{method} {path} HTTP/1.1\r\nHost: anything.example\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return int(status.split()[1]), dict(field.split(": ", 1) for field in fields), body


async def test_a_page_is_answered_whole_and_the_connection_ends(port: int) -> None:
    status, fields, body = await get(port, "/hello?a=b")
    assert (status, body) == (200, b"hello\n")
    assert fields["Content-Length"] == "6"
    assert fields["Connection"] == "close"
    assert fields["X-Content-Type-Options"] == "nosniff"


async def test_head_is_the_same_without_the_body(port: int) -> None:
    status, fields, body = await get(port, "/hello", "HEAD")
    assert (status, fields["Content-Length"], body) == (200, "6", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"])
async def test_only_get_and_head_are_allowed(port: int, method: str) -> None:
    status, fields, _ = await get(port, "/hello", method)
    assert (status, fields["Allow"]) == (405, "GET, HEAD")


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
    answer = await raw(port, b"GET /hello HTTP/1.1\r\nX: " + b"x" * 2 * http_server.REQUEST_BYTES + b"\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    assert (await get(port, "/hello"))[0] == 200


async def test_a_client_that_says_nothing_is_hung_up_on(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.2)
    assert await raw(port, b"GET /hello HTTP/1.1\r\n") == b""


async def test_more_clients_than_allowed_are_hung_up_on_and_the_rest_is_served(port: int) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(http_server.MAX_CONNECTIONS)]
    assert await raw(port, b"GET /hello HTTP/1.1\r\n\r\n") == b""
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
    async with asyncio.timeout(5):
        while not await raw(port, b"GET /hello HTTP/1.1\r\n\r\n"):
            pass


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
    assert http_server.plain(HTTPStatus.OK) == Answer(b"OK\n")
