"""A film's review pages without a browser: the application is called as a server would."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from daemon.web.guard import CSRF_HEADER, Secrets

HOST = "127.0.0.1:8420"


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Asks the application; with the cookie unless ``headers`` say otherwise."""

    app: Any
    secrets: Secrets

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return await self.ask("GET", path, headers)

    async def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        ours = {"origin": f"http://{HOST}", CSRF_HEADER: self.secrets.csrf, **(headers or {})}
        return await self.ask("POST", path, ours, json.dumps(body).encode())

    async def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        parts = urlsplit(path)
        sent = {
            "host": HOST,
            "cookie": f"stillwatch_8420={self.secrets.session}",
            "content-length": str(len(body)),
            **(headers or {}),
        }
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": parts.path, "raw_path": parts.path.encode(), "query_string": parts.query.encode(), "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
            "server": ("127.0.0.1", 8420), "client": ("127.0.0.1", 50000), "state": {},
        }  # fmt: skip
        answer = Answer()
        asked = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if asked.is_set():
                # A client that stays until it has its answer.
                await asyncio.Event().wait()
            asked.set()
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]}
            elif message["type"] == "http.response.body":
                answer.body += message.get("body", b"")

        await self.app(scope, receive, send)
        return answer
