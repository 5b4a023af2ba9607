"""Closed to others: what a request needs before any page is asked."""

from __future__ import annotations

import pytest

from daemon.web.guard import CSRF_HEADER, MAX_BODY_BYTES
from daemon.web.review import ROUTES
from tests.integration.web.client import HOST, Client

ADDRESSES = sorted((method, one.path) for one in ROUTES for method in (one.methods or set()) - {"HEAD"})
"""Every one that there is, so that new ones are tried as well."""
NO_NUMBERS = ["x", "-1", "99999999999999999999", "1e3", "0x1", "\u0663", "1;DROP", "..", "%00", ""]


def filled(path: str, **parts: str) -> str:
    for name, value in {"film": "1", "frame": "3", "rank": "1", "name": "film.js", **parts}.items():
        path = path.replace(f"{{{name}}}", value)
    return path


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_every_address_is_closed_to_others(client: Client, film: int, method: str, path: str) -> None:
    ours = {"origin": f"http://{HOST}", CSRF_HEADER: client.secrets.csrf}
    for wrong, status in (
        ({"cookie": ""}, 403),
        ({"cookie": "stillwatch_8420=guess"}, 403),
        ({"host": "evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
    ):
        answer = await client.ask(method, filled(path, film=str(film)), {**ours, **wrong}, b"{}")
        assert (answer.status, "film.mp4" in answer.text) == (status, False)
    if method == "POST":
        for missing in ours:
            headers = {key: value for key, value in ours.items() if key != missing}
            assert (await client.ask(method, filled(path), headers, b"{}")).status == 403
    for other in {"PUT", "DELETE", "OPTIONS", "TRACE"}:
        assert (await client.ask(other, filled(path), ours, b"{}")).status == 405


@pytest.mark.parametrize(("method", "path"), [one for one in ADDRESSES if "{film}" in one[1]])
async def test_every_address_of_what_is_not_there_is_not_found(
    client: Client, film: int, method: str, path: str
) -> None:
    ours = {"origin": f"http://{HOST}", CSRF_HEADER: client.secrets.csrf}
    wanted = [filled(path, film=odd) for odd in ("2", "0", *NO_NUMBERS)]
    for part in ("frame", "rank"):
        if f"{{{part}}}" in path and "/strip/" not in path:
            wanted += [filled(path, film=str(film), **{part: odd}) for odd in ("60", *NO_NUMBERS)]
    for one in wanted:
        answer = await client.ask(method, one, ours, b"{}")
        assert (one, answer.status) == (one, 404)


async def test_without_the_token_nothing_is_shown(client: Client) -> None:
    for cookie in ("", "stillwatch_8420=", "stillwatch_8420=guess", f"stillwatch_1={client.secrets.session}"):
        answer = await client.get("/", {"cookie": cookie})
        assert (answer.status, "token" in answer.text) == (403, True)
    assert (await client.get("/static/style.css", {"cookie": ""})).status == 403


async def test_the_token_becomes_a_cookie_and_leaves_the_address(client: Client) -> None:
    answer = await client.get(f"/films/3?q=a%20b&token={client.secrets.token}", {"cookie": ""})
    assert (answer.status, answer.headers["location"]) == (303, "/films/3?q=a+b")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"stillwatch_8420={client.secrets.session};")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.secrets.token not in cookie


async def test_the_token_does_not_lead_to_another_site(client: Client) -> None:
    answer = await client.get(f"//evil.example/?token={client.secrets.token}", {"cookie": ""})
    assert answer.headers["location"] == "/" or answer.headers["location"].startswith("/evil")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8420", "", "127.0.0.1.evil.example"])
async def test_a_foreign_host_is_refused(client: Client, host: str) -> None:
    assert (await client.get("/", {"host": host})).status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1:1", "http://127.0.0.1:9999"])
async def test_a_foreign_origin_is_refused(client: Client, origin: str) -> None:
    assert (await client.get("/", {"origin": origin})).status == 403


async def test_a_change_needs_our_origin_and_the_second_secret(client: Client) -> None:
    right = {"origin": f"http://{HOST}", CSRF_HEADER: client.secrets.csrf}
    for wrong in ({}, {"origin": right["origin"]}, {CSRF_HEADER: right[CSRF_HEADER]}, {**right, CSRF_HEADER: "x"},
                  {**right, "origin": "null"}, {**right, "sec-fetch-site": "cross-site"}):  # fmt: skip
        assert (await client.ask("POST", "/films/1", wrong)).status == 403
    assert (await client.ask("POST", "/films/1", right)).status == 405
    assert (await client.ask("POST", "/films/1", {**right, "content-length": str(MAX_BODY_BYTES + 1)})).status == 413


async def test_every_answer_has_the_policy(client: Client) -> None:
    for answer in (await client.get("/"), await client.get("/nothing"), await client.get("/", {"cookie": ""})):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    ["/films/1", "/films/99999999999999999999", "/films/-1", "/films/x", "/films/1/frames/1.jpg", "/films/1/stills/1",
     "/films/1/stills/..%2f..%2fetc%2fpasswd", "/static/..%2freview.py", "/static/none.js", "/films/1/strip/1.jpg",
     "/films/1/curve?columns=99999999999"],
)  # fmt: skip
async def test_what_is_not_there_is_not_found(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status == 404
    assert answer.json["error"]
