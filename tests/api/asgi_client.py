"""Speaks ASGI to the site's views as a server would: frames as they are sent, and a client that goes away."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from django.core.handlers.asgi import ASGIHandler

from llmsite.accounts.trust import NEAR

APPLICATION = ASGIHandler()


@dataclass
class Exchange:
    """One request in the air. `pieces` fills while the answer streams."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    async def wait_for_piece(self, count: int = 1) -> None:
        """Until so many pieces of the body have come."""
        while len(self.pieces) < count:
            self._changed.clear()
            await self._changed.wait()

    async def disconnect(self) -> None:
        """The client closes; returns when the application has ended."""
        self._gone.set()
        assert self.task is not None
        await self.task


def start(method: str, path: str, body: bytes = b"", **headers: str) -> Exchange:
    """Send a request of an anonymous caller of this machine; its answer arrives in the exchange."""
    exchange = Exchange()
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [
            (b"host", b"localhost"),
            *((key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 11434),
        "trust": NEAR,
    }
    is_read = False

    async def receive() -> dict[str, Any]:
        nonlocal is_read
        if not is_read:
            is_read = True
            return {"type": "http.request", "body": body, "more_body": False}
        await exchange._gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            exchange.headers = {key.decode().lower(): value.decode() for key, value in message["headers"]}
        elif message.get("body"):
            exchange.pieces.append(message["body"])
        exchange._changed.set()

    exchange.task = asyncio.ensure_future(APPLICATION(scope, receive, send))
    return exchange


async def call(method: str, path: str, body: Any = b"", **headers: str) -> Exchange:
    """A whole exchange. `body` is bytes, or a value to send as JSON."""
    exchange = start(method, path, body if isinstance(body, bytes) else json.dumps(body).encode(), **headers)
    assert exchange.task is not None
    await exchange.task
    return exchange
