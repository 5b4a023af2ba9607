"""Hooks with real commands and a real HTTP server: what they get, and what happens when they do not work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from daemon.config.service import NotifyConfig
from daemon.errors import ConfigError
from daemon.events import Ended, FramesScored
from daemon.model import FileIdentity, Method, Status, Still, VideoRecord
from daemon.observe import webhooks
from daemon.observe.webhooks import Webhooks, payload_of, public

NAME = os.fsdecode(b'/in/caf\xe9 "two\nlines" $(touch pwned).mp4')


def ended(status: Status = Status.DONE, video_id: int = 1, kind: str | None = None) -> Ended:
    record = VideoRecord(
        id=video_id, file=FileIdentity(Path(NAME), "f" * 64, 1, 1), status=status, metric="niqe", lower_better=True,
        scorer="niqe", info=None, frames_decoded=9, frames_scored=9, damaged=False, mixed=False,
        error_kind=kind, error=kind and "a reason", attempts=0,
    )  # fmt: skip
    still = Still(1, 5, 0.2, 3.25, Path("/out/a_r01.png"), 8, 8, 100, "0" * 64, Method.BATCH)
    return Ended(record, (still,) if status is Status.DONE else ())


class Log:
    """What the hooks say, event by event."""

    def __init__(self, of: Log | None = None, **bound: Any) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = of.said if of else []
        self.more: asyncio.Event = of.more if of else asyncio.Event()
        self.bound = bound

    def bind(self, **facts: Any) -> Log:
        return Log(self, **facts)

    def info(self, event: str, **facts: Any) -> None:
        self.said.append((event, {**self.bound, **facts}))
        self.more.set()

    warning = info

    async def wait(self, count: int = 1) -> list[tuple[str, dict[str, Any]]]:
        async with asyncio.timeout(30):
            while len(self.said) < count:
                self.more.clear()
                await self.more.wait()
        return self.said


@pytest.fixture
async def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(webhooks, "log", log)
    return log


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Webhooks]:
    is_global: list[float] = []

    async def sleep(seconds: float) -> None:
        is_global.append(seconds)

    one = Webhooks(NotifyConfig.model_validate(settings), sleep)
    one.is_global = is_global  # type: ignore[attr-defined]
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def script(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


# The command


async def test_a_command_gets_json_on_standard_input_and_the_facts_in_its_environment(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    code = (
        "import json, os, sys; given = json.load(sys.stdin); print('noise');"
        "seen = {k: v for k, v in os.environ.items() if k.startswith(('STILLWATCH_', 'NOTIFY'))};"
        "open(sys.argv[1], 'w').write(json.dumps([given, seen, os.environb[b'STILLWATCH_VIDEO'].hex()]))"
    )
    async with running(command=script(code, str(tmp_path / "given"))) as one:
        one.tell(ended())
        assert (await log.wait())[0][0] == "notify.sent"
    given, seen, video = json.loads((tmp_path / "given").read_text())
    assert given == {
        "event": "video.done",
        "video": NAME.replace("\udce9", "\\udce9"),
        "video_id": 1,
        "status": "done",
        "error_kind": None,
        "error": None,
        "stills": [{"path": "/out/a_r01.png", "rank": 1, "frame": 5, "time_s": 0.2, "score": 3.25}],
    }
    assert set(seen) == {f"STILLWATCH_{name}" for name in ("EVENT", "VIDEO", "VIDEO_ID", "STATUS")}
    assert bytes.fromhex(video) == os.fsencode(NAME)
    assert not (tmp_path / "pwned").exists()


async def test_a_command_that_fails_is_tried_again_with_growing_pauses_and_then_given_up(log: Log) -> None:
    command = script("import sys; sys.exit('no such channel')")
    async with running(command=command, attempts=3) as one:
        one.tell(ended())
        (said,) = await log.wait()
        assert one.is_global == [1.0, 2.0]  # type: ignore[attr-defined]
    assert said == (
        "notify.failed",
        {
            "video": NAME, "video_id": 1, "target": sys.executable, "attempts": 3,
            "reason": "it ended with code 1: no such channel",
        },
    )  # fmt: skip


@asynccontextmanager
async def all_ended_of(command: list[str], **settings: Any) -> AsyncIterator[None]:
    """Hooks with a command of which some process holds the pipe open that is its last argument; none does at the end.

    The pipe opens once such a process has it open, and ends once nobody has.
    """
    os.mkfifo(command[-1])
    with_end = asyncio.create_task(asyncio.to_thread(Path(command[-1]).read_bytes))
    async with running(command=command, attempts=1, **settings) as one:
        one.tell(ended())
        yield
        async with asyncio.timeout(20):
            assert await with_end == b""


async def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path, log: Log) -> None:
    code = (
        "import subprocess, sys, time;"
        "subprocess.Popen([sys.executable, '-c', 'import sys, time; f = open(sys.argv[1], \"w\"); time.sleep(600)',"
        " sys.argv[1]]); time.sleep(600)"
    )
    async with all_ended_of(script(code, str(tmp_path / "alive")), timeout_seconds=3.0):
        (said,) = await log.wait()
    assert said[1]["reason"] == "it took longer than 3 s"


async def test_what_a_command_leaves_running_ends_with_it(tmp_path: Path, log: Log) -> None:
    code = (
        "import subprocess, sys;"
        "subprocess.Popen([sys.executable, '-c', 'import sys, time; f = open(sys.argv[1], \"w\");"
        " print(1, flush=True); time.sleep(600)', sys.argv[1]], stdout=subprocess.PIPE).stdout.readline()"
    )
    async with all_ended_of(script(code, str(tmp_path / "alive")), timeout_seconds=60.0):
        assert (await log.wait())[0][0] == "notify.sent"


async def test_a_command_that_says_much_fills_nothing(log: Log) -> None:
    code = "import os, sys; sys.exit('x' * 50_000_000 + os.readlink('/proc/self/fd/2'))"
    async with running(command=script(code), timeout_seconds=60.0, attempts=1) as one:
        one.tell(ended())
        (said,) = await log.wait()
    assert re.search(r"xpipe:\[\d+\]$", said[1]["reason"]), "its words pass through a pipe, and not through a file"
    assert len(said[1]["reason"]) < 400, "no more than their end is kept"


async def test_a_command_is_not_told_the_settings(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLWATCH_NOTIFY__URL", "https://hooks.example/T0K3N")
    code = "import os, sys; open(sys.argv[1], 'w').write(repr(dict(os.environ)))"
    async with running(command=script(code, str(tmp_path / "given"))) as one:
        one.tell(ended())
        await log.wait()
    assert "T0K3N" not in (tmp_path / "given").read_text()


async def test_a_program_that_is_not_there_stops_the_start() -> None:
    with pytest.raises(ConfigError, match=r"notify\.command: there is no program 'no-such-program'"):
        Webhooks(NotifyConfig(command=["no-such-program"]))


async def test_a_program_that_went_away_is_not_tried_again(tmp_path: Path, log: Log) -> None:
    program = tmp_path / "hook"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    async with running(command=[str(program)]) as one:
        program.unlink()
        one.tell(ended())
        (said,) = await log.wait()
    assert (said[1]["attempts"], said[1]["reason"]) == (1, "it cannot be run: No such file or directory")


async def test_a_command_that_reads_nothing_is_fine(log: Log) -> None:
    async with running(command=["true"]) as one:
        one.tell(ended())
        assert (await log.wait())[0][0] == "notify.sent"


# What is told


@pytest.mark.parametrize(
    ("when", "told"), [(["done"], [1]), (["failed", "rejected"], [2, 3]), ([], []), (["missing"], [4])]
)
async def test_only_the_ends_that_are_asked_for_are_told(log: Log, when: Sequence[str], told: list[int]) -> None:
    async with running(command=["true"], when=when) as one:
        for number, status in enumerate((Status.DONE, Status.FAILED, Status.REJECTED, Status.MISSING), start=1):
            one.tell(ended(status, number))
        one.tell(FramesScored(3))
        said = await log.wait(len(told))
        assert [facts["video_id"] for _, facts in said] == told


async def test_a_failure_carries_its_reason() -> None:
    payload = payload_of(ended(Status.FAILED, kind="export"))
    assert (payload["event"], payload["error_kind"], payload["error"]) == ("video.failed", "export", "a reason")
    assert payload["stills"] == []


async def test_more_than_can_wait_are_dropped_and_said(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "QUEUE_VIDEOS", 2)
    one = Webhooks(NotifyConfig(command=["true"]))
    for number in range(4):
        one.tell(ended(video_id=number))
    assert [(event, facts["video_id"]) for event, facts in log.said] == [("notify.dropped", 2), ("notify.dropped", 3)]


async def test_at_the_end_what_waits_is_delivered_in_the_time_that_is_left_and_the_rest_is_said(log: Log) -> None:
    async with running(command=["true"]) as one:
        one.tell(ended(video_id=1))
        await one.finish(10.0)
        assert [event for event, _ in log.said] == ["notify.sent"]
    async with running(command=["sleep", "600"]) as one:
        for number in (2, 3):
            one.tell(ended(video_id=number))
        await asyncio.sleep(0)
        await one.finish(0.2)
    assert [(event, facts["video_id"]) for event, facts in log.said[1:]] == [
        ("notify.dropped", 2),
        ("notify.dropped", 3),
    ]


# The address


class Server(ThreadingHTTPServer):
    """Answers with the codes that it is given, one by one; the last stays."""

    daemon_threads = True

    def __init__(self, *codes: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.codes = list(codes)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.hold = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/services/T0K3N?key=T0K3N"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        code = self.server.codes.pop(0) if len(self.server.codes) > 1 else self.server.codes[0]
        if code == 0:
            self.server.hold.wait(20)
            return
        self.send_response(code)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server(loopback: None) -> Iterator[Server]:
    with Server(200) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.hold.set()
        server.shutdown()
        thread.join()


async def test_an_address_gets_the_json_as_a_post(log: Log, server: Server) -> None:
    async with running(url=server.url) as one:
        one.tell(ended())
        assert await log.wait() == [
            (
                "notify.sent",
                {
                    "video": NAME, "video_id": 1,
                    "target": f"http://127.0.0.1:{server.server_port}",
                },
            )
        ]  # fmt: skip
    ((method, path, headers, body),) = server.requests
    assert (method, path) == ("POST", "/services/T0K3N?key=T0K3N")
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == payload_of(ended())


@pytest.mark.parametrize(
    ("codes", "requests", "event", "reason"),
    [
        ([503, 429, 204], 3, "notify.sent", None),
        ([500], 3, "notify.failed", "the server answered 500"),
        ([404], 1, "notify.failed", "the server answered 404"),
        ([302], 1, "notify.failed", "the server answered 302"),
    ],
)
async def test_only_what_may_pass_is_tried_again(
    log: Log, server: Server, codes: list[int], requests: int, event: str, reason: str | None
) -> None:
    server.codes = codes
    async with running(url=server.url, attempts=3) as one:
        one.tell(ended())
        (said,) = await log.wait()
    assert (said[0], said[1].get("reason"), len(server.requests)) == (event, reason, requests)


async def test_a_server_that_does_not_answer_is_given_up_in_time(log: Log, server: Server) -> None:
    server.codes = [0]
    async with running(url=server.url, timeout_seconds=0.3, attempts=1) as one:
        one.tell(ended())
        (said,) = await log.wait()
        server.hold.set()
    assert said[0] == "notify.failed"
    assert said[1]["reason"] in ("no answer within 0.3 s", "no answer in time")


@pytest.mark.parametrize(
    ("sends", "is_proxy"),
    [(b"HTTP/1.1 200 OK\r\n", False), (b"", False), (b"HTTP/1.1 200 Connection established\r\n", True)],
)
async def test_a_server_or_proxy_that_answers_drop_by_drop_keeps_no_thread(
    log: Log, loopback: None, monkeypatch: pytest.MonkeyPatch, sends: bytes, is_proxy: bool
) -> None:
    """Each drop comes within the limit, so that no single read takes too long."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(sends)
                while not over.wait(0.05):
                    connection.sendall(b"x")

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        if is_proxy:
            monkeypatch.setenv("https_proxy", url)
            url = "https://hooks.example/"
        async with running(url=url, timeout_seconds=0.5, attempts=1) as one:
            one.tell(ended())
            (said,) = await log.wait()
        (delivery,) = [thread for thread in threading.enumerate() if thread.name == "notify"] or [None]
        if delivery is not None:
            await asyncio.to_thread(delivery.join, 5.0)
            assert not delivery.is_alive()
        over.set()
    assert (said[0], said[1]["reason"]) == ("notify.failed", "no answer within 0.5 s")


async def test_a_server_that_is_away_is_said_and_the_address_is_not(log: Log, server: Server, loopback: None) -> None:
    server.shutdown()
    server.server_close()
    async with running(url=server.url, attempts=2) as one:
        one.tell(ended())
        (said,) = await log.wait()
    assert said[1]["reason"] == "Connection refused"
    assert "T0K3N" not in repr(log.said)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/T0K3N%0a x", "http://127.0.0.1:x/T0K3N", "http://[/T0K3N"])
async def test_an_odd_address_never_shows_its_secret(log: Log, loopback: None, url: str) -> None:
    with pytest.raises(webhooks.HookError) as caught:
        webhooks.post(url, b"{}", 1.0)
    assert "T0K3N" not in str(caught.value)


async def test_one_that_fails_does_not_keep_the_other_from_being_told(log: Log, server: Server) -> None:
    async with running(command=["false"], url=server.url, attempts=1) as one:
        one.tell(ended())
        assert [event for event, _ in await log.wait(2)] == ["notify.failed", "notify.sent"]


def test_what_may_be_logged_of_an_address_holds_no_secret() -> None:
    assert public("https://hooks.example/T0K3N?k=T0K3N#T0K3N") == "https://hooks.example"
