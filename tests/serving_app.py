"""A server of its own for test_serving.py: small ASGI application on `llmsite.serving`, started as a process.

Usage: python -m tests.serving_app [FIELD=VALUE of Limits…]; prints its port, ends at the end of its standard input.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmsite.serving import Disconnected, Server
from llmsite.types.limits import Limits

STATE: dict[str, Any] = {"flood_sent": 0, "flood": "", "hang": "", "read": 0, "lag": 0.0, "busy": 0.0, "socket": ""}


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await websocket(scope, receive, send)
        return
    name = scope["path"].rpartition("/")[2]
    await VIEWS.get(name, upload if scope["path"].startswith("/api/blobs/") else missing)(scope, receive, send)


async def answer(send: Any, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def upload(scope: Any, receive: Any, send: Any) -> None:
    hasher = hashlib.sha256()
    async for piece in scope["body"]:
        STATE["read"] += len(piece)
        hasher.update(piece)
    await answer(send, 201, hasher.hexdigest().encode())


async def echo(scope: Any, receive: Any, send: Any) -> None:
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            STATE["hang"] = "disconnected"
            return
        size += len(message["body"])
        STATE["read"] = size
        if not message["more_body"]:
            break
    await answer(send, 200, b"%d" % size)


async def early(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, 401, b"not you")


async def flood(scope: Any, receive: Any, send: Any) -> None:
    STATE["flood_sent"], STATE["flood"] = 0, "sending"
    try:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            STATE["flood_sent"] += 65536
    except Disconnected:
        STATE["flood"] = "failed"
        raise


async def hang(scope: Any, receive: Any, send: Any) -> None:
    STATE["hang"] = "waiting"
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        STATE["hang"] = "cancelled"
        raise


async def broken(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("a secret /path")


async def silent(scope: Any, receive: Any, send: Any) -> None:
    return


async def state(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, 200, json.dumps(STATE | {"peak_kib": peak_kib()}).encode())


async def missing(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, 404, scope["path"].encode())


async def websocket(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    STATE["socket"] = "open"
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            STATE["socket"] = f"closed {message['code']}"
            return
        if message.get("text") == "flood":
            await flood_socket(send)
        with suppress(Disconnected):
            await send({"type": "websocket.send", "text": message.get("text") or "bytes"})


async def flood_socket(send: Any) -> None:
    STATE["flood_sent"] = 0
    try:
        while True:
            await send({"type": "websocket.send", "text": "x" * 65536})
            STATE["flood_sent"] += 65536
    except Disconnected:
        STATE["flood"] = "failed"
        raise


VIEWS = {"echo": echo, "early": early, "flood": flood, "hang": hang, "state": state, "broken": broken, "silent": silent}


def peak_kib() -> int:
    """Peak resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


async def measure_lag() -> None:
    """`lag`: longest wait of a task that wants 5 ms, on the clock. `busy`: processor time the loop spent on others meanwhile."""
    while True:
        before, worked = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.005)
        STATE["lag"] = max(STATE["lag"], time.perf_counter() - before - 0.005)
        STATE["busy"] = max(STATE["busy"], time.thread_time() - worked)


async def wait_for_end(server: Server) -> None:
    ticker = asyncio.create_task(measure_lag())
    print(server.address[1], flush=True)  # noqa: T201
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    ticker.cancel()
    await server.stop_listening()
    await server.drain(0.1)


def main(*settings: str) -> None:
    kinds = {field.name: field.type for field in dataclasses.fields(Limits)}
    changes: dict[str, Any] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        changes[name] = float(value) if kinds[name] == "float" else int(value)
    server = Server(application, "127.0.0.1", 0, dataclasses.replace(Limits(), **changes))
    server.run(lambda: wait_for_end(server))


if __name__ == "__main__":
    main(*sys.argv[1:])
