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
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import IO, Any
from urllib.parse import urlsplit

from daemon import __version__
from daemon.config.service import NotifyConfig
from daemon.errors import ConfigError
from daemon.events import Ended, Event
from daemon.logs.setup import get
from daemon.model import VideoRecord

log = get(__name__)

QUEUE_VIDEOS = 1000
BACK_OFF_SECONDS = 1.0
_SAID_BYTES = 300
_PRIVATE = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "JOURNAL_STREAM")
"""What the service manager meant for the daemon alone."""
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
        with tempfile.TemporaryFile() as said:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._config.command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=said,
                    env=environment(event.record),
                    # A group of its own, so that a timeout ends its children too.
                    start_new_session=True,
                )
            except OSError as error:
                raise HookError(f"it cannot be run: {error.strerror}", again=False) from error
            try:
                async with asyncio.timeout(self._config.timeout_seconds):
                    await process.communicate(_body(event))
            except TimeoutError as error:
                raise HookError(f"it took longer than {self._config.timeout_seconds:g} s") from error
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()
            if process.returncode:
                raise HookError(f"it ended with code {process.returncode}: {_last_words(said)}")

    async def _post(self, event: Ended) -> None:
        """In a thread of its own that nobody waits for: name look-ups and slow servers can't be cancelled."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[None] = loop.create_future()

        def finish(error: Exception | None) -> None:
            if answered.done():
                return
            answered.set_result(None) if error is None else answered.set_exception(error)

        def deliver() -> None:
            failed: Exception | None = None
            try:
                post(self._config.url.get_secret_value(), _body(event), self._config.timeout_seconds)
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
    kept = {key: value for key, value in os.environ.items() if key not in _PRIVATE}
    facts = {
        "STILLWATCH_EVENT": f"video.{record.status.value}",
        "STILLWATCH_VIDEO": str(record.file.path),
        "STILLWATCH_VIDEO_ID": str(record.id),
        "STILLWATCH_STATUS": record.status.value,
    }
    return {**kept, **facts}


def post(url: str, body: bytes, timeout_seconds: float) -> None:
    """POST JSON and expect 2xx. Raises HookError, whose text never holds the address: that may be a secret."""
    headers = {"Content-Type": "application/json", "User-Agent": f"stillwatch/{__version__}"}
    try:
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        with _OPENER.open(request, timeout=timeout_seconds):
            return
    except urllib.error.HTTPError as error:
        error.close()
        again = error.code >= 500 or error.code in _PASSING
        raise HookError(f"the server answered {error.code}", again=again) from None
    except urllib.error.URLError as error:
        raise HookError(_reason(error.reason)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise HookError(_reason(error)) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would follow a redirected POST with a GET, which delivers nothing."""

    def redirect_request(self, *_: object) -> None:
        """Refuse it; the answer's code is then the error."""


_OPENER = urllib.request.build_opener(_NoRedirect)


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


def _last_words(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID_BYTES))
    return " ".join(said.read().decode("utf-8", "replace").split()) or "it said nothing"


def _body(event: Ended) -> bytes:
    return json.dumps(payload_of(event)).encode("ascii")


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _drop(event: Ended, reason: str) -> None:
    log.warning("notify.dropped", video=str(event.record.file.path), video_id=event.record.id, reason=reason)
