"""Telling others when a video has come to its end: a command, an HTTP address, or both.

Best effort: a bounded queue and one worker, so the pipeline never waits. What could not be delivered
is logged, and what waits when the daemon is killed is lost; who must not miss anything asks
the database.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from daemon import __version__
from daemon.config.service import NotifyConfig
from daemon.errors import ConfigError
from daemon.events import Ended, Event
from daemon.logs.setup import get
from daemon.model import VideoRecord
from daemon.runtime.tasks import cancel

log = get(__name__)

QUEUE_VIDEOS = 1000
BACK_OFF_SECONDS = 1.0
_SAID_BYTES = 300
_PRIVATE = (
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "JOURNAL_STREAM",
    "CREDENTIALS_DIRECTORY",
)
"""What the service manager meant for the daemon alone."""
_SETTINGS = "STILLWATCH_"
"""Settings may hold a secret, such as an address; what a command is told begins so too."""
WORDS_SECONDS = 1.0
"""How long the last words of a command that has ended are waited for."""
_PASSING = frozenset({408, 429})


class HookError(Exception):
    """A delivery that did not work; ``again`` says whether another try may."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


Send = Callable[[Ended], Awaitable[None]]


class Webhooks:
    """Delivers one payload after the other; ``tell`` it the events, ``run`` it, ``finish`` it at the end."""

    def __init__(self, config: NotifyConfig, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._config = config
        self._sleep = sleep
        self._queue: asyncio.Queue[Ended] = asyncio.Queue(QUEUE_VIDEOS)
        self._current: Ended | None = None
        self._targets: dict[str, Send] = {}
        if config.command:
            if shutil.which(config.command[0]) is None:
                raise ConfigError(f"notify.command: there is no program {config.command[0]!r} that can be run")
            self._targets[config.command[0]] = self._command
        if url := config.url.get_secret_value():
            self._targets[public(url)] = self._post

    def tell(self, event: Event) -> None:
        """Queue what is asked for; a Listener."""
        if not self._targets or not isinstance(event, Ended) or event.record.status.value not in self._config.when:
            return
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            _drop(event, f"{QUEUE_VIDEOS} others wait already")

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._current = await self._queue.get()
            for target, send in self._targets.items():
                await self._deliver(target, send, self._current)
            self._current = None
            self._queue.task_done()

    async def finish(self, seconds: float) -> None:
        """Give ``run`` this many seconds to deliver what waits; the rest is dropped, which is logged."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._queue.join()
        left = [self._current] if self._current is not None else []
        while not self._queue.empty():
            left.append(self._queue.get_nowait())
        for event in left:
            _drop(event, "the daemon stopped first")

    async def _deliver(self, target: str, send: Send, event: Ended) -> None:
        bound = log.bind(video=str(event.record.file.path), video_id=event.record.id)
        for attempt in range(1, self._config.attempts + 1):
            try:
                await send(event)
            except HookError as error:
                if error.again and attempt < self._config.attempts:
                    await self._sleep(BACK_OFF_SECONDS * 2 ** (attempt - 1))
                    continue
                bound.warning("notify.failed", target=target, attempts=attempt, reason=str(error))
                return
            else:
                bound.info("notify.sent", target=target)
                return

    async def _command(self, event: Ended) -> None:
        # A pipe of our own: asyncio waits for the end of its own ones too, which a child may hold open.
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._config.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=write_end,
                env=environment(event.record),
                # A group of its own, so that its children end with it.
                start_new_session=True,
            )
        except OSError as error:
            os.close(read_end)
            raise HookError(f"it cannot be run: {error.strerror}", again=False) from error
        finally:
            os.close(write_end)
        saying = asyncio.create_task(_last_words(read_end))
        feeding = asyncio.create_task(_feed(process.stdin, _body(event)))
        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                await process.wait()
        except TimeoutError as error:
            raise HookError(f"it took longer than {self._config.timeout_seconds:g} s") from error
        finally:
            # Also of one that has ended: what it left running would be nobody's.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            done, _ = await asyncio.wait([saying], timeout=WORDS_SECONDS)
            await cancel([saying, feeding])
        if process.returncode:
            words = saying.result() if done else "it said nothing"
            raise HookError(f"it ended with code {process.returncode}: {words}")

    async def _post(self, event: Ended) -> None:
        """In a thread of its own that nobody waits for: name look-ups and slow servers can't be cancelled."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[None] = loop.create_future()
        reach = Reach()

        def finish(error: Exception | None) -> None:
            if answered.done():
                return
            answered.set_result(None) if error is None else answered.set_exception(error)

        def deliver() -> None:
            failed: Exception | None = None
            try:
                post(self._config.url.get_secret_value(), _body(event), self._config.timeout_seconds, reach)
            except Exception as error:
                failed = error
            with suppress(RuntimeError):  # the loop is closed: the daemon has stopped
                loop.call_soon_threadsafe(finish, failed)

        threading.Thread(target=deliver, name="notify", daemon=True).start()
        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                await answered
        except TimeoutError as error:
            raise HookError(f"no answer within {self._config.timeout_seconds:g} s") from error
        finally:
            # A server that sends drop by drop never lets a single read time out.
            reach.end()


def payload_of(event: Ended) -> dict[str, Any]:
    """What hooks are given: plain JSON, bytes of a name that are not UTF-8 as ``\\\\xe9``."""
    record = event.record
    return {
        "event": f"video.{record.status.value}",
        "video": _text(str(record.file.path)),
        "video_id": record.id,
        "status": record.status.value,
        "error_kind": record.error_kind,
        "error": record.error,
        "stills": [
            {
                "path": _text(str(still.path)),
                "rank": still.rank,
                "frame": still.frame,
                "time_s": still.time_s,
                "score": still.score,
            }
            for still in event.stills
        ],
    }


def environment(record: VideoRecord) -> dict[str, str]:
    """The command's environment: the daemon's own without what is private, and the main facts."""
    kept = {key: value for key, value in os.environ.items() if key not in _PRIVATE and not key.startswith(_SETTINGS)}
    facts = {
        "STILLWATCH_EVENT": f"video.{record.status.value}",
        "STILLWATCH_VIDEO": str(record.file.path),
        "STILLWATCH_VIDEO_ID": str(record.id),
        "STILLWATCH_STATUS": record.status.value,
    }
    return {**kept, **facts}


class Reach:
    """The connections of one delivery, so that they can be ended from outside."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []
        self._ended = False
        self._lock = threading.Lock()

    def connect(self, *arguments: Any) -> socket.socket:
        """A socket as ``socket.create_connection`` makes it, and held. Raises OSError."""
        connected = socket.create_connection(*arguments)
        with self._lock:
            # It has moved into another object by the time it is ended, so it is doubled.
            self._held.append(connected.dup())
        if self._ended:
            self.end()
        return connected

    def end(self) -> None:
        """Close them, whoever reads from them; and those that are still to come."""
        with self._lock:
            self._ended = True
            held, self._held = self._held, []
        for one in held:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _opener(reach: Reach) -> urllib.request.OpenerDirector:
    def within(kind: type[http.client.HTTPConnection]) -> Callable[..., http.client.HTTPConnection]:
        def connection(host: str, /, **options: Any) -> http.client.HTTPConnection:
            made = kind(host, **options)
            # Where http.client takes its sockets from: what follows, with a proxy or of TLS, may be slow as well.
            made._create_connection = reach.connect  # type: ignore[attr-defined]
            return made

        return connection

    class Http(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(within(http.client.HTTPConnection), req)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(within(http.client.HTTPSConnection), req, context=ssl.create_default_context())

    return urllib.request.build_opener(_NoRedirect, Http, Https)


def post(url: str, body: bytes, timeout_seconds: float, reach: Reach | None = None) -> None:
    """POST JSON and expect 2xx; ``reach`` ends it from another thread.

    Raises HookError, whose text never holds the address: that may be a secret.
    """
    headers = {"Content-Type": "application/json", "User-Agent": f"stillwatch/{__version__}"}
    reach = reach or Reach()
    try:
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        with _opener(reach).open(request, timeout=timeout_seconds):
            return
    except urllib.error.HTTPError as error:
        error.close()
        again = error.code >= 500 or error.code in _PASSING
        raise HookError(f"the server answered {error.code}", again=again) from None
    except urllib.error.URLError as error:
        raise HookError(_reason(error.reason)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise HookError(_reason(error)) from None
    finally:
        reach.end()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would follow a redirected POST with a GET, which delivers nothing."""

    def redirect_request(self, *_: object) -> None:
        """Refuse it; the answer's code is then the error."""


def public(url: str) -> str:
    """The part of an address that may be logged: no path, no query, they may hold a token.

    >>> public("https://hooks.example:8443/services/T0K3N?key=secret")
    'https://hooks.example:8443'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _reason(error: object) -> str:
    """The system's own words, or only the kind of error: other texts may quote the address."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


async def _last_words(read_end: int) -> str:
    """The end of what a command says, read to its end so that it is never held up, and not kept."""
    said = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(read_end, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(said), pipe)
    kept = b""
    try:
        while chunk := await said.read(4096):
            kept = (kept + chunk)[-_SAID_BYTES:]
    finally:
        transport.close()
    return " ".join(kept.decode("utf-8", "replace").split()) or "it said nothing"


async def _feed(stream: asyncio.StreamWriter | None, body: bytes) -> None:
    assert stream is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        stream.write(body)
        await stream.drain()
    stream.close()


def _body(event: Ended) -> bytes:
    return json.dumps(payload_of(event)).encode("ascii")


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _drop(event: Ended, reason: str) -> None:
    log.warning("notify.dropped", video=str(event.record.file.path), video_id=event.record.id, reason=reason)
