"""What pages may cost while films are scored: a share of the machine, counted by the time that answers take.

Beside scoring, answers are made one after the other, and what takes long in a row of its own: the time of one is no
less than what it took of the processors, and decoding counts for every one of them. What is spent comes back at
``SHARE`` of the processors; whoever asks while nothing is left waits. A person who looks at a film spends less than
``BURST_SECONDS`` and never notices; many clients at once do. While nothing is scored, nobody waits.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from http import HTTPStatus

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SHARE = 0.05
BURST_SECONDS = 2.0
MOST_WAITING = 40
FEW = 4
"""So many answers are made at the same time while nothing is scored."""
COSTLY = ("/preview", "/prepare", "/why")
LOOK_SECONDS = 1.0
MOST_DEBT_SECONDS = 15.0
"""More than that is forgiven; nothing that is asked for takes longer beside the scoring."""


class Budget:
    """Time that may be spent; ``busy`` says whether films are being scored."""

    def __init__(
        self, busy: Callable[[], bool], cores: int | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._busy = busy
        self._rate = SHARE * (cores or os.cpu_count() or 1)
        self._monotonic = monotonic
        self._left = BURST_SECONDS
        self._at = monotonic()
        self.spent_seconds = 0.0

    @property
    def busy(self) -> bool:
        """Whether films are being scored."""
        return self._busy()

    def wait_seconds(self) -> float:
        """How long to wait before something may be spent again; 0 for not at all."""
        now = self._monotonic()
        self._left = min(BURST_SECONDS, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left > 0 or not self._busy():
            return 0.0
        return min(-self._left / self._rate + 0.01, LOOK_SECONDS)

    def spend(self, seconds: float) -> None:
        """So much was spent."""
        self.wait_seconds()
        # What was spent while nothing was scored is not held against anyone for long.
        self._left = max(self._left - seconds, -MOST_DEBT_SECONDS if self._busy() else 0.0)
        self.spent_seconds += seconds


class Budgeted:
    """Lets requests through as the budget allows; beside scoring one after the other, but for those that only wait."""

    def __init__(self, app: ASGIApp, budget: Budget) -> None:
        self._app = app
        self._budget = budget
        self._one = asyncio.Lock()
        self._few = asyncio.Semaphore(FEW)
        self._long = asyncio.Lock()
        self._cores = os.cpu_count() or 1
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path: str = scope["path"]
        if (
            (scope["method"] == "POST" and not path.endswith(COSTLY))
            or path.startswith("/static/")
            or path in ("/changes",)
            or path.endswith("/export")
        ):
            # People decide, and are told; that costs next to nothing.
            await self._app(scope, receive, send)
            return
        if self._waiting >= MOST_WAITING:
            text = "too many pages are asked for at once: try again in a moment"
            await PlainTextResponse(text, HTTPStatus.SERVICE_UNAVAILABLE)(scope, receive, send)
            return
        self._waiting += 1
        try:
            if path.endswith(".zip"):
                # A download goes at its client's pace.
                await self._paid(scope, receive, send)
                return
            decoding = path.endswith(".jpg") and "/frames/" in path
            if decoding or path.endswith(COSTLY):
                # What takes long has a slot of its own, and decoding takes every processor.
                async with self._long if self._budget.busy else nullcontext():
                    await self._paid(scope, receive, send, self._cores if decoding else 1)
                return
            made: list[Message] = []

            async def keep(message: Message) -> None:
                made.append(message)

            async with self._one if self._budget.busy else self._few:
                await self._paid(scope, receive, keep)
            # Sent when the next one may begin: a slow client holds up nobody.
            for message in made:
                await send(message)
        finally:
            self._waiting -= 1

    async def _paid(self, scope: Scope, receive: Receive, send: Send, processors: int = 1) -> None:
        while (pause := self._budget.wait_seconds()) > 0:  # noqa: ASYNC110 - only time brings it back
            await asyncio.sleep(pause)
        start = time.monotonic()
        try:
            await self._app(scope, receive, send)
        finally:
            self._budget.spend((time.monotonic() - start) * processors)
